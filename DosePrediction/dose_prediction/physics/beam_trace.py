"""One beam, traced through the patient to the points where its dose is wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dose_prediction.physics.beam_frame import BeamFrame
from dose_prediction.physics.density import Medium
from dose_prediction.physics.lung import followed_density
from dose_prediction.physics.ray_tracing import radiological_depth, ray_fan

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BeamTrace:
    """What the dose of a beam at n points depends on, but for its energy and fluence; lengths in mm.

    `u` and `v` (n,) are where the points project on the isocentre plane, `distance` (n,) is from the source along the axis, `depth` (n,) is
    radiological; `spread_density` (n,) widens the kernel in lung and `lacking` (n,) is how much less water than in solid tissue the lung on the way
    is, both None for a beam that meets none; `ssd` is the source-surface distance of the central ray.
    """

    u: Values
    v: Values
    distance: Values
    depth: Values
    spread_density: Values | None
    lacking: Values | None
    ssd: float

    @property
    def nbytes(self) -> int:
        arrays = (self.u, self.v, self.distance, self.depth, self.spread_density, self.lacking)
        return sum(array.nbytes for array in arrays if array is not None)


def trace_beam(medium: Medium, lung: Medium | None, frame: BeamFrame, points_mm: NDArray[np.floating]) -> BeamTrace:
    """Trace the beam of `frame` to LPS points (n, 3) in mm; `lung` holds how much less dense than water the medium is in volumes of lung."""
    u, v, distance = frame.project(points_mm)
    turned = frame.turned_towards(np.asarray(medium.grid.direction)[:, 2])  # rays in rows along the slices are traced faster
    fan_u, fan_v = (u * np.float32(frame.u @ axis) + v * np.float32(frame.v @ axis) for axis in (turned.u, turned.v))
    fan = ray_fan(medium, turned, fan_u, fan_v, distance)
    density = fan.sampled(medium.density, medium.grid)
    depth = radiological_depth(fan, density)
    spread = lacking = None
    through_lung = None if lung is None else fan.part_through(lung.attenuating_corners_mm)
    if lung is not None and through_lung is not None:
        part, of_fan = through_lung
        less = part.sampled(lung.density, lung.grid)  # zero outside the volume
        if bool(less.any()):
            behind = part.holds(fan_u, fan_v, distance)
            there = fan_u[behind], fan_v[behind], distance[behind]
            spread, lacking = np.ones_like(u), np.zeros_like(u)
            spread[behind] = part.read(followed_density(1 - less, density[of_fan] * part.steps_mm), *there)
            lacking[behind] = part.read(radiological_depth(part, less), *there)
    return BeamTrace(u, v, distance, fan.read(depth, fan_u, fan_v, distance), spread, lacking, fan.surface_mm(depth))
