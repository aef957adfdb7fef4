"""Relative electron density from CT numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case.grid import Grid

# Electron density relative to water against HU: a typical scanner curve from air over lung, adipose, water, muscle and bone to metal
# (points in the range of Schneider, Pedroni and Lomax, Phys. Med. Biol. 41, 111, 1996).
CURVE_HU = np.array([-1024.0, -1000.0, -700.0, -100.0, 0.0, 50.0, 300.0, 1000.0, 2000.0, 3100.0])
CURVE_DENSITY = np.array([0.0, 0.001, 0.29, 0.93, 1.0, 1.045, 1.16, 1.52, 2.02, 2.55])


def relative_electron_density(ct_hu: NDArray[np.float32], body: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Electron density relative to water, same shape as `ct_hu`; zero outside `body`, so that couch and masks do not attenuate.

    CT numbers beyond the curve's ends take the value of the end.

    >>> relative_electron_density(np.array([-1000.0, 0.0, 300.0], np.float32)).round(3).tolist()
    [0.0010000000474974513, 1.0, 1.159999966621399]
    """
    # A table of every whole HU is faster than interpolating every voxel, and exact for CTs stored as integers.
    table = np.interp(np.arange(CURVE_HU[0], CURVE_HU[-1] + 1), CURVE_HU, CURVE_DENSITY).astype(np.float32)
    index = np.clip(np.rint(ct_hu - CURVE_HU[0]), 0, len(table) - 1).astype(np.int32)
    density = table[index]
    return density if body is None else np.where(body, density, np.float32(0))


@dataclass(frozen=True, eq=False)
class Medium:
    """What the beams pass through: relative electron density (z, y, x) on `grid`; nothing attenuates outside the grid."""

    density: NDArray[np.float32]
    grid: Grid

    @property
    def nbytes(self) -> int:
        return self.density.nbytes

    @cached_property
    def attenuating_corners_mm(self) -> NDArray[np.float64]:
        """Corners (8, 3) in LPS of the box outside which the interpolated density is zero; of the whole grid where nothing attenuates."""
        ranges = []
        for axis, size in enumerate(self.density.shape):
            filled = np.flatnonzero(self.density.any(axis=tuple(other for other in range(3) if other != axis)))
            ranges.append((filled[0] - 1, filled[-1] + 1) if len(filled) else (0, size - 1))
        return self.grid.world_from_index(np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3))
