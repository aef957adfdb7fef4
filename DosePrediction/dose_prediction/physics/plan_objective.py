"""What a plan strives for: the objective of the quick plan, as a few numbers, and what they ask of the dose at every point.

* A target: no less than its prescription's `aim`, no more than a ceiling.
* What lies outside targets: no more than a curve that falls with the distance from them, and little dose at all; both weigh by that distance.
* Organs, and what lies behind the spinal cord: little dose, and none above a ceiling.
* The fluence: smooth, and simple to deliver (`fluence.sweeps`).

Every term is a square, and a mean over its structure, so that the numbers do not depend on volumes.  All is computed by torch, so that it can be
found out how a plan answers to the numbers (`training.tune_objective`), which then are tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from dose_prediction.physics.fluence import SeveralGoals, VoxelGoals
from dose_prediction.region import PlanningRegion

Numbers = Sequence[float] | Tensor
Number = float | Tensor

CORD = "SpinalCord"
BEHIND_CORD = "behind the spinal cord"  # the name of a place that is spared as an organ is
BESIDE_CORD_MM = 5.0
ITERATIONS = 120
SAMPLED_POINTS = 20_000
# Where the numbers of an objective hold; between these they are interpolated linearly, beyond them they stay as they are.
RELATIVE_PRESCRIPTIONS = (0.8, 0.9, 1.0)  # of the highest one
CURVE_MM = (0.0, 3.0, 6.0, 10.0, 15.0, 25.0, 40.0, 60.0, 100.0, 160.0)  # distances from a target
SHELLS_MM = (0.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)  # distances from the nearest target


@dataclass(frozen=True)
class OrganObjective:
    """Weight of an organ's squared dose, and of the squared dose above `ceiling_gy`."""

    quadratic: Number
    ceiling_gy: Number = math.inf
    ceiling: Number = 0.0


@dataclass(frozen=True)
class PlanObjective:
    """The numbers of an objective.  Those of targets are at `RELATIVE_PRESCRIPTIONS`."""

    aim: Numbers  # lowest dose wanted, of the prescription
    coverage: Numbers  # weight of what is missing
    homogeneity: Numbers  # weight of dose above the ceiling
    highest_ceiling: Number  # of every target, of the highest prescription
    lower_ceiling_gy: Numbers  # of the lower targets, above their prescriptions
    curve: Numbers  # at CURVE_MM from a target, of its prescription
    fall_off: Numbers  # weight of dose above the curve, at SHELLS_MM
    integral: Numbers  # weight of dose, at SHELLS_MM
    smoothness: Number
    simplicity: Number  # weight of the fluence that the sweeps of the leaves take, of the mean fluence
    organs: tuple[tuple[str, OrganObjective], ...]  # by TG-263 name; and BEHIND_CORD
    other_organ: OrganObjective
    iterations: int = ITERATIONS
    sampled_points: int = SAMPLED_POINTS


@dataclass(frozen=True, eq=False)
class Spared:
    """A structure that is to be spared: which of the points (n,) outside targets belong to it, and how many voxels it has in all."""

    name: str
    members: Tensor
    voxels: int


@dataclass(frozen=True, eq=False)
class PlanPlaces:
    """Where n points of the body lie, as far as an objective asks: their prescriptions in Gy, 0 outside targets, and their distances from targets.

    `targets` holds every prescription, the number of its voxels and each point's distance (n,) from them; `outside` is the number of voxels in no
    target.
    """

    prescription_gy: Tensor
    targets: tuple[tuple[float, int, Tensor], ...]
    outside: int
    spared: tuple[Spared, ...]

    @property
    def in_target(self) -> Tensor:
        return self.prescription_gy > 0

    @property
    def distance_mm(self) -> Tensor:
        """Each point's distance (n,) from the nearest target."""
        return torch.stack([distance for _, _, distance in self.targets]).amin(0)

    @property
    def of_interest(self) -> Tensor:
        """Which of the points (n,) are in a target or in something that is to be spared."""
        return torch.stack([self.in_target, *(structure.members for structure in self.spared)]).any(0)

    def at(self, indices: Tensor) -> PlanPlaces:
        """Some of the points."""
        return PlanPlaces(
            self.prescription_gy[indices],
            tuple((prescription, voxels, distance[indices]) for prescription, voxels, distance in self.targets),
            self.outside,
            tuple(replace(structure, members=structure.members[indices]) for structure in self.spared),
        )


