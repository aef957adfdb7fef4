"""Closed contours to masks and masks to contours, in the plane of one slice.

A voxel belongs to a contour if its centre does.  Contours of one slice count by the even-odd rule, as DICOM has it for CLOSEDPLANAR_XOR and as
planning systems read CLOSED_PLANAR: a contour inside another cuts a hole, one inside the hole fills it again, and a keyhole's two coinciding edges
cancel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
"""Corners (n, 2) as column and row, in voxels; the last joins the first."""


def filled(polygons: Sequence[Polygon], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mask (rows, columns) of the voxels whose centres lie inside an odd number of `polygons`.

    >>> int(filled([np.array([[0.6, 0.6], [3.4, 0.6], [3.4, 2.4], [0.6, 2.4]])], (4, 5)).sum())
    6
    """
    rows, columns = shape
    toggles = np.zeros((rows, columns + 1), dtype=np.int32)
    for polygon in polygons:
        x, y = polygon[:, 0], polygon[:, 1]
        x_next, y_next = np.roll(x, -1), np.roll(y, -1)
        # A row is crossed by the edges that begin at or above it and end below it, so that a corner on a row counts once.
        first = np.clip(np.ceil(np.minimum(y, y_next)), 0, rows).astype(int)
        last = np.clip(np.ceil(np.maximum(y, y_next)), 0, rows).astype(int)
        counts = last - first
        edge = np.repeat(np.arange(len(x)), counts)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
        share = (row - y[edge]) / (y_next[edge] - y[edge])
        crossing = x[edge] + share * (x_next[edge] - x[edge])
        column = np.clip(np.ceil(crossing), 0, columns).astype(int)
        np.add.at(toggles, (row, column), 1)
    inside: NDArray[np.bool_] = np.cumsum(toggles[:, :columns], axis=1) % 2 == 1
    return inside


def area(polygon: Polygon) -> float:
    """Area inside a polygon in voxels, without sign.

    >>> area(np.array([[0, 0], [4, 0], [4, 2], [0, 2]]))
    8.0
    """
    x, y = polygon[:, 0], polygon[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Polygons around the voxels of a mask (rows, columns), halfway to their neighbours; `filled` gives the same mask back."""
    from contourpy import LineType, contour_generator  # only writing needs it

    if not mask.any():
        return []
    padded = np.pad(mask, 1).astype(np.float64)
    lines = contour_generator(z=padded, line_type=LineType.Separate).lines(0.5)
    return [np.asarray(line, dtype=float)[:-1] - 1.0 for line in lines]
