"""One beam, traced through the patient to the points where its dose is wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dose_prediction.physics.beam_frame import BeamFrame
from dose_prediction.physics.density import Medium
from dose_prediction.physics.ray_tracing import radiological_depth

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BeamTrace:
    """What the dose of a beam at n points depends on, but for its energy and fluence; all in mm.

    `u` and `v` (n,) are where the points project on the isocentre plane, `distance` (n,) is from the source along the axis, `depth` (n,) is
    radiological; `ssd` is the source-surface distance of the central ray.
    """

    u: Values
    v: Values
    distance: Values
    depth: Values
    ssd: float

    @property
    def nbytes(self) -> int:
        return self.u.nbytes + self.v.nbytes + self.distance.nbytes + self.depth.nbytes


def trace_beam(medium: Medium, frame: BeamFrame, points_mm: NDArray[np.floating]) -> BeamTrace:
    """Trace the beam of `frame` to LPS points (n, 3) in mm."""
    u, v, distance = frame.project(points_mm)
    depth, ssd = radiological_depth(medium, frame, u, v, distance)
    return BeamTrace(u, v, distance, depth, ssd)
