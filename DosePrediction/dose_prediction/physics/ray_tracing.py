"""Radiological depth: the water-equivalent path from the body surface to a point along the ray from the source."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.physics.beam_frame import BeamFrame
from dose_prediction.physics.density import Medium

RAY_PITCH_MM = 4.0  # between rays, in the isocentre plane
STEP_MM = 2.5  # along the beam axis

Values = NDArray[np.float32]


def radiological_depth(medium: Medium, frame: BeamFrame, u: Values, v: Values, distance: Values) -> tuple[Values, float]:
    """Radiological depth in mm (n,) at beam coordinates (n,) each, and the source-surface distance of the central ray in mm.

    A fan of rays is integrated through the medium by the midpoint rule (error of order step squared; under 0.5 mm in smooth density, under one step
    at a density jump) and read at the points by trilinear interpolation.
    """
    u_axis = np.arange(u.min() - RAY_PITCH_MM, u.max() + 2 * RAY_PITCH_MM, RAY_PITCH_MM, dtype=np.float32)
    v_axis = np.arange(v.min() - RAY_PITCH_MM, v.max() + 2 * RAY_PITCH_MM, RAY_PITCH_MM, dtype=np.float32)
    s_axis = _planes(medium, frame, float(distance.max()))
    depth = _depth_along_rays(medium, frame, u_axis, v_axis, s_axis)

    def unit(values: Values, axis: Values, step: float) -> torch.Tensor:
        return torch.from_numpy((values - axis[0]) * (2 / (step * (len(axis) - 1))) - 1)

    points = torch.stack([unit(u, u_axis, RAY_PITCH_MM), unit(v, v_axis, RAY_PITCH_MM), unit(distance, s_axis, STEP_MM)], -1)
    at_points = torch.nn.functional.grid_sample(
        depth[None, None], points[None, None, None], mode="bilinear", padding_mode="border", align_corners=True
    )
    central = depth[:, int(np.argmin(np.abs(v_axis))), int(np.argmin(np.abs(u_axis)))]
    surface = int(torch.searchsorted(central.contiguous(), 1.0))
    return at_points[0, 0, 0, 0].numpy(), float(s_axis[min(surface, len(s_axis) - 1)])


def _planes(medium: Medium, frame: BeamFrame, farthest_mm: float) -> Values:
    """Distances from the source, `STEP_MM` apart, of planes from where the medium begins to attenuate to beyond `farthest_mm`.

    The planes are counted from the grid's nearest corner, which does not move when the body is drawn anew.
    """
    size = medium.grid.shape
    corners = medium.grid.world_from_index(np.array([[z, y, x] for z in (0, size[0]) for y in (0, size[1]) for x in (0, size[2])]) - 0.5)
    origin, entered = (max(1.0, float(np.min((points - frame.source_mm) @ frame.w))) for points in (corners, medium.attenuating_corners_mm))
    first = max(0.0, np.floor((entered - origin) / STEP_MM))
    count = int(np.ceil((max(farthest_mm, frame.source_axis_mm) - origin) / STEP_MM - first)) + 2
    return (origin + STEP_MM * (first + np.arange(max(count, 2)))).astype(np.float32)


def _depth_along_rays(medium: Medium, frame: BeamFrame, u_axis: Values, v_axis: Values, s_axis: Values) -> torch.Tensor:
    """Radiological depth (s, v, u) in mm along the rays through the isocentre plane's points (u, v), to the planes at distances s."""
    # index = start + s * (w + (u * u_vec + v * v_vec) / source_axis): linear in s along every ray
    grid = medium.grid
    to_index = np.linalg.inv(grid.index_to_world_matrix[:3, :3])  # LPS to (i, j, k)
    start = torch.tensor(to_index @ (frame.source_mm - np.asarray(grid.origin_mm)), dtype=torch.float32)
    rays = frame.w + (u_axis[None, :, None] * frame.u + v_axis[:, None, None] * frame.v) / frame.source_axis_mm
    rays_index = torch.tensor(rays @ to_index.T, dtype=torch.float32)
    size = torch.tensor(grid.shape[::-1], dtype=torch.float32)
    # grid_sample's unit cube with align_corners=False: -1 and 1 are the outer faces of the volume
    scale, offset = 2 * rays_index / size, (2 * start + 1) / size - 1
    lattice = (torch.from_numpy(s_axis)[:, None, None, None] * scale).add_(offset)  # (s, v, u, 3)
    volume = torch.from_numpy(medium.density)[None, None]
    sampled = torch.nn.functional.grid_sample(volume, lattice[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0, 0]
    slant = torch.from_numpy(np.sqrt(1 + (u_axis[None, :] ** 2 + v_axis[:, None] ** 2) / frame.source_axis_mm**2))
    return torch.cumsum(sampled, 0).sub_(sampled, alpha=0.5).mul_(STEP_MM * slant)