def plan_places(region: PlanningRegion) -> PlanPlaces:
    """All voxels of the body, in the region's order."""
    body, prescriptions = region.body, region.prescription_map_gy
    prescription = prescriptions[body]
    targets = []
    for target in region.targets:
        voxels = (prescriptions == np.float32(target.prescription_gy)) & body
        if voxels.any():
            distance = ndimage.distance_transform_edt(~voxels, sampling=region.grid.spacing_zyx_mm)[body]
            targets.append((target.prescription_gy, int(voxels.sum()), torch.from_numpy(distance.astype(np.float32))))
    outside = prescription == 0
    spared = tuple(
        Spared(name, torch.from_numpy(members & outside), int(members.sum())) for name, members in _spared(region) if (members & outside).any()
    )
    return PlanPlaces(torch.from_numpy(prescription), tuple(targets), max(int(outside.sum()), 1), spared)


def _spared(region: PlanningRegion) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What is to be spared, as masks of the body's voxels (n,)."""
    for name, fraction in region.organs.items():
        yield name, fraction[region.body] >= 0.5
    if CORD in region.organs:
        yield BEHIND_CORD, behind(region.organs[CORD] >= 0.5, region.grid.spacing_mm[0])[region.body]


def behind(cord: NDArray[np.bool_], pixel_mm: float) -> NDArray[np.bool_]:
    """What lies behind the middle of the spinal cord (z, y, x) and up to `BESIDE_CORD_MM` beside it; in a slice without it, as in the nearest one."""
    behind_it = np.zeros_like(cord)
    with_cord = np.flatnonzero(cord.any(axis=(1, 2)))
    margin = round(BESIDE_CORD_MM / pixel_mm)
    for z in range(len(cord)) if len(with_cord) else ():
        rows, columns = np.nonzero(cord[with_cord[np.abs(with_cord - z).argmin()]])
        behind_it[z, int(rows.mean()) + 1 :, max(0, columns.min() - margin) : columns.max() + margin + 1] = True
    return behind_it & ~cord


def plan_goals(places: PlanPlaces, objective: PlanObjective) -> SeveralGoals:
    """What the objective asks of the dose at every point."""
    in_target, prescription = places.in_target, places.prescription_gy
    highest = max(target for target, _, _ in places.targets)
    share, near = prescription / highest, places.distance_mm
    sizes, curve = torch.ones_like(prescription), torch.zeros_like(prescription)
    for target, voxels, distance in places.targets:
        sizes[prescription == target] = voxels
        curve = torch.maximum(curve, target * interpolated(CURVE_MM, objective.curve, distance))

    def of_targets(numbers: Numbers) -> Tensor:
        return interpolated(RELATIVE_PRESCRIPTIONS, numbers, share)

    def of_shells(weights: Numbers) -> Tensor:
        """Between the shells the weights, which differ by orders of magnitude, fall by equal factors."""
        return interpolated(SHELLS_MM, as_tensor(weights).log(), near).exp() / places.outside

    zero = torch.zeros_like(prescription)
    ceiling = torch.where(share < 1, prescription + of_targets(objective.lower_ceiling_gy), torch.inf)
    quadratic = torch.where(in_target, zero, of_shells(objective.integral))
    organ_ceiling, organ_weight = torch.full_like(prescription, torch.inf), zero
    known = dict(objective.organs)
    for structure in places.spared:
        if structure.name == BEHIND_CORD and BEHIND_CORD not in known:
            continue
        organ = known.get(structure.name, objective.other_organ)
        of_each = structure.members / structure.voxels
        quadratic = quadratic + of_each * as_tensor(organ.quadratic)
        organ_weight = organ_weight + of_each * as_tensor(organ.ceiling)
        organ_ceiling = torch.where(structure.members, torch.minimum(organ_ceiling, as_tensor(organ.ceiling_gy)), organ_ceiling)
    goals = VoxelGoals(
        prescription * of_targets(objective.aim),
        torch.where(in_target, of_targets(objective.coverage) / sizes, zero),
        torch.where(in_target, torch.minimum(ceiling, highest * as_tensor(objective.highest_ceiling)), curve),
        torch.where(in_target, of_targets(objective.homogeneity) / sizes, of_shells(objective.fall_off)),
        quadratic,
    )
    organ_ceiling = torch.where(torch.isinf(organ_ceiling), zero, organ_ceiling)  # in no organ: no weight either
    return SeveralGoals((goals, VoxelGoals(zero, zero, organ_ceiling, organ_weight, zero)))


def interpolated(knots: Sequence[float], values: Numbers, x: Tensor) -> Tensor:
    """Linear interpolation at `x` of values that are known at rising `knots`; beyond these the outer values hold."""
    at, known = torch.tensor(knots), as_tensor(values)
    x = x.clamp(at[0], at[-1])
    after = torch.bucketize(x, at, right=True).clamp(1, len(at) - 1)
    part = (x - at[after - 1]) / (at[after] - at[after - 1])
    return known[after - 1] * (1 - part) + known[after] * part


def as_tensor(numbers: Numbers | Number) -> Tensor:
    return torch.as_tensor(numbers, dtype=torch.float32)
