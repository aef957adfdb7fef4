"""Fluence optimisation: beamlet weights that meet per-voxel dose goals, found in a second or two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.physics.pencil_beam import PencilBeams
from dose_prediction.physics.projected_lbfgs import minimised

# Whole multiples of these, less their whole parts, fill the unit cube evenly: powers of 1 / g, where g to the fourth is g + 1
# (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).
EVENLY_SPREAD = 1.2207440846057596 ** -np.arange(1.0, 4.0)
SMALL_STEP = 0.07  # between neighbouring beamlets, of the mean fluence
SLOWEST_ROW = 7.0  # the norm's order


@dataclass(frozen=True, eq=False)
class VoxelGoals:
    """What is wanted of the dose at each of n points: squared deviations below `lower_gy` and above `upper_gy`, weighted.

    `quadratic_weight` weighs the squared dose itself (as low as reasonably achievable).  All are (n,) tensors; the weights carry the normalisation.
    """

    lower_gy: torch.Tensor
    lower_weight: torch.Tensor
    upper_gy: torch.Tensor
    upper_weight: torch.Tensor
    quadratic_weight: torch.Tensor

    def at(self, indices: torch.Tensor, importance: torch.Tensor) -> VoxelGoals:
        """The goals at some of the points, their weights multiplied by `importance`."""
        return VoxelGoals(
            self.lower_gy[indices],
            self.lower_weight[indices] * importance,
            self.upper_gy[indices],
            self.upper_weight[indices] * importance,
            self.quadratic_weight[indices] * importance,
        )

    def cost(self, dose_gy: torch.Tensor) -> torch.Tensor:
        under = torch.relu(self.lower_gy - dose_gy)
        over = torch.relu(dose_gy - self.upper_gy)
        return (self.lower_weight * under**2 + self.upper_weight * over**2 + self.quadratic_weight * dose_gy**2).sum()


@dataclass(frozen=True, eq=False)
class Excesses:
    """What it costs that a dose exceeds limits: `weight` times the excess, or its square, over `limit_gy` at each `point`, all (m,).

    Any number of the m limits may be at the same point, and none at others.  Where `side` is -1 instead of 1, it is the dose below the limit that
    costs.  The corner of an excess that is not squared is rounded `rounded_gy` to either side of the limit, for an optimiser.
    """

    point: torch.Tensor
    limit_gy: torch.Tensor
    weight: torch.Tensor
    side: torch.Tensor
    rounded_gy: float | None  # squared instead where there is none

    def at(self, indices: torch.Tensor, importance: torch.Tensor) -> Excesses:
        """What it costs at some of the points, the weights multiplied by `importance`."""
        among = torch.full((int(torch.cat([self.point, indices]).max()) + 1,), -1)
        among[indices] = torch.arange(len(indices))
        kept = among[self.point] >= 0
        point = among[self.point[kept]]
        return Excesses(point, self.limit_gy[kept], self.weight[kept] * importance[point], self.side[kept], self.rounded_gy)

    def cost(self, dose_gy: torch.Tensor) -> torch.Tensor:
        excess = self.side * (dose_gy.index_select(0, self.point) - self.limit_gy)
        costs = torch.relu(excess) ** 2 if self.rounded_gy is None else rounded_corner(excess, self.rounded_gy)
        return (self.weight * costs).sum()


def rounded_corner(x: torch.Tensor, reach: float) -> torch.Tensor:
    """The larger of 0 and `x`, but for a parabola from `-reach` to `reach`.

    >>> rounded_corner(torch.tensor([-3.0, 0.0, 3.0]), 2.0).tolist()
    [0.0, 0.5, 3.0]
    """
    above = torch.relu(x + reach)
    return torch.nn.functional.smooth_l1_loss(above, torch.zeros_like(above), reduction="none", beta=2 * reach)


@dataclass(frozen=True, eq=False)
class SeveralGoals:
    """Goals that all count, each at the same points."""

    parts: tuple[VoxelGoals | Excesses, ...]

    def at(self, indices: torch.Tensor, importance: torch.Tensor) -> SeveralGoals:
        """The goals at some of the points, their weights multiplied by `importance`."""
        return SeveralGoals(tuple(part.at(indices, importance) for part in self.parts))

    def cost(self, dose_gy: torch.Tensor) -> torch.Tensor:
        return torch.stack([part.cost(dose_gy) for part in self.parts]).sum()


class DoseCost(Protocol):
    """Anything that says what a dose (points,) costs, as VoxelGoals does."""

    def cost(self, dose_gy: torch.Tensor) -> torch.Tensor: ...


def sampled_points(places: NDArray[np.float64], weighed: NDArray[np.bool_], count: int, rest: float = 0.35) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of about `count` points, the rest `rest` times as often as those `weighed` (n,), and each one's weight so that sums stay unbiased.

    `places` (n, 3) are where the points lie, in voxels.  They alone decide: what is chosen is evenly spread, and stays when something else changes.
    """
    chance = np.where(weighed, 1.0, rest)
    chance = np.minimum(1.0, chance * min(count, len(chance)) / chance.sum())
    chosen = np.flatnonzero((places @ EVENLY_SPREAD) % 1 < chance)
    return torch.from_numpy(chosen), torch.from_numpy((1 / chance[chosen]).astype(np.float32))


