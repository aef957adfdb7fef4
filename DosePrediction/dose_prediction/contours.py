"""Closed planar contours to masks and masks to contours.

A voxel belongs to a contour if its centre does.  Contours of one slice count by the even-odd rule, as DICOM has it for CLOSEDPLANAR_XOR and as
planning systems read CLOSED_PLANAR: a contour inside another cuts a hole, one inside the hole fills it again, and a keyhole's two coinciding edges
cancel.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dose_prediction.case import CaseError, CaseWarning, Grid

Polygon = NDArray[np.float64]
"""Corners (n, 2) as column and row, in voxels; the last joins the first."""

# Contours reach this far across their slice by rounding; by more they were edited on other planes.
FLAT_MM = 0.1
CROSSING_PART = 0.02
# A structure is coarse if the volume of its voxels differs by more from what its contours enclose.
COARSE_PART = 0.1
_LINES = 8  # through each row, for areas
TIE = 1e-3  # in slices


def polygons_to_mask(polygons_mm: Sequence[ArrayLike], grid: Grid, name: str) -> NDArray[np.bool_]:
    """The mask (z, y, x) on `grid` of the structure called `name`, given as closed contours: corners (n, 3) in LPS mm, in the planes of the slices.

    Every slice takes the contours of the plane that is nearest, up to half the distance between planes away, so contours may lie between slices, on
    every second slice or finer than the slices.  A contour that is there twice counts once, one of fewer than three corners has no area.  Without a
    contour on the grid the mask is empty.  Raises CaseError for contours across the slices; what is doubtful (crossing contours, slices
    that were left out, a structure beyond the grid or too small for its voxels) is told of with a CaseWarning.

    >>> square = [[-0.5, -0.5, 1], [1.5, -0.5, 1], [1.5, 1.5, 1], [-0.5, 1.5, 1]]
    >>> polygons_to_mask([square], Grid((3, 4, 4)), "Cube").sum(axis=(1, 2)).tolist()
    [0, 4, 0]
    """
    heights: list[float] = []
    polygons: list[Polygon] = []
    seen: set[bytes] = set()
    repeated = not_flat = 0
    for given in polygons_mm:
        points = _corners(given, name)
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
        heights.append(float(index[:, 0].mean()))
        polygons.append(index[:, :0:-1])
    if repeated:
        _warn(f"{name!r} has {repeated} contour{'s' if repeated > 1 else ''} twice; counted once.")
    if not_flat:
        _warn(f"{not_flat} contour{'s' if not_flat > 1 else ''} of {name!r} do not lie in one plane; taken at their mean height.")
    return _stacked(np.array(heights), polygons, grid, name) if polygons else np.zeros(grid.shape, dtype=bool)


def _corners(given: ArrayLike, name: str) -> NDArray[np.float64]:
    """Corners (n, 3) without a last one that repeats the first."""
    points = np.asarray(given, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise CaseError(f"A contour of {name!r} has corners of shape {points.shape}; give finite x, y and z of each in mm.")
    return points[:-1] if len(points) > 1 and np.array_equal(points[0], points[-1]) else points


def _stacked(heights: NDArray[np.float64], polygons: Sequence[Polygon], grid: Grid, name: str) -> NDArray[np.bool_]:
    """The mask of polygons at heights in slices: each slice takes those of the nearest plane."""
    mask = np.zeros(grid.shape, dtype=bool)
    planes = _planes(heights)
    apart = float(np.median(np.diff(planes))) if len(planes) > 1 else 1.0
    if apart > 1.5:
        step = grid.spacing_mm[2]
        _warn(f"{name!r} has contours {apart * step:.4g} mm apart on slices {step:.4g} mm apart; each was taken to stand for the slices around it.")
    end, between = apart / 2, max(apart, 1.0) / 2
    if planes[-1] + end < -0.5 or planes[0] - end > grid.shape[0] - 0.5:
        return mask
    if planes[0] < -0.75 or planes[-1] > grid.shape[0] - 0.25:
        _warn(f"{name!r} reaches beyond the first or last slice of the CT and was cut there.")
    of_plane: defaultdict[int, list[Polygon]] = defaultdict(list)
    for height, polygon in zip(heights, polygons, strict=True):
        of_plane[int(np.argmin(np.abs(planes - height)))].append(polygon)
    outside = crossing = False
    skipped = 0
    shape = (grid.shape[1], grid.shape[2])
    for index in range(grid.shape[0]):
        distance = planes - index
        if not (distance[0] <= end - TIE and distance[-1] > -end - TIE):
            continue
        # Of two planes at the same distance the lower one counts.
        plane = int(np.argmin(np.abs(distance) + TIE * (distance > 0)))
        if abs(distance[plane]) > between + TIE:
            skipped += 1
            continue
        mask[index] = filled(of_plane[plane], shape)
        outside |= any(_reaches_beyond(polygon, shape) for polygon in of_plane[plane])
        crossing |= len(of_plane[plane]) > 1 and _cross(of_plane[plane], shape)
    if outside:
        _warn(f"{name!r} reaches beyond the edge of the CT and was cut there.")
    if skipped:
        _warn(f"{name!r} has no contour on {skipped} slice{'s' if skipped > 1 else ''} between its first and its last; nothing was drawn in between.")
    if crossing:
        _warn(f"Contours of {name!r} cross one another within a slice; where two overlap counts as outside, as in a hole.")
    if mask.any() and not (outside or skipped or planes[0] < -0.5 or planes[-1] > grid.shape[0] - 0.5):
        _tell_if_coarse(name, mask, sum(map(area, of_plane.values())) * apart, grid)
    return mask


def _tell_if_coarse(name: str, mask: NDArray[np.bool_], enclosed_voxels: float, grid: Grid) -> None:
    found = np.count_nonzero(mask)
    if abs(found - enclosed_voxels) > COARSE_PART * enclosed_voxels:
        size = " x ".join(f"{spacing:.3g}" for spacing in grid.spacing_mm)
        cc = grid.voxel_volume_mm3 / 1000
        _warn(f"Voxels of {size} mm are coarse for {name!r}: its contours enclose {enclosed_voxels * cc:.3g} cc, its voxels {found * cc:.3g} cc.")


def _planes(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distinct planes among heights of contours (in slices), lowest first."""
    ordered = np.sort(heights)
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > 0.1) + 1)
    return np.array([group.mean() for group in groups])


