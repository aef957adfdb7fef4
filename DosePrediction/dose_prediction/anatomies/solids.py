"""Solids in a bent space, and the CT of what is drawn with them: how the phantoms are made.

x runs to the patient's left, y to posterior, z to superior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from dose_prediction.case import Grid

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]
Point = tuple[float, float, float]

# Distances to a solid are known up to here, which is further than any solid is blended or the space is bent.
FAR_MM = 45.0

# CT numbers in HU.
AIR, LUNG, FAT, FLUID, SKIN, MUSCLE, SPONGY_BONE, CORTICAL_BONE = -1000.0, -780.0, -95.0, 8.0, 20.0, 55.0, 320.0, 950.0


@dataclass(frozen=True, eq=False)
class Space:
    """Coordinates of every voxel of `grid` in mm, bent, and solids in them as distances to their surface (mm, negative inside)."""

    grid: Grid
    x: Field
    y: Field
    z: Field

    def ellipsoid(self, centre: Point, semi_axes: Point) -> Field:
        near = self._near([centre], max(semi_axes))
        dx, dy, dz = self.x[near] - centre[0], self.y[near] - centre[1], self.z[near] - centre[2]
        a, b, c = semi_axes
        scaled = np.sqrt((dx / a) ** 2 + (dy / b) ** 2 + (dz / c) ** 2)
        steepness = np.sqrt((dx / a**2) ** 2 + (dy / b**2) ** 2 + (dz / c**2) ** 2)
        distance = np.full(self.x.shape, FAR_MM, dtype=np.float32)
        distance[near] = scaled * (scaled - 1) / np.maximum(steepness, 1e-6)
        return distance

    def tube(self, points: Sequence[Point], radii: Sequence[float], flatness: float = 1.0) -> Field:
        """A round tube through `points`, its radius changing from one to the next; `flatness` above 1 makes it wider in x than in y."""
        nearest = np.full(self.x.shape, FAR_MM, dtype=np.float32)
        for start, end, r_start, r_end in zip(points, points[1:], radii, radii[1:], strict=False):
            near = self._near([start, end], max(r_start, r_end) * flatness)
            ax, ay, az = (e - s for s, e in zip(start, end, strict=True))
            dx, dy, dz = self.x[near] - start[0], self.y[near] - start[1], self.z[near] - start[2]
            share = np.clip((dx * ax + dy * ay + dz * az) / (ax**2 + ay**2 + az**2), 0, 1)
            distance = np.sqrt(((dx - share * ax) / flatness) ** 2 + (dy - share * ay) ** 2 + (dz - share * az) ** 2)
            nearest[near] = np.minimum(nearest[near], distance - (r_start + share * (r_end - r_start)))
        return nearest

    def pair(self, points: Sequence[Point], radii: Sequence[float]) -> Field:
        """A tube and its mirror image on the other side."""
        return np.minimum(self.tube(points, radii), self.tube([(-x, y, z) for x, y, z in points], radii))

    def ellipsoids(self, centre: Point, semi_axes: Point) -> Field:
        """An ellipsoid and its mirror image on the other side."""
        x, y, z = centre
        return np.minimum(self.ellipsoid(centre, semi_axes), self.ellipsoid((-x, y, z), semi_axes))

    def _near(self, points: Sequence[Point], radius_mm: float) -> tuple[slice, ...]:
        """The block of voxels within `FAR_MM` of what lies around `points`."""
        low, high = np.min(points, axis=0) - radius_mm - FAR_MM, np.max(points, axis=0) + radius_mm + FAR_MM
        first, last = self.grid.index_from_world(low), self.grid.index_from_world(high)
        return tuple(slice(max(0, int(f)), max(0, int(e) + 2)) for f, e in zip(first, last, strict=True))


def bent_space(grid: Grid, generator: np.random.Generator) -> Space:
    """The grid's coordinates, bent by a few mm and scaled by a few per cent, so that no two sides and no two patients are alike."""
    depth, height, width = grid.shape
    corner = np.array(grid.origin_mm)
    dx, dy, dz = grid.spacing_mm
    x = corner[0] + dx * np.arange(width)[None, None, :]
    y = corner[1] + dy * np.arange(height)[None, :, None]
    z = corner[2] + dz * np.arange(depth)[:, None, None]
    scale = 1 + 0.025 * generator.uniform(-1, 1, 3)
    bent = []
    for axis, along in enumerate((x, y, z)):
        waves = np.zeros(grid.shape)
        for _ in range(3):
            kx, ky, kz = generator.uniform(-1, 1, 3) * 2 * np.pi / 180
            waves += 1.2 * np.sin(kx * x + ky * y + kz * z + generator.uniform(0, 2 * np.pi))
        bent.append(((along + waves) * scale[axis]).astype(np.float32))
    return Space(grid, *bent)


def blend(one: Field, other: Field, radius_mm: float) -> Field:
    """Union of two solids with the edge between them rounded."""
    share = np.clip(0.5 + 0.5 * (other - one) / radius_mm, 0, 1)
    return (other + (one - other) * share - radius_mm * share * (1 - share)).astype(np.float32)


def scanned(hu: Field, body: Mask, grid: Grid, generator: np.random.Generator) -> Field:
    """The CT as a scanner gives it: partial volume at edges, the grain of tissue, noise; whole HU."""
    grain = ndimage.gaussian_filter(generator.standard_normal(grid.shape).astype(np.float32), 1.6)
    grain *= np.float32(1 / grain.std())
    noise = ndimage.gaussian_filter(generator.standard_normal(grid.shape).astype(np.float32), 0.5)
    noise *= np.float32(1 / noise.std())
    tissue = hu > -300
    seen = hu + tissue * np.where(hu > 200, 45, 9) * grain + (hu < -600) * body * 25 * grain
    seen = ndimage.gaussian_filter(seen.astype(np.float32), 0.55)
    seen += np.where(body, 9, 4).astype(np.float32) * noise
    return np.clip(np.round(seen), -1024, 3000).astype(np.float32)
