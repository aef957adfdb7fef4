"""What a folder of DICOM files holds, and which of it makes up a case."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from dose_prediction.case import CaseError, CaseWarning
from dose_prediction.dicom.elements import items, text, values_as_they_are

DICOM_DIRECTORY = "1.2.840.10008.1.3.10"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGES = ("1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")  # the second converted from single images
RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
RT_PLAN = "1.2.840.10008.5.1.4.1.1.481.5"

# Little-endian tags of group length, character set, image type and SOP class, with which a data set begins.
_BARE_BEGINNINGS = (b"\x08\0\0\0", b"\x08\0\x05\0", b"\x08\0\x08\0", b"\x08\0\x16\0")

# All that deciding takes; pixel data and contours are read later and only of what was chosen.
_HEADER = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "ImageType",
    "SeriesDescription",
    "PatientPosition",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "Rows",
    "Columns",
    "GantryDetectorTilt",
    "NumberOfFrames",
    "ReferencedStructureSetSequence",
    "ReferencedFrameOfReferenceSequence",
]


@dataclass(frozen=True, eq=False)
class DicomFile:
    """A file with the elements of its header that tell what it is."""

    path: Path
    header: FileDataset

    @property
    def sop_class(self) -> str:
        return text(self.header, "SOPClassUID")

    @property
    def instance_uid(self) -> str:
        return text(self.header, "SOPInstanceUID")

    @property
    def series_uid(self) -> str:
        return text(self.header, "SeriesInstanceUID")

    @property
    def frame_of_reference_uid(self) -> str:
        return text(self.header, "FrameOfReferenceUID")


@dataclass(frozen=True, eq=False)
class Study:
    """The files of one study that a plan is made of; a CT series is the files of one SeriesInstanceUID."""

    uid: str
    ct_series: tuple[tuple[DicomFile, ...], ...]
    structure_sets: tuple[DicomFile, ...]
    plans: tuple[DicomFile, ...]
    doses: tuple[DicomFile, ...]
    others: dict[str, int]
    """How many files of each other modality there are."""

    def __str__(self) -> str:
        parts = [f"CT series of {len(series)} images" for series in self.ct_series]
        parts += [
            f"{len(files)} {name}{'s' if len(files) > 1 else ''}"
            for name, files in (("structure set", self.structure_sets), ("plan", self.plans), ("dose", self.doses))
            if files
        ]
        return ", ".join(parts + [f"{count} {modality}" for modality, count in self.others.items()]) or "nothing"


@dataclass(frozen=True, eq=False)
class PlanFiles:
    """The files that make up one case."""

    ct: tuple[DicomFile, ...]
    structure_set: DicomFile
    plan: DicomFile | None


def holds_dicom(folder: Path) -> bool:
    """True if any file in `folder` or below it is a DICOM file."""
    return any(is_dicom_file(path) for path in _files_below(folder))


def is_dicom_file(path: Path) -> bool:
    """True if the file has the DICOM prefix (PS3.10, section 7.1), or begins as data sets do that old systems export without it."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
            return start[128:] == b"DICM" or start[:4] in _BARE_BEGINNINGS
    except OSError:
        return False


def find_studies(folder: Path | str) -> tuple[Study, ...]:
    """Every study in `folder` and below it.  Files that are no DICOM are passed over; damaged ones and second copies are, with a CaseWarning."""
    found: dict[str, DicomFile] = {}
    damaged: list[Path] = []
    copies = 0
    with values_as_they_are():
        for path in _files_below(Path(folder)):
            if not is_dicom_file(path):
                continue
            try:
                file = DicomFile(path, dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_HEADER)))
            except Exception:  # pydicom trips over damaged bytes in many ways
                damaged.append(path)
                continue
            if not file.sop_class or not file.instance_uid:
                if text(file.header.file_meta, "MediaStorageSOPClassUID") != DICOM_DIRECTORY:
                    damaged.append(path)
            elif file.instance_uid in found:
                copies += 1
            else:
                found[file.instance_uid] = file
        if damaged:
            first = damaged[0].relative_to(folder)
            _warn(f"{len(damaged)} damaged DICOM {'file was' if len(damaged) == 1 else 'files were'} left out, {first} first.")
        if copies:
            _warn(f"{copies} DICOM {'file is a copy' if copies == 1 else 'files are copies'} of another in the folder and counted once.")
        by_study: dict[str, list[DicomFile]] = {}
        for file in found.values():
            by_study.setdefault(text(file.header, "StudyInstanceUID"), []).append(file)
        return tuple(_study(uid, files) for uid, files in by_study.items())


def choose_plan_files(folder: Path, studies: Sequence[Study], needs_beams: bool = True) -> PlanFiles:
    """Of the `studies` in `folder` the structure set, the CT that it was drawn on and the plan that was made on it.

    Raises CaseError if something is missing, if files do not belong together, or if there is more than one of a kind and nothing tells which is
    meant; of several plans none is taken unless `needs_beams`.
    """
    if not studies:
        raise CaseError("The folder holds no DICOM file that can be read; give a folder with a CT series and a structure set (RTSTRUCT).")
    with values_as_they_are():
        structure_set = _structure_set(folder, studies)
        return PlanFiles(_ct_of(structure_set, studies), structure_set, _plan_of(structure_set, folder, studies, needs_beams))


