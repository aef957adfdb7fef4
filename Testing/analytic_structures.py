"""Spheres, cylinders and cones in linear dose gradients: their DVHs in closed form, and the same structures as surfaces, contours and masks.

The method is that of Nelms et al., Med Phys 42, 4435-4448 (2015).  Cylinders and cones stand along z and are as high as they are wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dose_prediction.case import Grid

CENTRE_GY, GRADIENT_GY_PER_MM = 40.0, 1.0
SHAPES = ("sphere", "cylinder", "cone")
GRADIENTS = ("along", "across")
_STEPS = 4001
_SECTORS = 180


@dataclass(frozen=True)
class Solid:
    """A solid of `cc`, not centred on any voxel, drawn on slices every `slice_mm`; `moved_mm` (x, y, z) from its usual place.

    The flat faces of cylinders and cones lie half-way between two slices: nobody can draw on slices what ends elsewhere.
    """

    shape: str
    cc: float
    slice_mm: float
    moved_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @cached_property
    def half_height(self) -> float:
        free = float((self.cc * 1000 / (np.pi * {"sphere": 4 / 3, "cylinder": 2.0, "cone": 2 / 3}[self.shape])) ** (1 / 3))
        return free if self.shape == "sphere" else max(round(2 * free / self.slice_mm), 2) * self.slice_mm / 2

    @cached_property
    def radius(self) -> float:
        """The largest radius, in a plane across z."""
        factor = np.pi * self.half_height * {"sphere": 4 / 3, "cylinder": 2.0, "cone": 2 / 3}[self.shape]
        return float(np.sqrt(self.cc * 1000 / factor))

    @cached_property
    def offset_mm(self) -> tuple[float, float, float]:
        """Where the middle lies (x, y, z); slices lie at multiples of their spacing."""
        x, y, z = self.moved_mm
        return 0.23 + x, -0.41 + y, z + (0.17 if self.shape == "sphere" else (self.half_height - self.slice_mm / 2) % self.slice_mm)

    def radius_at(self, z: np.ndarray) -> np.ndarray:
        """Radius at the height z above the middle; NaN outside."""
        part = z / self.half_height
        if self.shape == "sphere":
            found = self.radius * np.sqrt(np.maximum(1 - part**2, 0))
        else:
            found = np.full_like(part, self.radius) if self.shape == "cylinder" else self.radius * (1 - part) / 2
        return np.where(np.abs(part) <= 1, found, np.nan)

    def true_doses(self, gradient: str) -> dict[str, float]:
        """D95%, D5% and Dmean in Gy in the linear gradient along or across the slices."""
        reach = self.half_height if gradient == "along" else self.radius
        place = np.linspace(-reach, reach, _STEPS)
        if gradient == "along" or self.shape == "sphere":
            areas = np.nan_to_num(self.radius_at(place)) ** 2
        else:
            heights = (np.arange(2000) + 0.5) / 1000 * self.half_height - self.half_height
            areas = np.array([np.sqrt(np.maximum(self.radius_at(heights) ** 2 - x * x, 0)).sum() for x in place])
        below = np.concatenate([[0.0], np.cumsum((areas[1:] + areas[:-1]) / 2)])
        below /= below[-1]
        offset = self.offset_mm[2] if gradient == "along" else self.offset_mm[0]
        d95, d5 = (CENTRE_GY + GRADIENT_GY_PER_MM * (float(np.interp(part, below, place)) + offset) for part in (0.05, 0.95))
        mean = CENTRE_GY + GRADIENT_GY_PER_MM * (float((areas * place).sum() / areas.sum()) + offset)
        return {"D95%": d95, "D5%": d5, "Dmean": mean}

    def dose(self, gradient: str, spacing_mm: float) -> tuple[np.ndarray, Grid]:
        half = int(np.ceil((max(self.radius, self.half_height) + 4.5) / spacing_mm)) + 1
        first, n = -half * spacing_mm, 2 * half + 1
        grid = Grid((n, n, n), (first, first, first), (spacing_mm,) * 3)
        place = first + np.arange(n) * spacing_mm
        values = place[:, None, None] if gradient == "along" else place[None, None, :]
        return CENTRE_GY + GRADIENT_GY_PER_MM * np.broadcast_to(values, grid.shape), grid

    def contours(self) -> list[np.ndarray]:
        """Circles on the slices that cut the solid, as polygons of the circle's area."""
        angle = np.arange(_SECTORS) * 2 * np.pi / _SECTORS
        widened = np.sqrt(2 * np.pi / _SECTORS / np.sin(2 * np.pi / _SECTORS))
        found = []
        x, y, z = self.offset_mm
        first, last = np.ceil((z - self.half_height) / self.slice_mm), np.floor((z + self.half_height) / self.slice_mm)
        for height in np.arange(first, last + 1) * self.slice_mm:
            r = float(self.radius_at(np.array(height - z)))
            if r > 0:
                found.append(np.stack([x + widened * r * np.cos(angle), y + widened * r * np.sin(angle), np.full(_SECTORS, height)], axis=-1))
        return found

    def surface(self) -> tuple[np.ndarray, np.ndarray]:
        """Points and triangles: rings of points between two poles, widened so that the faces enclose the right areas."""
        widened = np.sqrt(2 * np.pi / _SECTORS / np.sin(2 * np.pi / _SECTORS))
        heights = self.half_height * (-np.cos(np.linspace(0, np.pi, 122)[1:-1]) if self.shape == "sphere" else np.array([-1.0, 1.0 - 1e-9]))
        angle = np.arange(_SECTORS) * 2 * np.pi / _SECTORS
        radii = widened * np.maximum(self.radius_at(heights), 0)
        rings = [np.stack([r * np.cos(angle), r * np.sin(angle), np.full(_SECTORS, h)], axis=-1) for r, h in zip(radii, heights, strict=True)]
        points = np.concatenate([*rings, [[0, 0, -self.half_height], [0, 0, self.half_height]]]) + np.array(self.offset_mm)
        now, after = np.arange(_SECTORS), np.roll(np.arange(_SECTORS), -1)
        triangles = []
        for ring in range(len(rings) - 1):
            low, high = ring * _SECTORS, (ring + 1) * _SECTORS
            triangles += [np.stack([low + now, low + after, high + now], axis=-1), np.stack([high + now, low + after, high + after], axis=-1)]
        south, north, top = len(points) - 2, len(points) - 1, (len(rings) - 1) * _SECTORS
        triangles += [
            np.stack([np.full(_SECTORS, south), after, now], axis=-1),
            np.stack([np.full(_SECTORS, north), top + now, top + after], axis=-1),
        ]
        return points, np.concatenate(triangles)

    def mask(self, pixel_mm: float = 1.0) -> tuple[np.ndarray, Grid]:
        """The voxels whose centres are inside."""
        spacing = np.array([self.slice_mm, pixel_mm, pixel_mm])
        half = np.ceil((np.array([self.half_height, self.radius, self.radius]) + np.abs(self.offset_mm[::-1])) / spacing).astype(int) + 1
        z, y, x = (np.indices(2 * half + 1) - half[:, None, None, None]) * spacing[:, None, None, None]
        dx, dy, dz = self.offset_mm
        r = self.radius_at(z - dz)
        grid = Grid(tuple(2 * half + 1), tuple((-half * spacing)[::-1]), (pixel_mm, pixel_mm, self.slice_mm))
        return np.nan_to_num((x - dx) ** 2 + (y - dy) ** 2 <= r * r).astype(bool), grid

    def partial_volumes(self, pixel_mm: float = 1.0) -> tuple[np.ndarray, Grid]:
        """How much of each voxel is inside: exact along x, by lines every sixteenth of a pixel along y and sheets at most 0.1 mm apart along z."""
        mask, grid = self.mask(pixel_mm)
        _, y, x = (np.arange(n) * spacing + first for n, spacing, first in zip(mask.shape, grid.spacing_zyx_mm, grid.origin_mm[::-1], strict=True))
        sheets = max(int(np.ceil(self.slice_mm / 0.1)), 8)
        dx, dy, dz = self.offset_mm
        lines = (y[:, None] + ((np.arange(16) + 0.5) / 16 - 0.5) * pixel_mm).ravel() - dy
        weights = np.zeros(mask.shape)
        for index in range(mask.shape[0]):
            heights = grid.origin_mm[2] + (index + (np.arange(sheets) + 0.5) / sheets - 0.5) * self.slice_mm - dz
            for radius in self.radius_at(heights):
                if radius > 0:
                    reach = np.sqrt(np.maximum(radius**2 - lines**2, 0))[:, None]
                    covered = np.minimum(x + pixel_mm / 2, dx + reach) - np.maximum(x - pixel_mm / 2, dx - reach)
                    weights[index] += np.clip(covered, 0, None).reshape(y.size, 16, x.size).mean(axis=1) / pixel_mm / sheets
        return np.minimum(weights, 1.0), grid

    def volumes_with_the_same_mask(self) -> tuple[float, float]:
        """Smallest and largest volume in cc of solids of this shape that fill just the same voxels: other radii, moved by parts of a voxel."""
        mask, grid = self.mask()
        places = grid.world_from_index(np.argwhere(np.ones(mask.shape, bool))) - self.offset_mm
        reach = np.array([0.2, 0.2, 0.2 * self.slice_mm if self.shape == "sphere" else 0.0])
        least = most = self.radius
        for move in np.concatenate([np.zeros((1, 3)), np.random.default_rng(0).normal(size=(4000, 3)) * reach]):
            x, y, z = (places - move).T
            # The radius of the solid that would just hold each voxel.
            with np.errstate(divide="ignore"):
                needed = np.sqrt(x * x + y * y + z * z) if self.shape == "sphere" else np.hypot(x, y) * self.radius / self.radius_at(z)
            inside, outside = np.nanmax(needed[mask.ravel()]), np.nanmin(needed[~mask.ravel()])
            if inside < outside:
                least, most = min(least, inside), max(most, outside)
        power = 3 if self.shape == "sphere" else 2
        return self.cc * (least / self.radius) ** power, self.cc * (most / self.radius) ** power
