"""What a plan strives for: the objective of the quick plan, as a few numbers, and what they ask of the dose at every point.

* A target: its prescription, about; what is missing costs, and so does what is too much.
* Organs, what lies behind the spinal cord, and rings about the targets: little mean dose, and little above each of several shares of a level.
* What lies outside targets: no more than a curve that falls with the distance from them, and little dose at all; both weigh by that distance.
* The fluence: smooth, and simple to deliver (`fluence.sweeps`).

The reference plans of OpenKBP come from such an objective.  Babier et al. ("OpenKBP-Opt", Phys. Med. Biol. 67, 185012, 2022, and the code of that
article) minimise mean and largest doses of organs, of rings of 3 and 6 mm about the targets and of the back of the neck, and their mean dose above
0.25, 0.5, 0.75, 0.9 and 0.975 of their largest; of targets the mean dose that is missing and that is above 1.05 of the prescription, and the
largest; all linear in the dose, under a limit on the sweeps of the fluence.

Costs are means over a structure, so that they do not depend on volumes; doses count relative to the highest prescription, so that a plan for twice
the prescriptions has twice the dose.  All is computed by torch, so that it can be found out how a plan answers to the numbers
(`training.tune_objective`), which then are tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from dose_prediction.physics.fluence import Excesses, SeveralGoals, VoxelGoals
from dose_prediction.region import PlanningRegion

Numbers = Sequence[float] | Tensor
Number = float | Tensor

CORD = "SpinalCord"
BEHIND_CORD = "behind the spinal cord"  # the name of a place that is spared as an organ is
BESIDE_CORD_MM = 5.0
ITERATIONS = 160
SAMPLED_POINTS = 30_000
SAMPLED_REST = 0.1  # how often points outside targets and organs are among them, of how often those inside are
# Where the numbers of an objective hold; between these they are interpolated linearly, beyond them they stay as they are.
RELATIVE_PRESCRIPTIONS = (0.8, 0.9, 1.0)  # of the highest one
CURVE_MM = (0.0, 3.0, 6.0, 10.0, 15.0, 25.0, 40.0, 60.0, 100.0, 160.0)  # distances from a target
SHELLS_MM = (0.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)  # distances from the nearest target
SHARES_OF_LEVEL = (0.0, 0.25, 0.5, 0.75, 0.9, 0.975)
FAR_ABOVE = 1.05  # of the dose that a target is to have
RINGS_MM = (3.5, 6.5)  # how far the inner and the outer ring about a target reach
USUAL_GY = 70.0  # the highest prescription that the numbers hold for; for others they are scaled
ROUNDED_GY = 2.0  # corners of costs, with that prescription


@dataclass(frozen=True)
class OrganObjective:
    """What the dose of an organ costs."""

    slopes: Numbers  # (6,) cost of a Gy of mean dose above each of SHARES_OF_LEVEL of the level
    relative_level: Number  # about its largest dose, of the highest prescription
    peaks: Number  # weight of dose above the level


@dataclass(frozen=True)
class PlanObjective:
    """The numbers of an objective.  Those of targets and rings are at `RELATIVE_PRESCRIPTIONS`; costs are of a Gy, weights of a Gy squared."""

    relative_dose: Numbers  # that a target is to have, of its prescription
    shortfall: Numbers  # cost of what is missing
    excess: Numbers  # cost of what is too much
    far_excess: Numbers  # cost of what is above `FAR_ABOVE` of that dose, besides
    relative_ceiling: Numbers  # of a target, of its prescription
    homogeneity: Numbers  # weight of dose above the ceiling
    inner_slopes: Numbers  # (3 x 6,) of the rings next to targets, and so on as of an organ
    inner_relative_level: Numbers  # of the target's prescription
    inner_peaks: Numbers
    outer_slopes: Numbers
    outer_relative_level: Numbers
    outer_peaks: Numbers
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
class Ring:
    """What lies next to a target, the inner or the outer part of it: which of the points (n,), and how many voxels it has in all."""

    prescription_gy: float
    is_inner: bool
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
    rings: tuple[Ring, ...]

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
            tuple(replace(ring, members=ring.members[indices]) for ring in self.rings),
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
    rings = tuple(_rings([(prescription, distance) for prescription, _, distance in targets], torch.from_numpy(outside)))
    return PlanPlaces(torch.from_numpy(prescription), tuple(targets), max(int(outside.sum()), 1), spared, rings)


def _rings(targets: list[tuple[float, Tensor]], free: Tensor) -> Iterator[Ring]:
    """Those of each target, as prescription and distance (n,), the highest first; what lies in two of them belongs to the first."""
    nearest = 0.0
    for farthest in RINGS_MM:
        for prescription, distance in targets:
            members = free & (distance > nearest) & (distance <= farthest)
            free = free & ~members
            if members.any():
                yield Ring(prescription, nearest == 0.0, members, int(members.sum()))
        nearest = farthest


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
    highest = max(target for target, _, _ in places.targets)
    unit = highest / USUAL_GY
    near = places.distance_mm
    linear, squared = _Limits(), _Limits()

    def of_target(numbers: Numbers | Tensor, prescription: float) -> Tensor:
        return interpolated(RELATIVE_PRESCRIPTIONS, numbers, torch.tensor([prescription / highest]))[0]

    curve = torch.zeros_like(near)
    for prescription, voxels, distance in places.targets:
        dose, points = prescription * of_target(objective.relative_dose, prescription), (places.prescription_gy == prescription).nonzero()[:, 0]
        linear.add(points, dose, of_target(objective.shortfall, prescription) / voxels, side=-1)
        linear.add(points, dose, of_target(objective.excess, prescription) / voxels)
        linear.add(points, FAR_ABOVE * dose, of_target(objective.far_excess, prescription) / voxels)
        ceiling, weight = (of_target(numbers, prescription) for numbers in (objective.relative_ceiling, objective.homogeneity))
        squared.add(points, prescription * ceiling, weight / voxels)
        curve = torch.maximum(curve, prescription * interpolated(CURVE_MM, objective.curve, distance))

    def spare(members: Tensor, voxels: int, slopes: Tensor, level_gy: Tensor, peaks: Tensor) -> None:
        points = members.nonzero()[:, 0]
        for share, slope in zip(SHARES_OF_LEVEL, slopes, strict=True):
            linear.add(points, share * level_gy, slope / voxels)
        squared.add(points, level_gy, peaks / voxels)

    for ring in places.rings:
        all_slopes, levels, all_peaks = (
            (objective.inner_slopes, objective.inner_relative_level, objective.inner_peaks)
            if ring.is_inner
            else (objective.outer_slopes, objective.outer_relative_level, objective.outer_peaks)
        )
        slopes = as_tensor(all_slopes).reshape(len(RELATIVE_PRESCRIPTIONS), -1).T
        of_this = torch.stack([of_target(each, ring.prescription_gy) for each in slopes])
        level = ring.prescription_gy * of_target(levels, ring.prescription_gy)
        spare(ring.members, ring.voxels, of_this, level, of_target(all_peaks, ring.prescription_gy))
    known = dict(objective.organs)
    for structure in places.spared:
        if structure.name == BEHIND_CORD and BEHIND_CORD not in known:
            continue
        organ = known.get(structure.name, objective.other_organ)
        spare(structure.members, structure.voxels, as_tensor(organ.slopes), highest * as_tensor(organ.relative_level), as_tensor(organ.peaks))

    def of_shells(weights: Numbers) -> Tensor:
        """Between the shells the weights, which differ by orders of magnitude, fall by equal factors."""
        weight = interpolated(SHELLS_MM, as_tensor(weights).log(), near).exp() / places.outside / unit**2
        return torch.where(places.in_target, torch.zeros_like(near), weight)

    zero = torch.zeros_like(near)
    tissue = VoxelGoals(zero, zero, curve, of_shells(objective.fall_off), of_shells(objective.integral))
    return SeveralGoals((tissue, linear.excesses(1 / unit, ROUNDED_GY * unit), squared.excesses(1 / unit**2, None)))


class _Limits:
    """Collects limits for `Excesses`."""

    def __init__(self) -> None:
        self._added: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, points: Tensor, limit_gy: Tensor, weight: Tensor, side: int = 1) -> None:
        """One limit and weight for some of the points."""
        self._added.append((points, limit_gy.expand(len(points)), weight.expand(len(points)), torch.full((len(points),), float(side))))

    def excesses(self, factor: float, rounded_gy: float | None) -> Excesses:
        point, limit_gy, weight, side = (torch.cat(values) for values in zip(*self._added, strict=True))
        return Excesses(point, limit_gy, factor * weight, side, rounded_gy)


def interpolated(knots: Sequence[float], values: Numbers, x: Tensor) -> Tensor:
    """Linear interpolation at `x` of values that are known at rising `knots`; beyond these the outer values hold."""
    at, known = torch.tensor(knots), as_tensor(values)
    x = x.clamp(at[0], at[-1])
    after = torch.bucketize(x, at, right=True).clamp(1, len(at) - 1)
    part = (x - at[after - 1]) / (at[after] - at[after - 1])
    return known[after - 1] * (1 - part) + known[after] * part


def as_tensor(numbers: Numbers | Number) -> Tensor:
    return torch.as_tensor(numbers, dtype=torch.float32)
