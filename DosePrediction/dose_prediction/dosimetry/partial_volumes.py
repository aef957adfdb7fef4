"""Where in its voxels a structure lies that is given by partial-volume weights.

In every voxel that it fills in part it lies on one side of a plane, as in volume-of-fluid methods: the plane stands across the gradient of the
weights (Youngs, in Numerical Methods for Fluid Dynamics, Academic Press, 1982, 273-285) and cuts off the share that the voxel's weight gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def covered_parts(weights: NDArray[Any], voxels: NDArray[np.intp], parts: Floats) -> Floats:
    """How much (0 to 1) of each part of these voxels is in the structure; the parts of a voxel are equally large, their mean is its weight.

    `voxels` (n, 3) are indices into `weights`, `parts` (n, m, 3) the places of the parts from their voxel's centre, in voxels.

    A voxel of a half between a full one and an empty one is full on the full one's side:

    >>> places = np.array([[[0.0, 0.0, -0.375], [0.0, 0.0, -0.125], [0.0, 0.0, 0.125], [0.0, 0.0, 0.375]]])
    >>> covered_parts(np.array([[[1.0, 0.5, 0.0]]]), np.array([[0, 0, 1]]), places).tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """
    covered: Floats = np.repeat(weights[tuple(voxels.T)].astype(np.float64)[:, None], parts.shape[1], axis=1)
    partial = np.flatnonzero(covered[:, 0] < 1)
    if partial.size == 0:
        return covered
    inwards = _gradients(weights, voxels[partial])
    # Around a voxel that stands alone nothing says where the plane would be.
    has_plane = np.abs(inwards).max(axis=1) > 1e-9
    cut, inwards = partial[has_plane], inwards[has_plane]
    order = np.argsort(-(parts[cut] * inwards[:, None]).sum(axis=2), axis=1, kind="stable")
    deepest_first = np.clip(covered[cut] * parts.shape[1] - np.arange(parts.shape[1]), 0, 1)
    filled = np.empty_like(deepest_first)
    np.put_along_axis(filled, order, deepest_first, axis=1)
    covered[cut] = filled
    return covered


def _gradients(weights: NDArray[Any], voxels: NDArray[np.intp]) -> Floats:
    """The gradient of the weights (n, 3) at these voxels, over the 27 voxels around each; what lies beyond the grid is as its edge."""
    from scipy.ndimage import sobel

    low, high = np.maximum(voxels.min(axis=0) - 1, 0), voxels.max(axis=0) + 2
    box = weights[tuple(slice(*ends) for ends in zip(low, high, strict=True))].astype(np.float64)
    there = tuple((voxels - low).T)
    return np.stack([sobel(box, axis, mode="nearest")[there] for axis in range(3)], axis=1)
