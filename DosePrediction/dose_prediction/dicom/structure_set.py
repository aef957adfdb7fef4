"""Structures of an RTSTRUCT as masks on the grid of the CT that they were drawn on."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dose_prediction.case import CaseError, CaseWarning
from dose_prediction.contours import polygons_to_mask
from dose_prediction.dicom.ct_series import CtVolume
from dose_prediction.dicom.elements import items, items_by_number, number, numbers, text
from dose_prediction.dicom.study import referenced_series

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")
_WITHOUT_VOLUME = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")
_ONE = "structure of the structure set"


@dataclass(frozen=True, eq=False)
class DrawnStructure:
    """A structure of a structure set: its ROI number and name, what its author said it is (RT ROI Interpreted Type) and its mask (z, y, x)."""

    number: int
    name: str
    interpreted_type: str
    mask: NDArray[np.bool_]


def read_structures(structure_set: Dataset, ct: CtVolume) -> tuple[DrawnStructure, ...]:
    """Every structure that has a volume.

    Structures without contours, points and lines are left out; what is left out or doubtful is told of with a CaseWarning.  Raises CaseError if the
    structure set was drawn in another frame of reference or on planes that are not the CT's slices.
    """
    if abs(ct.grid.direction[2][2]) < 0.999:
        raise CaseError("The CT's slices are not axial; contours are read on axial slices only. Export the structures on the axial CT.")
    by_number = items_by_number(structure_set, "StructureSetROISequence", "ROINumber", _ONE)
    if not by_number:
        raise CaseError("The structure set names no structure; export it again with its structures.")
    observations = items(structure_set, "RTROIObservationsSequence")
    if not observations:
        _warn("The structure set ends without RT ROI Observations, as one that was cut off: check that its structures are complete.")
    types = {_number(item, "ReferencedROINumber"): text(item, "RTROIInterpretedType") for item in observations}
    drawn = items_by_number(structure_set, "ROIContourSequence", "ReferencedROINumber", _ONE)
    if drawn.keys() - by_number.keys():
        _warn(f"The structure set has contours of structures without a name (numbers {sorted(drawn.keys() - by_number.keys())}); left out.")
    _check_images(structure_set, drawn, ct)
    found: list[DrawnStructure] = []
    empty: list[str] = []
    for roi_number, roi in by_number.items():
        name = text(roi, "ROIName") or _invented_name(roi_number)
        _check_frame(name, text(roi, "ReferencedFrameOfReferenceUID"), ct)
        contours = _contours(name, drawn.get(roi_number))
        if contours is None:
            continue  # a point or a line: no volume, nothing to plan with
        mask = polygons_to_mask(contours, ct.grid, name)
        if not mask.any():
            empty.append(name)
            continue
        found.append(DrawnStructure(roi_number, _unused(name, [other.name for other in found]), types.get(roi_number, ""), mask))
    if empty:
        _warn(f"Structures without a contour on the CT were left out: {', '.join(map(repr, empty))}.")
    if not found:
        raise CaseError("No structure of the structure set has a contour on the CT; check that they belong together.")
    return tuple(found)


def _check_frame(name: str, frame_uid: str, ct: CtVolume) -> None:
    if frame_uid and ct.frame_of_reference_uid and frame_uid != ct.frame_of_reference_uid:
        raise CaseError(
            f"Structure {name!r} was drawn in another frame of reference than the CT's: they are of different scans. "
            "Export structures and CT that belong together, or register them first."
        )


def _check_images(structure_set: Dataset, drawn: dict[int, Dataset], ct: CtVolume) -> None:
    """Images that the structure set was drawn on and that the CT lacks tell of missing slices, or of another version of the series."""
    drawn_on = [series for series in referenced_series(structure_set) if text(series, "SeriesInstanceUID") == ct.series_uid]
    drawn_on += [contour for roi in drawn.values() for contour in items(roi, "ContourSequence")[:1000]]
    referenced = {text(image, "ReferencedSOPInstanceUID") for one in drawn_on for image in items(one, "ContourImageSequence")}
    missing = len(referenced - ct.image_uids)
    if missing:
        _warn(
            f"The structures were drawn on {missing} image{'s' if missing > 1 else ''} that the CT series lacks; contours were placed by their "
            "coordinates. Load the whole series if slices are missing."
        )


def _contours(name: str, roi: Dataset | None) -> list[NDArray[np.float64]] | None:
    """The closed contours of a structure (LPS mm), none if it is empty; None if it consists of points and lines."""
    given = items(roi, "ContourSequence") if roi is not None else []
    contours: list[NDArray[np.float64]] = []
    kinds: Counter[str] = Counter()
    for contour in given:
        kind = text(contour, "ContourGeometricType").upper()
        kinds[kind] += 1
        if kind in _CLOSED:
            contours.append(_points(name, contour))
        elif kind not in _WITHOUT_VOLUME:
            raise CaseError(f"A contour of {name!r} is of the unknown kind {kind!r} (Contour Geometric Type); export the structures again.")
    if given and not contours:
        return None
    lines = kinds.total() - len(contours) - kinds["POINT"]
    if lines:
        _warn(f"{lines} open line{'s' if lines > 1 else ''} of {name!r} left out; only closed contours have a volume.")
    return contours


def _points(name: str, contour: Dataset) -> NDArray[np.float64]:
    """Corners (n, 3) in LPS mm."""
    values = numbers(contour, "ContourData", f"A contour of {name!r}")
    if not len(values):
        raise CaseError(f"A contour of {name!r} has no points (Contour Data); export the structures again.")
    if len(values) % 3:
        raise CaseError(f"A contour of {name!r} has {len(values)} coordinates, no multiple of 3; export the structures again.")
    points = values.reshape(-1, 3)
    stated = number(contour, "NumberOfContourPoints", f"A contour of {name!r}", default=len(points))
    if stated != len(points):
        raise CaseError(f"A contour of {name!r} promises {stated:g} points and has {len(points)}; export the structures again.")
    return points


def _number(item: Dataset, keyword: str) -> int:
    return int(number(item, keyword, "The structure set", default=-1))


def _invented_name(roi_number: int) -> str:
    _warn(f"Structure number {roi_number} has no name; it is called 'Structure {roi_number}' here.")
    return f"Structure {roi_number}"


def _unused(name: str, taken: Sequence[str]) -> str:
    if name not in taken:
        return name
    count = 2
    while f"{name} ({count})" in taken:
        count += 1
    _warn(f"Two structures are named {name!r}; the second is called '{name} ({count})' here.")
    return f"{name} ({count})"


def _warn(sentence: str) -> None:
    warnings.warn(sentence, CaseWarning, stacklevel=3)