def roughness(maps: torch.Tensor) -> torch.Tensor:
    """Sum of squared differences between neighbouring beamlets of fluence maps (beams, rows, columns)."""
    return (maps[:, 1:] - maps[:, :-1]).square().sum() + (maps[:, :, 1:] - maps[:, :, :-1]).square().sum()


def sweeps(maps: torch.Tensor) -> torch.Tensor:
    """About the fluence (beams,) that each beam must deliver if its leaves sweep the field once; maps (beams, rows, columns) relative to their mean.

    A pair of leaves that sweeps along its row has the beam on for the sum of the row's rises, and the beam is on for as long as its slowest row (the
    sum of positive gradients: Craft et al., "The tradeoff between treatment plan quality and required number of monitor units in intensity-modulated
    radiotherapy", Int. J. Radiat. Oncol. Biol. Phys. 67, 1596, 2007).  Smoothed for an optimiser: differences well below `SMALL_STEP` count for
    nothing, and the slowest row is a norm of all rows.
    """
    steps = torch.diff(torch.nn.functional.pad(maps, (1, 1)))
    rises = 0.5 * ((steps.square() + SMALL_STEP**2).sqrt() - SMALL_STEP).sum(-1)  # from nothing to nothing a row rises as much as it falls
    return torch.linalg.vector_norm(rises, SLOWEST_ROW, dim=1)


def optimise_fluence(
    beams: PencilBeams,
    goals: DoseCost,
    start: torch.Tensor,
    iterations: int,
    smoothness: float = 0.0,
    on_iteration: Callable[[int], None] | None = None,
    fluence_cost: Callable[[torch.Tensor], torch.Tensor] | None = None,
    simplicity: float = 0.0,
    unit: float | None = None,
) -> torch.Tensor:
    """Non-negative beamlet weights (n,) that lower `goals.cost` plus `smoothness` times the maps' roughness, from `start` (n,).

    `simplicity` times the sum of the `sweeps` is added as well, both of maps relative to `unit` (the start's mean); `fluence_cost` adds a cost of the
    beamlet weights themselves.  `on_iteration` is called with the number of iterations done and may raise to stop.
    """
    # One common scale makes the problem well conditioned whatever the units of the fluence are.
    scale = unit or float(start.mean().clamp_min(1e-12))
    dose = beams.dose_for_many_gradients()

    def cost_and_gradient(x: torch.Tensor) -> tuple[float, torch.Tensor]:
        beamlets = (x * scale).requires_grad_()
        maps = beams.to_maps(beamlets)
        cost = goals.cost(dose(maps)) + smoothness * roughness(maps / scale)
        if simplicity:
            cost = cost + simplicity * sweeps(maps / scale).sum()
        if fluence_cost is not None:
            cost = cost + fluence_cost(beamlets)
        (gradient,) = torch.autograd.grad(cost, beamlets)
        return float(cost.detach()), gradient * scale

    return minimised(cost_and_gradient, start / scale, iterations, on_iteration) * scale
