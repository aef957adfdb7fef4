"""The physics prior: the dose of a quick fluence plan for exactly the beams that were asked for.

The objective is the plainest that gives plan-like doses: cover each target evenly, let the dose fall off outside at a rate that beams can follow,
keep organs low and the fluence as simple as that of reference plans is (`bench_sweeps.py`).  Its weights were tuned on training cases of OpenKBP for
the smallest mean absolute difference from the reference plans (`tune_objective.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from dose_prediction.case import CaseError, PlanCase
from dose_prediction.case.body import find_body
from dose_prediction.physics.beam_moments import angular_moments, beam_directions
from dose_prediction.physics.beam_shares import BeamShares, beam_of_beamlets, weighted_shares
from dose_prediction.physics.density import Medium, relative_electron_density
from dose_prediction.physics.fluence import VoxelGoals, optimise_fluence, sampled_points
from dose_prediction.physics.machine import Machine, photon_machine
from dose_prediction.physics.pencil_beam import PencilBeams, set_up_beams
from dose_prediction.physics.trace_cache import TraceCache, digest_of
from dose_prediction.region import PlanningRegion

Values = NDArray[np.float32]
# Water-equivalent of what lies on the skin, such as a mask that holds the head.  With it the engine can give reference doses of OpenKBP to 0.40 Gy on
# average, without it to 0.82 Gy, and to no better than 3 Gy where half of the body is air in front of the skin (`bench_reference_fit.py`).
COVER_MM = 3.0
CORD = "SpinalCord"
BESIDE_CORD_MM = 5.0


@dataclass(frozen=True)
class OrganObjective:
    """Weight of an organ's squared dose, and of the squared dose above `ceiling_gy`, each per mean over the organ."""

    quadratic: float
    ceiling_gy: float = np.inf
    ceiling: float = 0.0


@dataclass(frozen=True)
class PlanObjective:
    """Weights of the quick plan.  Terms are means over their structure, so that the weights do not depend on volumes."""

    coverage: float = 0.92
    homogeneity: float = 0.25
    aim: float = 1.015  # dose aimed at in a target, of its prescription
    highest_ceiling: float = 1.027  # of the highest prescription
    lower_ceiling_gy: float = 5.9  # above the prescription of the other targets
    fall_off: float = 0.66  # weight of dose above the fall-off curve
    fall_off_start_mm: float = 3.0
    fall_off_length_mm: float = 42.6
    fall_off_floor: float = 0.565  # of the prescription, far away
    integral: float = 0.00094  # weight of the squared dose outside targets
    smoothness: float = 0.0055
    simplicity: float = 0.76  # weight of the fluence that a sweep of the leaves takes, of the mean fluence
    organs: tuple[tuple[str, OrganObjective], ...] = (
        (CORD, OrganObjective(0.0037, 29.9, 0.82)),
        ("Brainstem", OrganObjective(0.0011, 34.0, 0.3)),
        ("Parotid_L", OrganObjective(0.0049)),
        ("Parotid_R", OrganObjective(0.0049)),
        ("Larynx", OrganObjective(0.00074)),
        ("Esophagus", OrganObjective(0.00055)),
        ("Bone_Mandible", OrganObjective(0.0005)),
    )
    other_organ: OrganObjective = OrganObjective(0.002)
    behind_cord: OrganObjective = OrganObjective(0.003, 26.6, 0.212)  # what lies behind the spinal cord is spared as an organ is
    iterations: int = 80
    sampled_points: int = 20_000


@dataclass(frozen=True, eq=False)
class PhysicsPrior:
    """What physics says of a case, on the region's grid: the quick plan's dose in Gy, and that of open fields shaped to the targets.

    The open fields' dose is scaled to a mean of 1 in the targets; `beamlets` (n,) is the plan's fluence.  The angular moments
    (2 x ORDERS, z, y, x) of both are as in `beam_moments`, in the same units.  `shares` says what each beam is to give where weights differ.
    """

    dose_gy: Values
    open_field: Values
    dose_moments: Values
    open_moments: Values
    beamlets: torch.Tensor
    shares: BeamShares | None = None