def _reaches_beyond(polygon: Polygon, shape: tuple[int, int]) -> bool:
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return bool(np.any(low < -1) or high[0] > shape[1] or high[1] > shape[0])


def _cross(polygons: Sequence[Polygon], shape: tuple[int, int]) -> bool:
    """True if two contours of a slice overlap in part, neither inside the other."""
    boxes = [(polygon.min(axis=0), polygon.max(axis=0)) for polygon in polygons]
    for first in range(len(polygons)):
        for second in range(first + 1, len(polygons)):
            if np.any(boxes[first][0] > boxes[second][1]) or np.any(boxes[second][0] > boxes[first][1]):
                continue
            one, other = (filled([polygons[index]], shape) for index in (first, second))
            common = np.count_nonzero(one & other)
            smaller = min(np.count_nonzero(one), np.count_nonzero(other))
            if CROSSING_PART * smaller < common < (1 - CROSSING_PART) * smaller:
                return True
    return False


def filled(polygons: Sequence[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask (rows, columns) of the voxels whose centres lie inside an odd number of `polygons`.

    >>> int(filled([np.array([[0.6, 0.6], [3.4, 0.6], [3.4, 2.4], [0.6, 2.4]])], (4, 5)).sum())
    6
    """
    rows, columns = shape
    toggles = np.zeros((rows, columns + 1), dtype=np.int32)
    for polygon in polygons:
        row, crossing = _crossings(polygon, rows)
        np.add.at(toggles, (row, np.clip(np.ceil(crossing), 0, columns).astype(int)), 1)
    inside: NDArray[np.bool_] = np.cumsum(toggles[:, :columns], axis=1) % 2 == 1
    return inside


def area(polygons: Sequence[Polygon]) -> float:
    """The area in voxels that lies inside an odd number of `polygons`, by lines through them, eight a row.

    >>> area([np.array([[0, 0], [4, 0], [4, 2], [0, 2]]), np.array([[1, 1], [2, 1], [2, 2], [1, 2]])])
    7.0
    """
    top = np.floor(min(polygon[:, 1].min() for polygon in polygons))
    # Stretched and shifted so that the lines run through whole rows, half a line from the top.
    stretched = [np.column_stack([polygon[:, 0], (polygon[:, 1] - top) * _LINES - 0.5]) for polygon in polygons]
    lines = int(np.ceil(max(polygon[:, 1].max() for polygon in stretched))) + 1
    row, crossing = (np.concatenate(parts) for parts in zip(*(_crossings(polygon, lines) for polygon in stretched), strict=True))
    crossing = crossing[np.lexsort((crossing, row))]
    return float(np.sum(crossing[1::2] - crossing[::2])) / _LINES


def _crossings(polygon: Polygon, rows: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Where the edges of a polygon cross the rows from 0 to below `rows`: the row and the place along it, for each crossing."""
    x, y = polygon[:, 0], polygon[:, 1]
    x_next, y_next = np.roll(x, -1), np.roll(y, -1)
    # A row is crossed by the edges that begin at or above it and end below it, so that a corner on a row counts once.
    first = np.clip(np.ceil(np.minimum(y, y_next)), 0, rows).astype(int)
    last = np.clip(np.ceil(np.maximum(y, y_next)), 0, rows).astype(int)
    counts = last - first
    edge = np.repeat(np.arange(len(x)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    share = (row - y[edge]) / (y_next[edge] - y[edge])
    return row, x[edge] + share * (x_next[edge] - x[edge])


def outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Polygons around the voxels of a mask (rows, columns), halfway to their neighbours; `filled` gives the same mask back."""
    from contourpy import LineType, contour_generator  # only writing needs it

    if not mask.any():
        return []
    padded = np.pad(mask, 1).astype(np.float64)
    lines = contour_generator(z=padded, line_type=LineType.Separate).lines(0.5)
    return [np.asarray(line, dtype=float)[:-1] - 1.0 for line in lines]


def _warn(sentence: str) -> None:
    warnings.warn(sentence, CaseWarning, stacklevel=3)
