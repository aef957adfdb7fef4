"""Voxel grids in the patient frame (DICOM LPS, mm)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dose_prediction.case.errors import CaseError

MAX_SPACING_MM = 20.0

Direction = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
IDENTITY: Direction = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Grid:
    """A voxel grid: where the voxels of a (z, y, x) array lie in the patient.

    `shape` is in array order (k, j, i), as NumPy has it; origin, spacing and direction are in ITK order (i, j, k).  The columns of `direction` are
    the unit vectors of the i, j and k axes in LPS; oblique and left-handed sets are allowed, skewed ones are not.
    """

    shape: tuple[int, int, int]
    origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    direction: Direction = IDENTITY

    def __post_init__(self) -> None:
        shape, origin, spacing = tuple(self.shape), tuple(self.origin_mm), tuple(self.spacing_mm)
        if len(shape) != 3 or any(not 1 <= n < np.inf or int(n) != n for n in shape):
            raise CaseError(f"Grid shape is {shape}; give three positive whole numbers (slices, rows, columns).")
        if len(spacing) != 3 or not all(np.isfinite(s) and 0 < s <= MAX_SPACING_MM for s in spacing):
            raise CaseError(f"Grid spacing is {spacing} mm; each must be above 0 and at most {MAX_SPACING_MM:g} mm. Correct the image header.")
        if len(origin) != 3 or not np.all(np.isfinite(origin)):
            raise CaseError(f"Grid origin is {origin}; give three finite numbers in mm.")
        direction = np.asarray(self.direction, dtype=float)
        if direction.shape != (3, 3) or not np.allclose(direction.T @ direction, np.eye(3), atol=1e-4):
            raise CaseError(f"Grid direction {direction.tolist()} has no three perpendicular unit columns; resample the image to an unskewed grid.")
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        object.__setattr__(self, "origin_mm", tuple(float(o) for o in origin))
        object.__setattr__(self, "spacing_mm", tuple(float(s) for s in spacing))
        object.__setattr__(self, "direction", tuple(tuple(float(v) for v in row) for row in direction))

    @cached_property
    def index_to_world_matrix(self) -> NDArray[np.float64]:
        """Affine (4, 4) from (i, j, k) indices to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction) * np.asarray(self.spacing_mm)
        matrix[:3, 3] = self.origin_mm
        return matrix

    @property
    def voxel_volume_mm3(self) -> float:
        return float(np.prod(self.spacing_mm))

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Spacing along the axes of a (z, y, x) array."""
        x, y, z = self.spacing_mm
        return z, y, x

    def world_from_index(self, index_zyx: ArrayLike) -> NDArray[np.float64]:
        """LPS points (..., 3) in mm of array indices (..., 3) in z, y, x order; indices may be fractional."""
        ijk = np.asarray(index_zyx, dtype=float)[..., ::-1]
        return ijk @ self.index_to_world_matrix[:3, :3].T + self.index_to_world_matrix[:3, 3]

    def index_from_world(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Fractional array indices (..., 3) in z, y, x order of LPS points (..., 3) in mm."""
        offset = np.asarray(points_mm, dtype=float) - self.index_to_world_matrix[:3, 3]
        return (offset @ np.asarray(self.direction) / np.asarray(self.spacing_mm))[..., ::-1]

    def cropped(self, start_zyx: tuple[int, int, int], shape: tuple[int, int, int]) -> Grid:
        """The grid of the block of `shape` that starts at index `start_zyx`; it may reach beyond this grid."""
        x, y, z = self.world_from_index(start_zyx)
        return Grid(shape, (x, y, z), self.spacing_mm, self.direction)

    def matches(self, other: Grid, tolerance_mm: float = 0.01) -> bool:
        """True if both grids put every voxel within `tolerance_mm` of the same place."""
        if self.shape != other.shape:
            return False
        corners = np.array([[z, y, x] for z in (0, self.shape[0] - 1) for y in (0, self.shape[1] - 1) for x in (0, self.shape[2] - 1)])
        return bool(np.max(np.abs(self.world_from_index(corners) - other.world_from_index(corners))) <= tolerance_mm)