@dataclass(frozen=True, eq=False)
class TracedBeams:
    """The beams of a case with their weights, relative to the mean, ray-traced to every body voxel of the region; directions as its grid has them."""

    beams: PencilBeams
    body: NDArray[np.bool_]
    weights: tuple[float, ...]
    directions: NDArray[np.complex64]

    def dose(self, beamlets: torch.Tensor) -> Values:
        """The dose (z, y, x) in Gy of the open beamlets' fluence (n,)."""
        return self.filled(self.beams.dose(self.beams.to_maps(beamlets)).clamp_min(0).numpy())

    def filled(self, values: NDArray[np.floating]) -> Values:
        """Volumes (..., z, y, x) of the values (..., points) of the body's voxels, zero elsewhere."""
        volume = np.zeros((*values.shape[:-1], *self.body.shape), np.float32)
        volume[..., self.body] = values
        return volume


def trace_beams(
    case: PlanCase,
    region: PlanningRegion,
    machine: Machine | None = None,
    on_beam: Callable[[int], None] | None = None,
    cache: TraceCache | None = None,
    cover_mm: float = COVER_MM,
) -> TracedBeams:
    """Ray-trace the CT of `case` for its beams, under `cover_mm` of water.

    `on_beam` is called with the number of beams done and may raise to stop; `cache` keeps what is traced for later calls.
    """
    body = region.body
    target = body & (region.prescription_map_gy > 0)
    if not target.any():
        raise CaseError("No voxel of a target lies inside the body; check the body contour and the targets.")
    beams = set_up_beams(
        case.fields,
        case.isocentre,
        _medium(case, cache),
        region.grid.world_from_index(np.argwhere(body)).astype(np.float32),
        region.grid.world_from_index(np.argwhere(target)).astype(np.float32),
        [machine or photon_machine(field.energy_mv, field.is_flattened, field.leaf_width_mm) for field in case.fields],
        cover_mm=cover_mm,
        on_beam=on_beam,
        cache=cache,
    )
    weights = np.array([field.weight for field in case.fields])
    return TracedBeams(beams, body, tuple((weights / weights.mean()).tolist()), beam_directions(case.fields, region.turn_rad))


def _medium(case: PlanCase, cache: TraceCache | None) -> Medium:
    """The patient as beams see it: all of the CT inside the skin or the body contour."""

    def make() -> Medium:
        return Medium(relative_electron_density(case.ct_hu, find_body(case.ct_hu, case.grid) | case.body), case.grid)

    return make() if cache is None else cache.recall((digest_of(case.ct_hu, case.body), case.grid), make)


def physics_prior(
    region: PlanningRegion, traced: TracedBeams, objective: PlanObjective | None = None, on_iteration: Callable[[int], None] | None = None
) -> PhysicsPrior:
    """Optimise the quick plan of a traced case.  `on_iteration` is called with the iterations done and may raise to stop."""
    objective = objective or PlanObjective()
    body, beams = traced.body, traced.beams
    goals = voxel_goals(region, objective)
    in_target = region.prescription_map_gy[body] > 0

    uniform = torch.ones(int(beams.open_beamlets.sum()))
    open_doses = beams.dose_by_beam(beams.to_maps(torch.tensor(traced.weights)[beam_of_beamlets(beams)]))
    open_dose = open_doses.sum(0).numpy()
    mean_in_target = float(open_dose[in_target].mean())
    if mean_in_target <= 0:
        raise CaseError("No beam reaches a target; check the isocentre and the beam angles.")

    wanted_gy = float(goals.lower_gy[in_target].mean())
    spared = (goals.quadratic_weight > goals.quadratic_weight.median()).numpy()
    chosen, importance = sampled_points(region.places, in_target | spared, objective.sampled_points)
    points, goals = beams.at(chosen), goals.at(chosen, importance)
    start = uniform * wanted_gy / mean_in_target
    beamlets = optimise_fluence(points, goals, start, objective.iterations, objective.smoothness, on_iteration, simplicity=objective.simplicity)
    shares = None
    if len(set(traced.weights)) > 1:
        shares = weighted_shares(beams.at(torch.from_numpy(np.flatnonzero(in_target))), beamlets, traced.weights)
        start = shares.rescaled(beamlets)
        beamlets = optimise_fluence(points, goals, start, objective.iterations, objective.smoothness, on_iteration, shares.cost, objective.simplicity)

    doses = beams.dose_by_beam(beams.to_maps(beamlets))
    moments, open_moments = (angular_moments(part, traced.directions).numpy() for part in (doses, open_doses))
    return PhysicsPrior(
        traced.filled(doses.sum(0).clamp_min(0).numpy()),
        traced.filled(open_dose / mean_in_target),
        traced.filled(moments),
        traced.filled(open_moments / mean_in_target),
        beamlets,
        shares,
    )


