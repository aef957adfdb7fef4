"""Planar contours of a segment, as an RTSTRUCT brings them, filled by the core: neither SlicerRT nor its slow conversion is needed."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

from dose_prediction.case import CaseWarning, Grid
from dose_prediction.contours import FLAT_MM, polygons_to_mask

from .Background import in_background

PLANAR_CONTOUR = "Planar contour"
RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
LATTICE_MM = 1.0  # within a plane
# Of contours in one plane only, how far that plane reaches is not known.
LONE_PLANE_MM = 3.0
THINNEST_MM, THICKEST_MM = 0.5, 20.0  # distance of planes
# Warnings are caught for the whole process; a filling that is no longer wanted may still be going on when the next begins.
ONE_AT_A_TIME = threading.Lock()

Contour = NDArray[np.float64]
"""Corners (n, 3) in LPS mm in the segmentation's own frame."""


@dataclass(frozen=True, eq=False)
class FilledContours:
    """Voxels (z, y, x) of contours, and what is doubtful about these in sentences."""

    mask: NDArray[np.bool_]
    doubts: tuple[str, ...]


def contours_of(segment: Any) -> list[Contour]:
    """The contours of a segment; none where it has no planar contours."""
    outlines = segment.GetRepresentation(PLANAR_CONTOUR)
    if outlines is None or outlines.GetNumberOfLines() == 0:
        return []
    points = vtk_to_numpy(outlines.GetPoints().GetData()).astype(np.float64) * RAS_TO_LPS
    lines = outlines.GetLines()
    corners, borders = vtk_to_numpy(lines.GetConnectivityArray()), vtk_to_numpy(lines.GetOffsetsArray())
    return [points[ids] for ids in np.split(corners, borders[1:-1])]


def fill(contours: Sequence[Contour], grid: Grid, name: str) -> Generator[float, None, FilledContours]:
    """The voxels of `grid`, which lies in the frame of the contours, that they enclose; yields while they are being filled.

    Raises CaseError for contours across the slices of the grid.
    """

    def work(_tell: Any) -> FilledContours:
        with ONE_AT_A_TIME, warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always", CaseWarning)
            mask = polygons_to_mask(contours, grid, name)
        return FilledContours(mask, tuple(str(warning.message) for warning in heard if issubclass(warning.category, CaseWarning)))

    return (yield from in_background(work))


def is_flat_in(contours: Sequence[Contour], grid: Grid) -> bool:
    """True where every contour lies within a plane along the slices of the grid."""
    return all(float(np.ptp(grid.index_from_world(contour)[:, 0])) * grid.spacing_mm[2] <= FLAT_MM for contour in contours)


def lattice_around(contours: Sequence[Contour]) -> Grid:
    """Axial slices in the planes of the contours, of voxels of a millimetre."""
    points = np.concatenate(contours)
    heights = np.unique(np.round([contour[:, 2].mean() for contour in contours], 2))
    apart = float(np.clip(np.median(np.diff(heights)), THINNEST_MM, THICKEST_MM)) if heights.size > 1 else LONE_PLANE_MM
    low, high = points[:, :2].min(axis=0) - LATTICE_MM, points[:, :2].max(axis=0) + LATTICE_MM
    columns, rows = np.ceil((high - low) / LATTICE_MM).astype(int) + 1
    # A plane stands for the slices half-way to the next, so there is one more at either end.
    slices = round(float(np.ptp(heights)) / apart) + 3
    return Grid((slices, int(rows), int(columns)), (low[0], low[1], heights[0] - apart), (LATTICE_MM, LATTICE_MM, apart))
