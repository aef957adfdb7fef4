"""Re-planning: the planner's decisions survive a change of beams."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from dose_prediction.case import Beam, equispaced_beams
from dose_prediction.physics.learnt_objective import usual_objective
from dose_prediction.physics.plan_objective import OrganObjective
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.physics.replan import replanned
from dose_prediction.region import PlanningRegion, planning_region
from water_case import water_case

NINE, TURNED_SEVEN = equispaced_beams(9), equispaced_beams(7, 11.0)


@cache
def reference() -> tuple[PlanningRegion, np.ndarray]:
    """A plan of nine fields whose planner spared the parotid more than the quick plan would."""
    case = water_case().with_beams(NINE)
    region = planning_region(case)
    objective = replace(usual_objective(), organs=(("Parotid_L", OrganObjective((0.9,) * 6, 0.5, 0.0)),))
    return region, physics_prior(region, trace_beams(case, region), objective).dose_gy


def planned_again(beams: tuple[Beam, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The quick plan's dose with these beams, and that of the reference planned again with them."""
    region, wanted = reference()
    traced = trace_beams(water_case().with_beams(beams), region)
    prior = physics_prior(region, traced)
    return prior.dose_gy, replanned(traced, region, wanted, prior.beamlets).dose_gy


def test_the_beams_of_the_reference_give_the_reference() -> None:
    region, wanted = reference()
    prior, again = planned_again(NINE)
    assert np.abs(again - wanted)[region.body].mean() < 0.4
    assert np.abs(prior - wanted)[region.body].mean() > 1.0


def test_other_beams_cover_the_targets_as_the_reference_does() -> None:
    region, wanted = reference()
    _, again = planned_again(TURNED_SEVEN)
    for target in region.targets:
        voxels = region.prescription_map_gy == target.prescription_gy
        assert np.percentile(again[voxels], [5, 50]) == pytest.approx(np.percentile(wanted[voxels], [5, 50]), abs=1.0)


def test_other_beams_spare_the_organ_that_the_planner_spared() -> None:
    region, wanted = reference()
    prior, again = planned_again(TURNED_SEVEN)
    parotid = region.organs["Parotid_L"] >= 0.5
    assert prior[parotid].mean() > wanted[parotid].mean() + 3.0
    assert again[parotid].mean() < wanted[parotid].mean() + 1.5


def test_the_dose_follows_the_new_beams() -> None:
    region, _ = reference()
    (_, left), (_, right) = (planned_again(beams) for beams in ((Beam(120), Beam(150)), (Beam(240), Beam(210))))
    _, y, x = np.indices(region.grid.shape) - (np.array(region.grid.shape) - 1).reshape(3, 1, 1, 1) / 2
    behind_on_the_left = region.body & (region.prescription_map_gy == 0) & (x > 6) & (y > 6)
    assert left[behind_on_the_left].mean() > 2 * right[behind_on_the_left].mean()
