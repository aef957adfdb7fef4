"""Pencil-beam photon dose of modulated fields, matrix-free (Bortfeld, Schlegel and Rhein, Med. Phys. 20, 311, 1993).

The lateral part of the dose does not depend on depth: the fluence map of a beam, convolved with three beamlet responses, gives three planes; the dose
at a point is what the planes hold at its projection, weighted by three functions of its radiological depth and by the inverse square of its distance.
Three small 2-D FFTs and one gather per beam; the same backwards gives the gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.fft import next_fast_len

from dose_prediction.case.beam import Beam
from dose_prediction.physics.beam_frame import BeamFrame, beam_frame
from dose_prediction.physics.beam_trace import BeamTrace, trace_beam
from dose_prediction.physics.density import Medium
from dose_prediction.physics.lung import lung_lack, wide_kernel_share
from dose_prediction.physics.machine import Machine, of_one_size
from dose_prediction.physics.trace_cache import TraceCache, digest_of

PLANE_PITCH_MM = 2.5  # sampling of the convolved planes


@dataclass(frozen=True, eq=False)
class PencilBeams:
    """All beams of a plan, set up for a list of points.

    Fluence maps are (beams, rows, columns) on beamlets of `beamlet_mm` in the isocentre plane; `open_beamlets` marks those that may carry fluence.
    They are in units of what leaves the source towards the beam's axis: how long a beamlet is open, whether or not the beam is flattened.
    """

    open_beamlets: torch.Tensor  # (beams, rows, columns) bool
    open_fluence: torch.Tensor  # (beams, rows, columns) of the open beam, relative to its axis
    responses: torch.Tensor  # (beams, components, rows, columns) transformed beamlet responses
    plane_shape: tuple[int, int]
    margin: int  # samples of a plane before the centre of its first beamlet
    upsampling: int
    positions: torch.Tensor  # (beams, points, 2) where the points project, in grid_sample's unit square
    depth_weights: torch.Tensor  # (beams, components, points)

    def at(self, indices: torch.Tensor) -> PencilBeams:
        """The same beams for some of the points."""
        return replace(self, positions=self.positions[:, indices], depth_weights=self.depth_weights[:, :, indices])

    def to(self, device: torch.device) -> PencilBeams:
        """The same beams on another device."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        return replace(self, **moved)

    def averaged(self, group: torch.Tensor, groups: int) -> PencilBeams:
        """The same beams for groups of points, each where the mean of its points is; `group` (points,) says which of `groups` a point belongs to."""
        sizes = torch.bincount(group, minlength=groups)

        def mean(values: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*values.shape[:-1], groups).index_add_(values.ndim - 1, group, values) / sizes

        return replace(self, positions=mean(self.positions.mT).mT.contiguous(), depth_weights=mean(self.depth_weights))

    def to_maps(self, beamlets: torch.Tensor) -> torch.Tensor:
        """Fluence maps (beams, rows, columns) from the fluence of the open beamlets (n,)."""
        maps = torch.zeros(self.open_beamlets.shape, dtype=beamlets.dtype, device=beamlets.device)
        return maps.masked_scatter(self.open_beamlets, beamlets)

    def dose(self, fluence: torch.Tensor) -> torch.Tensor:
        """Dose (points,) of fluence maps (beams, rows, columns), differentiable."""
        dose: torch.Tensor = _Dose.apply(fluence, self, None)
        return dose

    def dose_for_many_gradients(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """`dose`, prepared so that its gradients take less time; to prepare it takes as long as some twenty gradients."""
        transpose = PlaneTranspose.of(self.positions, self.plane_shape)
        return lambda fluence: _Dose.apply(fluence, self, transpose)

    def dose_by_beam(self, fluence: torch.Tensor) -> torch.Tensor:
        """What each beam gives (beams, points) with fluence maps (beams, rows, columns)."""
        return self._lateral(fluence).mul_(self.depth_weights).sum(1)

    def adjoint(self, worth: torch.Tensor, transpose: PlaneTranspose | None = None) -> torch.Tensor:
        """What a unit of each beamlet's fluence is worth (beams, rows, columns), if a unit of dose at each point is worth `worth` (points,).

        The steps of `dose` transposed, in the opposite order; `transpose` is that of reading the planes, where there is one.
        """
        at_points = self.depth_weights * worth
        spectrum = torch.fft.rfft2(transpose.spread(at_points) if transpose else self._spread(at_points)).mul_(self.responses.conj()).sum(1)
        lattice = torch.fft.irfft2(spectrum, s=self.plane_shape)
        rows, columns = self.open_beamlets.shape[1:]
        step = self.upsampling
        return lattice[:, : rows * step : step, : columns * step : step] * self.open_fluence

    def _spread(self, at_points: torch.Tensor) -> torch.Tensor:
        """The planes (beams, components, rows, columns) of what is at the points (beams, components, points): the transpose of reading them there."""
        planes = at_points.new_empty(1).expand(*at_points.shape[:2], *self.plane_shape)  # of which the gather's transpose reads the shape
        spread: torch.Tensor
        spread, _ = torch.ops.aten.grid_sampler_2d_backward(at_points[:, :, None], planes, self.positions[:, None], 0, 0, True, [True, False])
        return spread

    def _lateral(self, fluence: torch.Tensor) -> torch.Tensor:
        """The convolved planes' values (beams, components, points) at the points."""
        beams, rows, columns = fluence.shape
        step = self.upsampling
        lattice = torch.zeros(beams, *self.plane_shape, dtype=fluence.dtype, device=fluence.device)
        lattice[:, : rows * step : step, : columns * step : step] = fluence * self.open_fluence
        planes = torch.fft.irfft2(torch.fft.rfft2(lattice)[:, None] * self.responses, s=self.plane_shape)
        lateral = torch.nn.functional.grid_sample(planes, self.positions[:, None], mode="bilinear", padding_mode="zeros", align_corners=True)
        return lateral[:, :, 0]


@dataclass(frozen=True, eq=False)
class PlaneTranspose:
    """The transpose of reading planes at points: which points lie next to each sample of the planes, and how much of each of these m points it gets.

    Summed sample by sample that takes less time than grid_sample's own transpose, which adds the part of each point to four samples; but the table
    has to be made.
    """

    plane_shape: tuple[int, int]
    point: torch.Tensor  # (m,) among the points of all beams
    part: torch.Tensor  # (m,)
    first: torch.Tensor  # (beams x rows x columns + 1,) where each sample's points begin among the m

    @classmethod
    def of(cls, positions: torch.Tensor, plane_shape: tuple[int, int]) -> PlaneTranspose:
        """For `positions` (beams, points, 2) in the unit square of planes (rows, columns), as grid_sample has them."""
        beams, points, _ = positions.shape
        rows, columns = plane_shape
        at = (positions.cpu().numpy().reshape(-1, 2) + 1) / 2 * np.array([columns - 1, rows - 1], np.float32)
        beam = np.repeat(np.arange(beams), points)
        parts, samples, neighbours = [], [], []
        for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
            nearby = np.floor(at) + np.array(corner, np.float32)
            inside = np.flatnonzero(((nearby >= 0) & (nearby < [columns, rows])).all(axis=1))
            column, row = nearby[inside].astype(np.int64).T
            parts.append((1 - np.abs(at - nearby)).prod(axis=1)[inside])
            samples.append((beam[inside] * rows + row) * columns + column)
            neighbours.append(inside)
        entries = np.concatenate(parts), (np.concatenate(samples), np.concatenate(neighbours))
        table = sparse.csr_array(entries, shape=(beams * rows * columns, beams * points))
        return cls(plane_shape, *(torch.from_numpy(values).to(positions.device) for values in (table.indices, table.data, table.indptr)))

    def spread(self, at_points: torch.Tensor) -> torch.Tensor:
        """The planes (beams, components, rows, columns) of what is at the points (beams, components, points)."""
        values = at_points.mT.flatten(0, 1)
        sums = torch.nn.functional.embedding_bag(self.point, values, self.first, mode="sum", per_sample_weights=self.part, include_last_offset=True)
        return sums.unflatten(0, (len(at_points), *self.plane_shape)).movedim(-1, 1)


class _Dose(torch.autograd.Function):
    """The dose, whose gradient is its adjoint: a third less work than what automatic differentiation makes of its steps."""

    @staticmethod
    def forward(ctx: Any, fluence: torch.Tensor, beams: PencilBeams, transpose: PlaneTranspose | None) -> torch.Tensor:
        ctx.beams, ctx.transpose = beams, transpose
        return beams._lateral(fluence).mul_(beams.depth_weights).sum((0, 1))

    @staticmethod
    def backward(ctx: Any, *worth: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return ctx.beams.adjoint(worth[0], ctx.transpose), None, None


def set_up_beams(
    beams: tuple[Beam, ...],
    isocentre_mm: tuple[float, float, float],
    medium: Medium,
    points_mm: NDArray[np.floating],
    target_points_mm: NDArray[np.floating],
    machines: Sequence[Machine],
    margin_mm: float = 6.0,
    cover_mm: float = 0.0,
    on_beam: Callable[[int], None] | None = None,
    cache: TraceCache | None = None,
) -> PencilBeams:
    """Trace every beam to `points_mm` (n, 3) and open the beamlets within `margin_mm` of the projected target points (m, 3).

    `machines` has one machine a beam, all with beamlets of the same size.  `cover_mm` is the thickness, in water, of what lies on the skin and is not
    in the medium: it builds the dose up, and weakens the beam.  `on_beam` is called with the number of beams done and may raise to stop;
    `cache` holds the traces of earlier calls.
    """
    trace = _tracer(medium, points_mm, cache)
    traces, apertures = [], []
    for number, (beam, machine) in enumerate(zip(beams, machines, strict=True), start=1):
        frame = beam_frame(beam, isocentre_mm, machine.source_axis_mm)
        traces.append(trace(frame))
        apertures.append(_aperture(*frame.project(target_points_mm)[:2], machine, margin_mm))
        if on_beam is not None:
            on_beam(number)

    beamlet_mm = machines[0].beamlet_mm
    spreads = any(way.spread_density is not None for way in traces)
    responses = of_one_size(
        [
            machine.beamlet_responses(way.ssd, PLANE_PITCH_MM, spreads, _wide_share(way, aperture))
            for machine, way, aperture in zip(machines, traces, apertures, strict=True)
        ]
    )
    weights = np.stack([_depth_weights(machine, way, spreads, cover_mm) for machine, way in zip(machines, traces, strict=True)])
    rows = max(aperture.opening.shape[0] for aperture in apertures)
    columns = max(aperture.opening.shape[1] for aperture in apertures)
    upsampling = round(beamlet_mm / PLANE_PITCH_MM)
    half = responses.shape[-1] // 2
    # Wide enough that nothing of the field wraps around to its other side.
    plane_shape = (next_fast_len((rows - 1) * upsampling + 1 + 2 * half, True), next_fast_len((columns - 1) * upsampling + 1 + 2 * half, True))
    open_beamlets = np.zeros((len(beams), rows, columns), bool)
    open_fluence = np.ones((len(beams), rows, columns), np.float32)
    positions = np.empty((len(beams), len(points_mm), 2), np.float32)
    for i, (way, aperture, machine) in enumerate(zip(traces, apertures, machines, strict=True)):
        open_beamlets[i, : aperture.opening.shape[0], : aperture.opening.shape[1]] = aperture.opening
        open_fluence[i] = machine.open_fluence(aperture.radii(rows, columns))
        for axis, (values, first, count) in enumerate(((way.u, aperture.first_u, plane_shape[1]), (way.v, aperture.first_v, plane_shape[0]))):
            positions[i, :, axis] = ((values - first) / PLANE_PITCH_MM + half) * (2 / (count - 1)) - 1
    return PencilBeams(
        torch.from_numpy(open_beamlets),
        torch.from_numpy(open_fluence),
        torch.fft.rfft2(torch.from_numpy(responses), s=plane_shape),
        plane_shape,
        half,
        upsampling,
        torch.from_numpy(positions),
        torch.from_numpy(weights),
    )


def _tracer(medium: Medium, points_mm: NDArray[np.floating], cache: TraceCache | None) -> Callable[[BeamFrame], BeamTrace]:
    """Traces beams to the points, or recalls how they were traced."""
    find_lung = functools.cache(lambda: lung_lack(medium))

    def trace(frame: BeamFrame) -> BeamTrace:
        return trace_beam(medium, find_lung(), frame, points_mm)

    if cache is None:
        return trace
    scene = digest_of(medium.density, points_mm), medium.grid
    return lambda frame: cache.recall((*scene, frame.key), lambda: trace(frame))


def _depth_weights(machine: Machine, way: BeamTrace, spreads: bool, cover_mm: float) -> NDArray[np.float32]:
    """What each plane counts at each point (components, points): depth term times inverse square."""
    inverse_square = (machine.source_axis_mm / way.distance) ** 2
    depth = way.depth + np.float32(cover_mm)
    if not spreads:
        return machine.depth_components(depth) * inverse_square
    density = np.ones_like(depth) if way.spread_density is None else way.spread_density
    return machine.spread_depth_components(depth, density) * inverse_square


@dataclass(frozen=True, eq=False)
class _Aperture:
    """Beamlets (rows along v, columns along u) of side `size` that may carry fluence, and where the centre of the first one is."""

    first_u: float
    first_v: float
    size: float
    opening: NDArray[np.bool_]

    def radii(self, rows: int, columns: int) -> NDArray[np.float64]:
        """Distance of each beamlet's centre (rows, columns) from the beam's axis."""
        return np.hypot(self.first_v + self.size * np.arange(rows)[:, None], self.first_u + self.size * np.arange(columns))

    def shows(self, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether the points (n,) are seen through an open beamlet."""
        framed = np.pad(self.opening, 1)
        row, column = (np.rint((values - first) / self.size).astype(int) + 1 for values, first in ((v, self.first_v), (u, self.first_u)))
        return framed[np.clip(row, 0, framed.shape[0] - 1), np.clip(column, 0, framed.shape[1] - 1)]


def _wide_share(way: BeamTrace, aperture: _Aperture) -> float:
    """How much of the kernel's tail the lung on the way of a beam to the points that it irradiates calls for."""
    if way.lacking is None:
        return 0.0
    seen = aperture.shows(way.u, way.v)
    return wide_kernel_share(float(way.lacking[seen].mean())) if seen.any() else 0.0


def _aperture(u: NDArray[np.float32], v: NDArray[np.float32], machine: Machine, margin_mm: float) -> _Aperture:
    """The beamlets within `margin_mm` of the projected target points (m,)."""
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
    return _Aperture(first_u, first_v, size, opening)
