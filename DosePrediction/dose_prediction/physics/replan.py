"""Re-planning: what a reference plan becomes with other beams.

The planner's decisions are kept as dose-volume histograms: every target is to be covered as in the reference; every organ, and the tissue at every
distance from the targets, is to have no more dose than there.  Where in a structure the dose lies is left to the beams, but for a pull to the
reference's own places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from dose_prediction.physics.fluence import SeveralGoals, VoxelGoals, optimise_fluence, sampled_points
from dose_prediction.physics.mimic import Mimicked, in_organs, mimicked
from dose_prediction.physics.prior import TracedBeams
from dose_prediction.region import PlanningRegion

Volume = NDArray[np.float32]
Points = NDArray[np.float32]
Mask = NDArray[np.bool_]

SAMPLED_POINTS = 20_000
SHELL_EDGES_MM = (5.0, 10.0, 20.0, 35.0, 60.0)  # distances from the targets that divide the tissue outside targets and organs


@dataclass(frozen=True)
class ReplanWeights:
    """Weights of squared differences in Gy, each per mean over its structure."""

    target: float = 5.0
    organ: float = 0.4
    tissue: float = 0.5  # of all shells together
    place: float = 4.0  # pull to the reference, voxel by voxel, in all of the body
    smoothness: float = 0.001
    rounds: int = 2
    iterations: int = 20  # a round


def replanned(
    traced: TracedBeams, region: PlanningRegion, reference_gy: Volume, start: torch.Tensor, weights: ReplanWeights | None = None
) -> Mimicked:
    """The plan of the traced beams that keeps to the reference dose (z, y, x) and its DVHs.

    `start` (n,) is the fluence of the open beamlets to begin with, as the physics prior's.  A DVH says how much dose a structure gets but not where:
    in every round but the first, the reference's doses in a structure are handed to its voxels in the order of the dose that they have now.
    """
    weights = weights or ReplanWeights()
    in_target = region.prescription_map_gy[traced.body] > 0
    chosen, importance = sampled_points(region.places, in_target | in_organs(region), SAMPLED_POINTS)
    points, reference = traced.beams.at(chosen), reference_gy[traced.body][chosen].astype(np.float32)
    structures = [
        _Structure(np.flatnonzero(members[chosen]), weight / max(1, int(members.sum())), is_target)
        for members, weight, is_target in _structures(region, weights)
    ]
    place = _as_it_was(reference, importance * (weights.place / len(in_target)))
    beamlets, dose = start, reference
    for _ in range(weights.rounds):
        goals = SeveralGoals((place, _dvhs_as_they_were(structures, dose, reference, importance)))
        beamlets = optimise_fluence(points, goals, beamlets, weights.iterations, weights.smoothness)
        dose = points.dose(points.to_maps(beamlets)).numpy()
    return mimicked(traced, beamlets)


@dataclass(frozen=True, eq=False)
class _Structure:
    """Indices of a structure's points, the weight of each, and whether it is to get as much dose as in the reference or at most as much."""

    points: NDArray[np.int64]
    weight: float
    is_target: bool


def _structures(region: PlanningRegion, weights: ReplanWeights) -> Iterator[tuple[Mask, float, bool]]:
    """Targets, organs and the shells of tissue around the targets as masks of the body's voxels; their weights; whether they are targets."""
    body, prescription = region.body, region.prescription_map_gy
    for dose in np.unique(prescription[body & (prescription > 0)]):
        yield prescription[body] == dose, weights.target, True
    outside = prescription[body] == 0
    for fraction in region.organs.values():
        yield (fraction[body] >= 0.5) & outside, weights.organ, False
    distance = ndimage.distance_transform_edt(prescription == 0, sampling=region.grid.spacing_zyx_mm)[body]
    tissue = outside & ~in_organs(region)
    shell = np.where(tissue, np.digitize(distance, SHELL_EDGES_MM), -1)
    for index in range(len(SHELL_EDGES_MM) + 1):
        members = shell == index
        yield members, weights.tissue * float(members.sum() / max(1, tissue.sum())), False


def _as_it_was(reference_gy: Points, weight: torch.Tensor) -> VoxelGoals:
    """Every point's dose as in the reference."""
    wanted = torch.from_numpy(reference_gy)
    return VoxelGoals(wanted, weight, wanted, weight, torch.zeros_like(weight))


def _dvhs_as_they_were(structures: list[_Structure], dose_gy: Points, reference_gy: Points, importance: torch.Tensor) -> VoxelGoals:
    """Every structure's points with the doses of the reference, in the order of the doses that they have now."""
    lower, lower_weight, upper_weight = (np.zeros(len(dose_gy), np.float32) for _ in range(3))
    upper = np.full(len(dose_gy), np.inf, np.float32)
    for structure in structures:
        ranked = structure.points[np.argsort(dose_gy[structure.points])]
        handed_out = np.sort(reference_gy[structure.points])
        upper[ranked] = np.minimum(upper[ranked], handed_out)
        upper_weight[ranked] += structure.weight
        if structure.is_target:
            lower[ranked], lower_weight[ranked] = handed_out, structure.weight
    upper[np.isinf(upper)] = 0  # in no structure: no weight either
    goals = (torch.from_numpy(values) for values in (lower, lower_weight, upper, upper_weight, np.zeros_like(lower)))
    return VoxelGoals(*goals).at(torch.arange(len(dose_gy)), importance)
