"""Structures of an RTSTRUCT as masks on the grid of the CT that they were drawn on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dose_prediction.case import CaseError, CaseWarning, Grid
from dose_prediction.dicom.contours import Polygon, area, filled
from dose_prediction.dicom.ct_series import CtVolume
from dose_prediction.dicom.elements import items, number, numbers, text

# Contours reach this far across their slice by rounding; by more they were edited on other planes.
FLAT_MM = 0.1
CROSSING_PART = 0.02
TIE = 1e-3  # in slices
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSED_PLANAR_XOR")
_WITHOUT_VOLUME = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR")


@dataclass(frozen=True, eq=False)
class DrawnStructure:
    """A structure of a structure set: its ROI number and name, what its author said it is (RT ROI Interpreted Type) and its mask (z, y, x)."""

    number: int
    name: str
    interpreted_type: str
    mask: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Contour:
    slice_index: float
    """Where the contour lies along the slices, fractional."""
    polygon: Polygon


def read_structures(structure_set: Dataset, ct: CtVolume) -> tuple[DrawnStructure, ...]:
    """Every structure that has a volume.

    Structures without contours, points and lines are left out; what is left out or doubtful is told of with a CaseWarning.  Raises CaseError if the
    structure set was drawn in another frame of reference or on planes that are not the CT's slices.
    """
    if abs(ct.grid.direction[2][2]) < 0.999:
        raise CaseError("The CT's slices are not axial; contours are read on axial slices only. Export the structures on the axial CT.")
    by_number = _by_number(structure_set, "StructureSetROISequence", "ROINumber")
    if not by_number:
        raise CaseError("The structure set names no structure; export it again with its structures.")
    types = {_number(item, "ReferencedROINumber"): text(item, "RTROIInterpretedType") for item in items(structure_set, "RTROIObservationsSequence")}
    drawn = _by_number(structure_set, "ROIContourSequence", "ReferencedROINumber")
    if drawn.keys() - by_number.keys():
        _warn(f"The structure set has contours of structures without a name (numbers {sorted(drawn.keys() - by_number.keys())}); left out.")
    _check_images(structure_set, drawn, ct)
    found: list[DrawnStructure] = []
    empty: list[str] = []
    for roi_number, roi in by_number.items():
        name = text(roi, "ROIName") or _invented_name(roi_number)
        _check_frame(name, text(roi, "ReferencedFrameOfReferenceUID"), ct)
        contours = _contours(name, drawn.get(roi_number), ct.grid)
        if contours is None:
            continue  # a point or a line: no volume, nothing to plan with
        mask = _mask(name, contours, ct.grid)
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
            f"Structure {name!r} was drawn in the frame of reference {frame_uid}, the CT has {ct.frame_of_reference_uid}: "
            "they are of different scans. Export structures and CT that belong together, or register them first."
        )


def _check_images(structure_set: Dataset, drawn: dict[int, Dataset], ct: CtVolume) -> None:
    """Images that contours refer to and that the CT lacks tell of missing slices, or of another version of the series."""
    referenced = {
        text(image, "ReferencedSOPInstanceUID") for roi in drawn.values() for contour in items(roi, "ContourSequence")[:1000]
        for image in items(contour, "ContourImageSequence")
    }  # fmt: skip
    missing = len(referenced - set(ct.image_uids))
    if missing:
        _warn(f"Contours refer to {missing} image{'s' if missing > 1 else ''} that the CT series lacks; they were placed by their coordinates.")


def _contours(name: str, roi: Dataset | None, grid: Grid) -> list[_Contour] | None:
    """The closed contours of a structure, none if it is empty; None if it consists of points and lines."""
    given = items(roi, "ContourSequence") if roi is not None else []
    if not given:
        return []
    contours: list[_Contour] = []
    seen: set[bytes] = set()
    repeated = open_lines = not_flat = 0
    for contour in given:
        kind = text(contour, "ContourGeometricType").upper()
        if kind in _WITHOUT_VOLUME:
            open_lines += kind != "POINT"
            continue
        if kind not in _CLOSED:
            raise CaseError(f"A contour of {name!r} is of the unknown kind {kind!r} (Contour Geometric Type); export the structures again.")
        points = _points(name, contour)
        if len(points) < 3:
            continue  # no area
        if points.tobytes() in seen:
            repeated += 1
            continue
        seen.add(points.tobytes())
        index = grid.index_from_world(points)  # (n, 3) as z, y, x
        reach_mm = float(np.ptp(index[:, 0])) * grid.spacing_mm[2]
        if reach_mm > grid.spacing_mm[2]:
            raise CaseError(
                f"A contour of {name!r} reaches over {reach_mm:.1f} mm across the CT's slices, which are {grid.spacing_mm[2]:.4g} mm apart: "
                "it was drawn on sagittal, coronal or oblique planes. Export the structures on the axial CT."
            )
        not_flat += reach_mm > FLAT_MM
        contours.append(_Contour(float(index[:, 0].mean()), index[:, :0:-1]))
    if repeated:
        _warn(f"{name!r} has {repeated} contour{'s' if repeated > 1 else ''} twice; counted once.")
    if not_flat:
        _warn(f"{not_flat} contour{'s' if not_flat > 1 else ''} of {name!r} do not lie in one plane; taken at their mean height.")
    if contours:
        if open_lines:
            _warn(f"{open_lines} open line{'s' if open_lines > 1 else ''} of {name!r} left out; only closed contours have a volume.")
        return contours
    return None if any(text(contour, "ContourGeometricType").upper() == "POINT" for contour in given) or open_lines else []


def _points(name: str, contour: Dataset) -> NDArray[np.float64]:
    """Corners (n, 3) in LPS mm, without a last one that repeats the first."""
    values = numbers(contour, "ContourData", f"A contour of {name!r}")
    if not len(values):
        raise CaseError(f"A contour of {name!r} has no points (Contour Data); export the structures again.")
    if len(values) % 3:
        raise CaseError(f"A contour of {name!r} has {len(values)} coordinates, no multiple of 3; export the structures again.")
    points = values.reshape(-1, 3)
    stated = number(contour, "NumberOfContourPoints", f"A contour of {name!r}", default=len(points))
    if stated != len(points):
        raise CaseError(f"A contour of {name!r} promises {stated:g} points and has {len(points)}; export the structures again.")
    return points[:-1] if len(points) > 1 and np.array_equal(points[0], points[-1]) else points


def _mask(name: str, contours: Sequence[_Contour], grid: Grid) -> NDArray[np.bool_]:
    """Each slice takes the contours of the plane that is nearest, up to half the distance between planes away."""
    mask = np.zeros(grid.shape, dtype=bool)
    if not contours:
        return mask
    heights = np.array([contour.slice_index for contour in contours])
    planes = _planes(heights)
    apart = float(np.median(np.diff(planes))) if len(planes) > 1 else 1.0
    if apart > 1.5:
        step = grid.spacing_mm[2]
        _warn(f"{name!r} has contours {apart * step:.4g} mm apart on slices {step:.4g} mm apart; each was taken to stand for the slices around it.")
    end, between = apart / 2, max(apart, 1.0) / 2
    nearest = [int(np.argmin(np.abs(planes - height))) for height in heights]
    if planes[-1] + end < -0.5 or planes[0] - end > grid.shape[0] - 0.5:
        return mask
    if planes[0] < -0.75 or planes[-1] > grid.shape[0] - 0.25:
        _warn(f"{name!r} reaches beyond the first or last slice of the CT and was cut there.")
    outside = crossing = False
    skipped = 0
    columns, rows = grid.shape[2], grid.shape[1]
    for index in range(grid.shape[0]):
        distance = planes - index
        if not (distance[0] <= end - TIE and distance[-1] > -end - TIE):
            continue
        # Of two planes at the same distance the lower one counts.
        plane = int(np.argmin(np.abs(distance) + TIE * (distance > 0)))
        if abs(distance[plane]) > between + TIE:
            skipped += 1
            continue
        polygons = [contour.polygon for contour, number_of_plane in zip(contours, nearest, strict=True) if number_of_plane == plane]
        for polygon in polygons:
            low, high = polygon.min(axis=0), polygon.max(axis=0)
            outside |= bool(np.any(low < -1) or high[0] > columns or high[1] > rows)
        mask[index] = filled(polygons, (rows, columns))
        crossing |= len(polygons) > 1 and _cross(polygons, mask[index])
    if outside:
        _warn(f"{name!r} reaches beyond the edge of the CT and was cut there.")
    if skipped:
        _warn(f"{name!r} has no contour on {skipped} slice{'s' if skipped > 1 else ''} between its first and its last; nothing was drawn in between.")
    if crossing:
        _warn(f"Contours of {name!r} cross one another within a slice; where two overlap counts as outside, as in a hole.")
    return mask


def _planes(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distinct planes among heights of contours (in slices), lowest first."""
    ordered = np.sort(heights)
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > 0.1) + 1)
    return np.array([group.mean() for group in groups])


def _cross(polygons: Sequence[Polygon], together: NDArray[np.bool_]) -> bool:
    """True if two contours of a slice overlap in part, neither inside the other."""
    boxes = [(polygon.min(axis=0), polygon.max(axis=0)) for polygon in polygons]
    for first in range(len(polygons)):
        for second in range(first + 1, len(polygons)):
            if np.any(boxes[first][0] > boxes[second][1]) or np.any(boxes[second][0] > boxes[first][1]):
                continue
            one, other = (filled([polygons[index]], together.shape) for index in (first, second))
            common = np.count_nonzero(one & other)
            smaller = min(np.count_nonzero(one), np.count_nonzero(other))
            if CROSSING_PART * smaller < common < (1 - CROSSING_PART) * smaller and area(polygons[first]) and area(polygons[second]):
                return True
    return False


def _by_number(structure_set: Dataset, sequence: str, keyword: str) -> dict[int, Dataset]:
    found: dict[int, Dataset] = {}
    for item in items(structure_set, sequence):
        roi_number = int(number(item, keyword, "A structure"))
        if roi_number in found:
            raise CaseError(f"Two structures of the structure set have the number {roi_number}; export the structures again.")
        found[roi_number] = item
    return found


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
