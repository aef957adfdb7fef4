"""The sheet that an anatomy is drawn on: CT numbers, and masks by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from dose_prediction.anatomies.build import Build
from dose_prediction.anatomies.solids import AIR, FAT, MUSCLE, SKIN, Field, Mask, Point, Space, bent_space
from dose_prediction.case import Grid

# 4 x 4 x 3 mm, which the planning region keeps as it is.
GRID = Grid((88, 110, 146), origin_mm=(-290.0, -218.0, -130.5), spacing_mm=(4.0, 4.0, 3.0))


@dataclass(frozen=True, eq=False)
class Canvas:
    """What is drawn so far; solids are distances in mm, negative inside.  `core` is the wall of the trunk beneath skin and fat."""

    space: Space
    core: Field
    body: Mask
    hu: Field
    generator: np.random.Generator
    masks: dict[str, Mask] = field(default_factory=dict)

    def paint(self, solid: Field | Mask, hu: float, name: str | None = None) -> Mask:
        """Give what is inside `solid` and the body a CT number, and keep it as a structure if it has a name."""
        mask = self.body & (solid.astype(bool) if solid.dtype == bool else solid < 0)
        self.hu[mask] = hu
        if name is not None:
            self.masks[name] = mask
        return mask

    def organ(self, centre: Point, semi_axes: Point) -> Field:
        """An ellipsoid, moved by a few mm and grown or shrunk along each axis by up to a tenth."""
        shift = self.generator.uniform(-4, 4, 3)
        growth = 1 + 0.1 * self.generator.uniform(-1, 1, 3)
        moved = [float(c + s) for c, s in zip(centre, shift, strict=True)]
        grown = [float(a * g) for a, g in zip(semi_axes, growth, strict=True)]
        return self.space.ellipsoid((moved[0], moved[1], moved[2]), (grown[0], grown[1], grown[2]))

    def grown(self, mask: Mask, margin_mm: float) -> Mask:
        """All that is in the body and within `margin_mm` of the mask."""
        return self.body & (ndimage.distance_transform_edt(~mask, sampling=self.space.grid.spacing_zyx_mm) <= margin_mm)

    def depth_mm(self) -> Field:
        """The distance of every voxel in the body from the skin."""
        return ndimage.distance_transform_edt(self.body, sampling=self.space.grid.spacing_zyx_mm).astype(np.float32)

    def ball_inside(self, mask: Mask, radius_mm: float) -> Mask:
        """A ball about a random point of `mask` that lies deep in it: at least half the radius from its border, where there is such a point."""
        depth = ndimage.distance_transform_edt(mask, sampling=self.space.grid.spacing_zyx_mm)
        choice = np.argwhere(depth >= min(0.5 * radius_mm, 0.9 * depth.max()))
        centre = choice[int(self.generator.integers(len(choice)))]
        steps = np.indices(mask.shape) - centre[:, None, None, None]
        distance = np.sqrt(sum((step * mm) ** 2 for step, mm in zip(steps, self.space.grid.spacing_zyx_mm, strict=True)))
        return distance <= radius_mm


def trunk(
    build: Build, radii: tuple[float, float], flatness: float, generator: np.random.Generator, bumps: tuple[tuple[Point, Point], ...] = ()
) -> Canvas:
    """A trunk of the build, `radii` thick at its lower and upper end and `flatness` times as wide, of skin, fat and muscle.

    `bumps` are ellipsoids (centre, semi-axes) of fat on it.
    """
    bent = bent_space(GRID, generator)
    space = replace(bent, x=bent.x / build.width, y=bent.y / build.depth, z=bent.z / build.height)
    core = space.tube([(0, 0, -260), (0, 0, 260)], radii, flatness=flatness)
    outside = core - build.fat_mm
    for centre, semi_axes in bumps:
        outside = np.minimum(outside, space.ellipsoid(centre, semi_axes))
    body = outside < 0
    hu = np.full(GRID.shape, AIR, dtype=np.float32)
    hu[body] = SKIN
    hu[outside < -3] = FAT
    hu[core < 0] = MUSCLE
    return Canvas(space, core, body, hu, generator)
