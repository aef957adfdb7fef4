"""The physics prior: the dose of a quick fluence plan for exactly the beams that were asked for.

What the plan strives for has been learnt from reference plans (`learnt_objective`): to cover each target evenly, to let the dose fall off outside at
a rate that beams can follow, to keep organs low and the fluence as simple as that of reference plans is (`bench_sweeps.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.case import CaseError, PlanCase
from dose_prediction.case.body import find_body
from dose_prediction.physics.beam_moments import angular_moments, beam_directions
from dose_prediction.physics.beam_shares import BeamShares, beam_of_beamlets, weighted_shares
from dose_prediction.physics.density import Medium, relative_electron_density
from dose_prediction.physics.fluence import optimise_fluence, sampled_points
from dose_prediction.physics.learnt_objective import objective_for
from dose_prediction.physics.machine import Machine, photon_machine
from dose_prediction.physics.pencil_beam import PencilBeams, set_up_beams
from dose_prediction.physics.plan_objective import SAMPLED_REST, PlanObjective, plan_goals, plan_places
from dose_prediction.physics.trace_cache import TraceCache, digest_of
from dose_prediction.region import PlanningRegion

Values = NDArray[np.float32]
# Water-equivalent of what lies on the skin, such as a mask that holds the head.  With it the engine can give reference doses of OpenKBP to 0.40 Gy on
# average, without it to 0.82 Gy, and to no better than 3 Gy where half of the body is air in front of the skin (`bench_reference_fit.py`).
COVER_MM = 3.0


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
    """Optimise the quick plan of a traced case, by default for what reference plans of such cases strive for.

    `on_iteration` is called with the iterations done and may raise to stop.
    """
    beams, places = traced.beams, plan_places(region)
    objective = objective or objective_for(region, places)
    in_target = places.in_target.numpy()

    uniform = torch.ones(int(beams.open_beamlets.sum()))
    open_doses = beams.dose_by_beam(beams.to_maps(torch.tensor(traced.weights)[beam_of_beamlets(beams)]))
    open_dose = open_doses.sum(0).numpy()
    mean_in_target = float(open_dose[in_target].mean())
    if mean_in_target <= 0:
        raise CaseError("No beam reaches a target; check the isocentre and the beam angles.")

    chosen, importance = sampled_points(region.places, places.of_interest.numpy(), objective.sampled_points, SAMPLED_REST)
    points = beams.at(chosen)
    goals = plan_goals(places.at(chosen), objective).at(torch.arange(len(chosen)), importance)
    unit = float(places.prescription_gy[in_target].mean()) / mean_in_target

    def optimised(start: torch.Tensor, fluence_cost: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor:
        weights = float(objective.smoothness), float(objective.simplicity)
        return optimise_fluence(points, goals, start, objective.iterations, weights[0], on_iteration, fluence_cost, weights[1], unit)

    beamlets = optimised(unit * uniform)
    shares = None
    if len(set(traced.weights)) > 1:
        shares = weighted_shares(beams.at(torch.from_numpy(np.flatnonzero(in_target))), beamlets, traced.weights)
        beamlets = optimised(shares.rescaled(beamlets), shares.cost)

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
