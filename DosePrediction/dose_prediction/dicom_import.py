"""A DICOM RT study as files that Slicer opens, and a table of all that those files cannot say: roles, beams, patient and study."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dose_prediction.case import CaseWarning, Structure
from dose_prediction.case.beam_json import beams_as_json
from dose_prediction.dicom import DicomCase, Study, find_studies, read_dicom_case, read_dose
from dose_prediction.dicom.elements import items, read_whole, text
from dose_prediction.dicom.reference_json import references_as_json
from dose_prediction.output_files import whole_folder
from dose_prediction.segmentation_files import write_segmentation
from dose_prediction.volumes import write_volume

CT_FILE, SEGMENTATION_FILE, TABLE_FILE = "ct.nrrd", "segmentation.seg.nrrd", "study.json"

OnStage = Callable[[str, float], None]


def import_study(folder: Path, output: Path, with_volumes: bool, on_stage: OnStage) -> None:
    """Write the study in `folder` into `output`, all of it or nothing.

    `study.json` holds patient and study, the roles of the structures with their colours, beams, isocentre, the names of the dose files, what a
    dose will refer to, and remarks.  `with_volumes` adds `ct.nrrd`, `segmentation.seg.nrrd` and each RTDOSE of the CT's frame of reference as
    `dose_N.nrrd` in Gy.  Raises CaseError and OutputError.
    """
    with warnings.catch_warnings(record=True) as heard, whole_folder(output) as scratch:
        warnings.simplefilter("always", CaseWarning)
        on_stage("Looking through the files", 0.05)
        studies = find_studies(folder)
        on_stage("Reading CT, contours and plan", 0.2)
        case = read_dicom_case(folder, studies=studies)
        doses: list[dict[str, str]] = []
        if with_volumes:
            on_stage("Writing CT and contours", 0.7)
            ct = case.ct_hu.astype(np.int16) if np.array_equal(case.ct_hu.astype(np.int16), case.ct_hu) else case.ct_hu
            write_volume(scratch / CT_FILE, ct, case.grid)
            structures = (Structure(name, case.roles[name], mask) for name, mask in case.masks.items())
            write_segmentation(scratch / SEGMENTATION_FILE, structures, case.grid)
            on_stage("Writing doses", 0.9)
            doses = _write_doses(scratch, studies, case)
        table = _table(case, studies, doses)
        table["remarks"] = [str(warning.message) for warning in heard if issubclass(warning.category, CaseWarning)]
        (scratch / TABLE_FILE).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")


def _table(case: DicomCase, studies: tuple[Study, ...], doses: list[dict[str, str]]) -> dict[str, Any]:
    patient = case.references.patient_and_study
    colours = _colours(case, studies)
    return {
        "patient": {"name": text(patient, "PatientName"), "id": text(patient, "PatientID")},
        "study": {"uid": text(patient, "StudyInstanceUID"), "date": text(patient, "StudyDate"), "id": text(patient, "StudyID")},
        "structures": [
            {
                "name": name,
                "kind": role.kind.value,
                "standard_name": role.standard_name,
                "prescription_gy": role.prescription_gy,
                "colour": colours.get(case.references.roi_numbers[name]),
            }
            for name, role in case.roles.items()
        ],
        "beams": beams_as_json(case.beams),
        "isocentre_mm": case.isocentre_mm,
        "doses": doses,
        "references": references_as_json(case.references),
    }


def _write_doses(folder: Path, studies: tuple[Study, ...], case: DicomCase) -> list[dict[str, str]]:
    frame = case.references.frame_of_reference_uid
    found = [file for study in studies for file in study.doses]
    files = [file for file in found if file.frame_of_reference_uid in ("", frame)]
    if len(files) < len(found):
        others = ", ".join(file.path.name for file in found if file not in files)
        warnings.warn(f"Doses in another frame of reference than the CT's were left out: {others}.", CaseWarning, stacklevel=2)
    written = []
    for number, file in enumerate(files, start=1):
        dose = read_dose(file.path)
        name = f"dose_{number}.nrrd"
        write_volume(folder / name, dose.dose_gy, dose.grid, {"DoseUnits": "GY"})
        written.append({"file": name, "name": text(file.header, "SeriesDescription") or dose.summation_type.capitalize()})
    return written


def _colours(case: DicomCase, studies: tuple[Study, ...]) -> dict[int, list[float]]:
    """Red, green and blue (0 to 1) of each ROI number that has a colour."""
    (file,) = [file for study in studies for file in study.structure_sets if file.instance_uid == case.references.structure_set_uid]
    found = {}
    for roi in items(read_whole(file.path), "ROIContourSequence"):
        colour = roi.get("ROIDisplayColor")
        if colour is not None and len(colour) == 3:
            found[int(roi.ReferencedROINumber)] = [min(max(int(part), 0), 255) / 255 for part in colour]
    return found
