"""Mimicking: the fluence whose dose comes closest to a wanted dose.

What is left over is what the beams cannot do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.case import PlanCase
from dose_prediction.physics.beam_shares import BeamShares
from dose_prediction.physics.fluence import VoxelGoals, optimise_fluence, sampled_points
from dose_prediction.physics.pencil_beam import PencilBeams
from dose_prediction.physics.prior import TracedBeams, trace_beams
from dose_prediction.region import PlanningRegion, onto_case_grid, onto_region, planning_region

Volume = NDArray[np.float32]
ITERATIONS = 40
SAMPLED_POINTS = 40_000
SMOOTHNESS = 0.0001  # Gy squared for each squared difference, of the mean fluence, between neighbouring beamlets
TARGET_WEIGHT = 3.0  # of a voxel in a target, against 1 elsewhere


@dataclass(frozen=True, eq=False)
class Mimicked:
    """A deliverable dose in Gy on the region's grid (z, y, x), and its fluence maps (beams, rows, columns) in the isocentre plane."""

    dose_gy: Volume
    fluence: NDArray[np.float32]


@dataclass(frozen=True)
class Deliverability:
    """What the beams cannot do: |wanted dose - deliverable dose| over the body, its mean and its 99th percentile in Gy."""

    mean_gy: float
    p99_gy: float

    def __str__(self) -> str:
        return f"What these beams cannot do of it: {self.mean_gy:.1f} Gy on average, {self.p99_gy:.1f} Gy at the 99th percentile."


def fit_dose(
    traced: TracedBeams,
    region: PlanningRegion,
    wanted_gy: Volume,
    *,
    start: torch.Tensor | None = None,
    shares: BeamShares | None = None,
    iterations: int = ITERATIONS,
    on_iteration: Callable[[int], None] | None = None,
) -> Mimicked:
    """Fit non-negative, smooth fluence to `wanted_gy` (z, y, x): least squares over the body, targets weighing more.

    `start` (n,) is the fluence of the open beamlets to begin with, such as that of the physics prior; open fields are where there is none.
    `shares` are kept to where beams are weighted.  `on_iteration` is called with the iterations done and may raise to stop.
    """
    body, beams = traced.body, traced.beams
    wanted = torch.from_numpy(wanted_gy[body].astype(np.float32))
    in_target = region.prescription_map_gy[body] > 0
    weight = torch.from_numpy(np.where(in_target, TARGET_WEIGHT, 1.0).astype(np.float32)) / len(wanted)
    goals = VoxelGoals(wanted, weight, wanted, weight, torch.zeros_like(weight))
    chosen, importance = sampled_points(region.places, in_target | in_organs(region), SAMPLED_POINTS)
    fitted, wishes = beams.at(chosen), goals.at(chosen, importance)
    if start is None:
        start = _scaled_open_fields(fitted, wishes.lower_gy)
    fluence_cost = None if shares is None else shares.cost
    return mimicked(traced, optimise_fluence(fitted, wishes, start, iterations, SMOOTHNESS, on_iteration, fluence_cost))


def deliverable_dose(case: PlanCase, dose_gy: Volume) -> Volume:
    """What the beams of `case` can give of a dose in Gy on the case's grid (z, y, x), on that grid; zero outside the planning region."""
    region = planning_region(case)
    fitted = fit_dose(trace_beams(case, region), region, onto_region(dose_gy, case, region))
    return onto_case_grid(fitted.dose_gy, region, case)


def mimicked(traced: TracedBeams, beamlets: torch.Tensor) -> Mimicked:
    """Dose and maps of the open beamlets' fluence (n,)."""
    return Mimicked(traced.dose(beamlets), traced.beams.to_maps(beamlets).numpy())


def deliverability(wanted_gy: Volume, delivered: Mimicked, body: NDArray[np.bool_]) -> Deliverability:
    """How far the deliverable dose stays from the wanted one inside `body` (z, y, x)."""
    gap = np.abs(wanted_gy - delivered.dose_gy)[body]
    return Deliverability(float(gap.mean()), float(np.percentile(gap, 99)))


def in_organs(region: PlanningRegion) -> NDArray[np.bool_]:
    """Which of the body's voxels (n,) lie in an organ."""
    inside = np.zeros(int(region.body.sum()), bool)
    for fraction in region.organs.values():
        inside |= fraction[region.body] >= 0.5
    return inside


def _scaled_open_fields(beams: PencilBeams, wanted_gy: torch.Tensor) -> torch.Tensor:
    """Even fluence of all open beamlets (n,) whose dose is as close to the wanted one (points,) as a factor makes it."""
    even = torch.ones(int(beams.open_beamlets.sum()))
    dose = beams.dose(beams.to_maps(even))
    return even * float((dose * wanted_gy).sum() / dose.square().sum().clamp_min(1e-12))
