"""The patient's outline, found on the CT.

SciPy is imported where it is used, so that a case can be put together where it is not installed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case.errors import CaseError
from dose_prediction.case.grid import Grid

SKIN_HU = -400.0
# Sheets thinner than twice this are the couch, blankets and masks, not the patient.
OPENING_RADIUS_MM = 5.0
# The piece that is the patient is sought on voxels of at least this size; finer ones say nothing more about it.
SEARCH_SPACING_MM = 3.0
SMALLEST_BODY_CC = 100.0


def find_body(ct_hu: NDArray[np.floating] | NDArray[np.integer], grid: Grid) -> NDArray[np.bool_]:
    """Voxels (z, y, x) inside the skin: the largest piece above -400 HU without the couch, with lungs and airways filled in slice by slice."""
    from scipy import ndimage

    dense = np.asarray(ct_hu) > SKIN_HU
    strides = tuple(max(1, round(SEARCH_SPACING_MM / spacing)) for spacing in grid.spacing_zyx_mm)
    coarse = dense[tuple(slice(stride // 2, None, stride) for stride in strides)]
    coarse_spacing = np.array(grid.spacing_zyx_mm) * strides
    radius = np.maximum(1, np.round(OPENING_RADIUS_MM / coarse_spacing)).astype(int)
    # The border counts as inside, so that the patient is not worn away where the scan ends.
    opened = ndimage.binary_dilation(_worn(coarse, radius), np.ones(2 * radius + 1, dtype=bool), mask=coarse)
    piece = _largest_piece(opened)
    if piece.sum() * np.prod(coarse_spacing) < SMALLEST_BODY_CC * 1000:
        raise CaseError(
            f"No body on the CT: nothing above {SKIN_HU:g} HU is larger than {SMALLEST_BODY_CC:g} cc. Load a CT in HU, or a body contour."
        )
    # One more voxel around recovers ears and edges that the opening rounded off.
    piece = ndimage.binary_dilation(piece, np.ones((3, 3, 3), dtype=bool))
    for axis, stride in enumerate(strides):
        piece = np.take(piece, np.minimum(np.arange(dense.shape[axis]) // stride, piece.shape[axis] - 1), axis=axis)
    return _filled_by_slice(dense & piece)


def _worn(mask: NDArray[np.bool_], radius: NDArray[np.int_]) -> NDArray[np.bool_]:
    """Erosion by a box, one axis at a time."""
    from scipy import ndimage

    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = 2 * int(radius[axis]) + 1
        mask = ndimage.binary_erosion(mask, np.ones(shape, dtype=bool), border_value=1)
    return mask


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: NDArray[np.bool_] = labels == sizes.argmax()
    return largest


def _filled_by_slice(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Holes that are closed within their slice are filled; all slices are labelled in one go with in-plane neighbours only."""
    from scipy import ndimage

    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    labels, count = ndimage.label(~mask, in_plane)
    is_open = np.zeros(count + 1, dtype=bool)
    for edge in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        is_open[edge.ravel()] = True
    is_open[0] = False
    outside: NDArray[np.bool_] = is_open[labels]
    return ~outside
