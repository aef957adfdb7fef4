"""Steering a dose to goals: what the beams give up elsewhere so that an organ keeps to a limit.

The fluence of the physics prior is planned on, from where it stands, until the dose that it adds to and takes from the prediction meets the goals.
Everything else is held: targets are to have no less dose than before nor more, other organs and tissue no more.  What changes is the difference of
two doses that the beams can deliver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.case import DoseGoal
from dose_prediction.physics.fluence import VoxelGoals, optimise_fluence, sampled_points
from dose_prediction.physics.mimic import in_organs
from dose_prediction.physics.prior import PhysicsPrior, TracedBeams
from dose_prediction.region import PlanningRegion

Volume = NDArray[np.float32]
SAMPLED_POINTS = 20_000


@dataclass(frozen=True)
class Guide:
    """Weights of squared differences in Gy, each per mean over its structure, and how long is planned."""

    goal: float = 10.0
    target: float = 10.0
    organ: float = 1.0
    tissue: float = 1.0
    smoothness: float = 0.002
    iterations: int = 25


def guided_change(
    traced: TracedBeams,
    region: PlanningRegion,
    prior: PhysicsPrior,
    predicted_gy: Volume,
    goals: Sequence[DoseGoal],
    guide: Guide | None = None,
    on_iteration: Callable[[int], None] | None = None,
) -> Volume:
    """The change of dose in Gy (z, y, x) that brings `predicted_gy` to the goals as far as the beams allow.

    Weighted beams keep their shares.  `on_iteration` is called with the iterations done and may raise to stop.
    """
    guide = guide or Guide()
    body, voxels = traced.body, prior.dose_gy[traced.body]
    held = _as_it_is(region, voxels, {goal.organ for goal in goals}, guide)
    in_target = region.prescription_map_gy[body] > 0
    chosen, importance = sampled_points(region.places, in_target | in_organs(region), SAMPLED_POINTS)
    rest = torch.from_numpy(predicted_gy[body] - voxels)[chosen]  # what the prediction adds to the prior
    wishes = tuple(_wish(goal, region, voxels[chosen] + rest.numpy(), chosen, importance) for goal in goals)
    cost = _GuidedCost(held.at(chosen, importance), rest, wishes, guide.goal)
    shared_out = None if prior.shares is None else prior.shares.cost
    beamlets = optimise_fluence(traced.beams.at(chosen), cost, prior.beamlets, guide.iterations, guide.smoothness, on_iteration, shared_out)
    return traced.dose(beamlets) - prior.dose_gy


@dataclass(frozen=True, eq=False)
class _Wish:
    """A goal at some of the points: their indices, their weights, and the limit of their weighted mean, or of each of them."""

    points: torch.Tensor
    weights: torch.Tensor
    limit_gy: float
    of_mean: bool

    def excess(self, dose_gy: torch.Tensor) -> torch.Tensor:
        """Squared dose above the limit."""
        doses = dose_gy[self.points]
        if self.of_mean:
            return torch.relu((doses * self.weights).sum() - self.limit_gy).square()
        return (self.weights * torch.relu(doses - self.limit_gy).square()).sum()


@dataclass(frozen=True, eq=False)
class _GuidedCost:
    """What the fluence's dose costs: its change elsewhere, and what the dose with `rest` added lacks of the wishes."""

    held: VoxelGoals
    rest: torch.Tensor
    wishes: tuple[_Wish, ...]
    weight: float

    def cost(self, dose_gy: torch.Tensor) -> torch.Tensor:
        excess = torch.stack([wish.excess(dose_gy + self.rest) for wish in self.wishes])
        return self.held.cost(dose_gy) + self.weight * excess.sum()


def _wish(goal: DoseGoal, region: PlanningRegion, dose_gy: Volume, chosen: torch.Tensor, importance: torch.Tensor) -> _Wish:
    inside = torch.from_numpy(region.organs[goal.organ][region.body] >= 0.5)[chosen]
    points = inside.nonzero()[:, 0]
    weights = importance[points]
    if goal.metric == "mean":
        return _Wish(points, weights / weights.sum(), goal.limit_gy, of_mean=True)
    too_hot = float((weights * torch.from_numpy(dose_gy[points] > goal.limit_gy)).sum())
    return _Wish(points, weights / max(too_hot, 1.0), goal.limit_gy, of_mean=False)


def _as_it_is(region: PlanningRegion, dose_gy: Volume, free: set[str], guide: Guide) -> VoxelGoals:
    """Every body voxel's dose (n,) as it is: targets neither colder nor hotter, organs but the `free` ones and tissue not hotter."""
    body, prescription = region.body, region.prescription_map_gy[region.body]
    in_target = prescription > 0
    lower, upper = np.zeros(len(dose_gy), np.float32), np.zeros(len(dose_gy), np.float32)
    for level in np.unique(prescription[in_target]):
        lower[prescription == level] = guide.target / np.count_nonzero(prescription == level)
    upper[in_target] = lower[in_target]
    upper[~in_target] = guide.tissue / max(1, int(np.count_nonzero(~in_target)))
    for name, fraction in region.organs.items():
        inside = fraction[body] >= 0.5
        if name not in free and inside.any():
            upper[inside & ~in_target] += guide.organ / inside.sum()
    dose, below, above = (torch.from_numpy(values) for values in (dose_gy, lower, upper))
    return VoxelGoals(dose, below, dose, above, torch.zeros_like(dose))
