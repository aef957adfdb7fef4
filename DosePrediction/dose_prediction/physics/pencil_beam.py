"""Pencil-beam photon dose of modulated fields, matrix-free (Bortfeld, Schlegel and Rhein, Med. Phys. 20, 311, 1993).

The lateral part of the dose does not depend on depth: the fluence map of a beam, convolved with three beamlet responses, gives three planes; the dose
at a point is what the planes hold at its projection, weighted by three functions of its radiological depth and by the inverse square of its distance.
Three small 2-D FFTs and one gather per beam; automatic differentiation gives the gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from dose_prediction.case.beam import Beam
from dose_prediction.physics.beam_frame import BeamFrame, beam_frame
from dose_prediction.physics.beam_trace import BeamTrace, trace_beam
from dose_prediction.physics.density import Medium
from dose_prediction.physics.machine import Machine
from dose_prediction.physics.trace_cache import TraceCache, digest_of

PLANE_PITCH_MM = 2.5  # sampling of the convolved planes


@dataclass(frozen=True, eq=False)
class PencilBeams:
    """All beams of a plan, set up for a list of points.

    Fluence maps are (beams, rows, columns) on beamlets of `beamlet_mm` in the isocentre plane; `open_beamlets` marks those that may carry fluence.
    """

    open_beamlets: torch.Tensor  # (beams, rows, columns) bool
    responses: torch.Tensor  # (beams, 3, rows, columns) transformed beamlet responses
    plane_shape: tuple[int, int]
    transform_shape: tuple[int, int]
    upsampling: int
    positions: torch.Tensor  # (beams, points, 2) where the points project, in grid_sample's unit square
    depth_weights: torch.Tensor  # (beams, 3, points)

    def at(self, indices: torch.Tensor) -> PencilBeams:
        """The same beams for some of the points."""
        return PencilBeams(
            self.open_beamlets,
            self.responses,
            self.plane_shape,
            self.transform_shape,
            self.upsampling,
            self.positions[:, indices],
            self.depth_weights[:, :, indices],
        )

    def to_maps(self, beamlets: torch.Tensor) -> torch.Tensor:
        """Fluence maps (beams, rows, columns) from the fluence of the open beamlets (n,)."""
        maps = torch.zeros(self.open_beamlets.shape, dtype=beamlets.dtype)
        return maps.masked_scatter(self.open_beamlets, beamlets)

    def dose(self, fluence: torch.Tensor) -> torch.Tensor:
        """Dose (points,) of fluence maps (beams, rows, columns)."""
        beams, rows, columns = fluence.shape
        lattice = torch.zeros(beams, (rows - 1) * self.upsampling + 1, (columns - 1) * self.upsampling + 1, dtype=fluence.dtype)
        lattice[:, :: self.upsampling, :: self.upsampling] = fluence
        spectrum = torch.fft.rfft2(lattice, s=self.transform_shape)[:, None] * self.responses
        planes = torch.fft.irfft2(spectrum, s=self.transform_shape)[..., : self.plane_shape[0], : self.plane_shape[1]]
        lateral = torch.nn.functional.grid_sample(planes, self.positions[:, None], mode="bilinear", padding_mode="zeros", align_corners=True)
        return (lateral[:, :, 0] * self.depth_weights).sum((0, 1))


def set_up_beams(
    beams: tuple[Beam, ...],
    isocentre_mm: tuple[float, float, float],
    medium: Medium,
    points_mm: NDArray[np.floating],
    target_points_mm: NDArray[np.floating],
    machine: Machine,
    margin_mm: float = 6.0,
    on_beam: Callable[[int], None] | None = None,
    cache: TraceCache | None = None,
) -> PencilBeams:
    """Trace every beam to `points_mm` (n, 3) and open the beamlets within `margin_mm` of the projected target points (m, 3).

    `on_beam` is called with the number of beams done and may raise to stop; `cache` holds the traces of earlier calls.
    """
    trace = _tracer(medium, points_mm, cache)
    traced = []
    for number, beam in enumerate(beams, start=1):
        frame = beam_frame(beam, isocentre_mm, machine.source_axis_mm)
        way = trace(frame)
        weights = machine.depth_components(way.depth) * (machine.source_axis_mm / way.distance) ** 2
        aperture = _aperture(*frame.project(target_points_mm)[:2], machine, margin_mm)
        traced.append((way.u, way.v, weights, machine.beamlet_responses(way.ssd, PLANE_PITCH_MM), aperture))
        if on_beam is not None:
            on_beam(number)

    rows = max(opening.shape[0] for *_, (_, _, opening) in traced)
    columns = max(opening.shape[1] for *_, (_, _, opening) in traced)
    upsampling = round(machine.beamlet_mm / PLANE_PITCH_MM)
    half = traced[0][3].shape[-1] // 2
    plane_shape = ((rows - 1) * upsampling + 1 + 2 * half, (columns - 1) * upsampling + 1 + 2 * half)
    transform_shape = (next_fast_len(plane_shape[0], real=True), next_fast_len(plane_shape[1], real=True))
    open_beamlets = np.zeros((len(beams), rows, columns), bool)
    positions = np.empty((len(beams), len(points_mm), 2), np.float32)
    for i, (u, v, _, _, (first_u, first_v, opening)) in enumerate(traced):
        open_beamlets[i, : opening.shape[0], : opening.shape[1]] = opening
        for axis, (values, first, count) in enumerate(((u, first_u, plane_shape[1]), (v, first_v, plane_shape[0]))):
            positions[i, :, axis] = ((values - first) / PLANE_PITCH_MM + half) * (2 / (count - 1)) - 1
    responses = torch.from_numpy(np.stack([response for _, _, _, response, _ in traced]))
    return PencilBeams(
        torch.from_numpy(open_beamlets),
        torch.fft.rfft2(responses, s=transform_shape),
        plane_shape,
        transform_shape,
        upsampling,
        torch.from_numpy(positions),
        torch.from_numpy(np.stack([weights for _, _, weights, _, _ in traced])),
    )


def _tracer(medium: Medium, points_mm: NDArray[np.floating], cache: TraceCache | None) -> Callable[[BeamFrame], BeamTrace]:
    """Traces beams to the points, or recalls how they were traced."""
    if cache is None:
        return lambda frame: trace_beam(medium, frame, points_mm)
    scene = digest_of(medium.density, points_mm), medium.grid
    return lambda frame: cache.recall((*scene, frame.key), lambda: trace_beam(medium, frame, points_mm))


def _aperture(u: NDArray[np.float32], v: NDArray[np.float32], machine: Machine, margin_mm: float) -> tuple[float, float, NDArray[np.bool_]]:
    """Centre of the first beamlet (u, v) and the beamlets (rows along v, columns along u) within `margin_mm` of the projected target."""
    size = machine.beamlet_mm
    first_u = float(np.floor((u.min() - margin_mm) / size) * size)
    first_v = float(np.floor((v.min() - margin_mm) / size) * size)
    columns = int(np.ceil((u.max() + margin_mm - first_u) / size)) + 1
    rows = int(np.ceil((v.max() + margin_mm - first_v) / size)) + 1
    opening = np.zeros((rows, columns), bool)
    for shift_v in np.linspace(-margin_mm, margin_mm, 5):
        for shift_u in np.linspace(-margin_mm, margin_mm, 5):
            row = np.rint((v + shift_v - first_v) / size).astype(int)
            column = np.rint((u + shift_u - first_u) / size).astype(int)
            opening[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)] = True
    return first_u, first_v, opening