def referenced_series(structure_set: Dataset) -> list[Dataset]:
    """The series that a structure set says it was drawn on: items of RT Referenced Series Sequence."""
    return [
        series
        for frame in items(structure_set, "ReferencedFrameOfReferenceSequence")
        for study in items(frame, "RTReferencedStudySequence")
        for series in items(study, "RTReferencedSeriesSequence")
    ]


def _files_below(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(where) / name for name in sorted(names) if not name.startswith("."))


def _study(uid: str, files: Sequence[DicomFile]) -> Study:
    series: dict[str, list[DicomFile]] = {}
    of_class: dict[str, list[DicomFile]] = {RT_STRUCTURE_SET: [], RT_PLAN: [], RT_DOSE: []}
    others: Counter[str] = Counter()
    for file in files:
        if file.sop_class in (CT_IMAGE, *ENHANCED_CT_IMAGES):
            series.setdefault(file.series_uid, []).append(file)
        elif file.sop_class in of_class:
            of_class[file.sop_class].append(file)
        else:
            others[text(file.header, "Modality") or "other"] += 1
    return Study(
        uid,
        tuple(tuple(images) for images in series.values()),
        tuple(of_class[RT_STRUCTURE_SET]),
        tuple(of_class[RT_PLAN]),
        tuple(of_class[RT_DOSE]),
        dict(others),
    )


def _structure_set(folder: Path, studies: Sequence[Study]) -> DicomFile:
    structure_sets = [file for study in studies for file in study.structure_sets]
    if not structure_sets:
        raise CaseError(f"The folder holds no structure set (RTSTRUCT), but {_listed(studies)}; export the structures with the CT.")
    if len(structure_sets) == 1:
        return structure_sets[0]
    planned = {uid for study in studies for plan in study.plans for uid in _structure_sets_of(plan)}
    chosen = [file for file in structure_sets if file.instance_uid in planned]
    if len(chosen) == 1:
        return chosen[0]
    raise CaseError(f"The folder holds {len(structure_sets)} structure sets ({_names(structure_sets, folder)}); leave the one to plan with.")


def _ct_of(structure_set: DicomFile, studies: Sequence[Study]) -> tuple[DicomFile, ...]:
    series = [images for study in studies for images in study.ct_series]
    if not series:
        raise CaseError(f"The folder holds no CT image, but {_listed(studies)}; export the planning CT with the structures.")
    wanted = {text(one, "SeriesInstanceUID") for one in referenced_series(structure_set.header)}
    chosen = [images for images in series if images[0].series_uid in wanted]
    if len(chosen) == 1:
        return chosen[0]
    if len(chosen) > 1:
        sizes = ", ".join(str(len(images)) for images in chosen)
        raise CaseError(f"The structure set refers to {len(chosen)} CT series (of {sizes} images); leave the one to plan on.")
    if wanted:
        raise CaseError(
            f"The structure set {structure_set.path.name} was drawn on a series that is not in the folder; "
            f"there: {', '.join(f'CT series of {len(images)} images' for images in series)}. Export the CT that belongs to it."
        )
    frames = _frames_of_reference(structure_set.header)
    chosen = [images for images in series if images[0].frame_of_reference_uid in frames]
    if len(chosen) != 1:
        raise CaseError(
            f"The structure set {structure_set.path.name} names no series, and {len(chosen)} of {len(series)} CT series in the folder "
            "have its frame of reference; leave the CT that it was drawn on."
        )
    _warn(f"The structure set {structure_set.path.name} names no CT series; the only one with its frame of reference was taken.")
    return chosen[0]


def _plan_of(structure_set: DicomFile, folder: Path, studies: Sequence[Study], needs_beams: bool) -> DicomFile | None:
    plans = [file for study in studies for file in study.plans]
    chosen = [plan for plan in plans if structure_set.instance_uid in _structure_sets_of(plan)]
    if not needs_beams and len(chosen) != 1:
        return None
    if len(chosen) > 1:
        raise CaseError(
            f"The folder holds {len(chosen)} plans of the structure set ({_names(chosen, folder)}); "
            "leave the one whose beams are meant, or give beams."
        )
    if not chosen and len(plans) == 1:
        named = "another structure set" if _structure_sets_of(plans[0]) else "no structure set"
        _warn(f"The plan {plans[0].path.name} refers to {named}; its beams were taken, check that it belongs to {structure_set.path.name}.")
        return plans[0]
    if not chosen and plans:
        raise CaseError(
            f"None of {len(plans)} plans in the folder ({_names(plans, folder)}) was made on the structure set; leave the one that is meant."
        )
    return chosen[0] if chosen else None


def _structure_sets_of(plan: DicomFile) -> set[str]:
    return {text(item, "ReferencedSOPInstanceUID") for item in items(plan.header, "ReferencedStructureSetSequence")}


def _frames_of_reference(structure_set: Dataset) -> set[str]:
    frames = {text(item, "FrameOfReferenceUID") for item in items(structure_set, "ReferencedFrameOfReferenceSequence")}
    return (frames | {text(structure_set, "FrameOfReferenceUID")}) - {""}


def _listed(studies: Sequence[Study]) -> str:
    return "; ".join(map(str, studies))


def _names(files: Iterable[DicomFile], folder: Path) -> str:
    return ", ".join(str(file.path.relative_to(folder)) for file in files)


def _warn(sentence: str) -> None:
    warnings.warn(sentence, CaseWarning, stacklevel=3)