def voxel_goals(region: PlanningRegion, objective: PlanObjective) -> VoxelGoals:
    """The objective at every body voxel (n,)."""
    body = region.body
    prescription = region.prescription_map_gy[body]
    in_target = prescription > 0
    outside = ~in_target
    highest = max(target.prescription_gy for target in region.targets)

    lower = np.where(in_target, prescription * objective.aim, 0).astype(np.float32)
    upper = _fall_off(region, objective)
    ceiling = np.minimum(prescription + objective.lower_ceiling_gy, highest * objective.highest_ceiling)
    upper[in_target] = ceiling[in_target]

    lower_weight, upper_weight, quadratic = (np.zeros(len(prescription), np.float32) for _ in range(3))
    for dose in np.unique(prescription[in_target]):
        voxels = prescription == dose
        lower_weight[voxels] = objective.coverage / voxels.sum()
        upper_weight[voxels] = objective.homogeneity / voxels.sum()
    upper_weight[outside] = objective.fall_off / max(outside.sum(), 1)
    quadratic[outside] = objective.integral / max(outside.sum(), 1)
    for voxels, organ in _spared(region, objective):
        spared = voxels & outside
        if not spared.any():
            continue
        quadratic[spared] += organ.quadratic / voxels.sum()
        if organ.ceiling:
            upper[spared] = np.minimum(upper[spared], organ.ceiling_gy)
            upper_weight[spared] += organ.ceiling / voxels.sum()
    return VoxelGoals(*(torch.from_numpy(values.astype(np.float32)) for values in (lower, lower_weight, upper, upper_weight, quadratic)))


def _spared(region: PlanningRegion, objective: PlanObjective) -> Iterator[tuple[NDArray[np.bool_], OrganObjective]]:
    """What is to be spared, as masks of the body's voxels (n,), and how much."""
    known = dict(objective.organs)
    for name, fraction in region.organs.items():
        yield fraction[region.body] >= 0.5, known.get(name, objective.other_organ)
    if CORD in region.organs:
        yield behind(region.organs[CORD] >= 0.5, region.grid.spacing_mm[0])[region.body], objective.behind_cord


def behind(cord: NDArray[np.bool_], pixel_mm: float) -> NDArray[np.bool_]:
    """What lies behind the middle of the spinal cord (z, y, x) and up to `BESIDE_CORD_MM` beside it; in a slice without it, as in the nearest one."""
    behind_it = np.zeros_like(cord)
    with_cord = np.flatnonzero(cord.any(axis=(1, 2)))
    margin = round(BESIDE_CORD_MM / pixel_mm)
    for z in range(len(cord)) if len(with_cord) else ():
        rows, columns = np.nonzero(cord[with_cord[np.abs(with_cord - z).argmin()]])
        behind_it[z, int(rows.mean()) + 1 :, max(0, columns.min() - margin) : columns.max() + margin + 1] = True
    return behind_it & ~cord


def _fall_off(region: PlanningRegion, objective: PlanObjective) -> Values:
    """The dose at every body voxel that a target's dose falls to at its distance: exponential from the prescription to a floor."""
    body = region.body
    prescriptions = region.prescription_map_gy
    curve = np.zeros(int(body.sum()), np.float32)
    for target in region.targets:
        voxels = prescriptions == np.float32(target.prescription_gy)
        if not voxels.any():
            continue
        distance = ndimage.distance_transform_edt(~voxels, sampling=region.grid.spacing_zyx_mm)[body]
        decay = np.exp(-np.maximum(distance - objective.fall_off_start_mm, 0) / objective.fall_off_length_mm)
        curve = np.maximum(curve, target.prescription_gy * (objective.fall_off_floor + (1 - objective.fall_off_floor) * decay))
    return curve.astype(np.float32)
