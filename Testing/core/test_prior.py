"""The quick plan: what a physicist would ask of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dose_prediction.case import Arc, Beam, CaseError, PlanCase, Role, Structure, equispaced_beams, template_named
from dose_prediction.physics.density import relative_electron_density
from dose_prediction.physics.learnt_objective import usual_objective
from dose_prediction.physics.plan_objective import BEHIND_CORD, OrganObjective, PlanObjective, behind
from dose_prediction.physics.prior import PhysicsPrior, physics_prior, trace_beams
from dose_prediction.region import PlanningRegion, planning_region
from water_case import water_case


def planned(beams: tuple[Beam | Arc, ...], objective: PlanObjective | None = None) -> tuple[PlanningRegion, PhysicsPrior]:
    case = water_case().with_beams(beams)
    region = planning_region(case)
    return region, physics_prior(region, trace_beams(case, region), objective)


def mean_in(prior: PhysicsPrior, fraction: np.ndarray) -> float:
    return float(prior.dose_gy[fraction >= 0.5].mean())


def test_targets_get_about_their_prescriptions() -> None:
    region, prior = planned(equispaced_beams(9))
    high, low = region.targets
    assert mean_in(prior, high.fraction) == pytest.approx(71.0, abs=2.0)  # a plan whose D95 is the prescription has a mean a little above it
    assert 55.0 < mean_in(prior, low.fraction) < 66.0
    assert prior.dose_gy.min() >= 0
    assert np.all(prior.dose_gy[~region.body] == 0)


def test_an_organ_is_spared_more_when_its_weight_rises() -> None:
    spare = usual_objective()
    harder = replace(spare, organs=(("Parotid_L", OrganObjective((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), 1.0, 0.0)),))
    region, prior = planned(equispaced_beams(9), spare)
    _, spared = planned(equispaced_beams(9), harder)
    assert mean_in(spared, region.organs["Parotid_L"]) < mean_in(prior, region.organs["Parotid_L"]) - 2.0


def test_what_lies_behind_the_cord_is_spared() -> None:
    case = water_case().with_beams(equispaced_beams(9))
    cord = np.zeros(case.grid.shape, bool)
    cord[:, 28:30, 19:22] = True  # behind the targets
    region = planning_region(replace(case, structures=(*case.structures, Structure("SpinalCord", Role.organ("SpinalCord"), cord))))
    traced = trace_beams(case, region)
    there = behind(region.organs["SpinalCord"] >= 0.5, region.grid.spacing_mm[0]) & region.body
    spared, not_spared = (
        physics_prior(region, traced, replace(usual_objective(), organs=((BEHIND_CORD, OrganObjective((cost,) * 6, 0.5, 0.0)),)))
        for cost in (0.3, 0.0)
    )
    assert spared.dose_gy[there].mean() < not_spared.dose_gy[there].mean() - 1.0


def test_beams_from_the_left_dose_the_left() -> None:
    region, prior = planned((Beam(90),))
    target = region.prescription_map_gy > 0
    in_field = region.body & ~target & target.any(axis=2, keepdims=True)  # the rows of voxels along x that hold a target
    x = np.indices(region.grid.shape)[2] - (region.grid.shape[2] - 1) / 2
    # 6 MV falls by about 4 % a centimetre, and the two sides are 8 cm apart or more.
    assert prior.dose_gy[in_field & (x > 6)].mean() > 1.25 * prior.dose_gy[in_field & (x < -6)].mean()


def test_non_coplanar_beams_reach_beyond_the_slices_of_the_target() -> None:
    region, coplanar = planned((Beam(90), Beam(270)))
    _, vertex = planned((Beam(60, couch_deg=90), Beam(300, couch_deg=90)))
    target_slices = np.flatnonzero((region.prescription_map_gy > 0).any(axis=(1, 2)))
    outside = region.body.copy()
    outside[target_slices[0] - 2 : target_slices[-1] + 3] = False  # of beams in the plane there is some penumbra
    assert vertex.dose_gy[outside].mean() > 3 * coplanar.dose_gy[outside].mean()


def test_the_same_case_gives_the_same_plan() -> None:
    (_, first), (_, second) = planned(equispaced_beams(5)), planned(equispaced_beams(5))
    assert np.array_equal(first.dose_gy, second.dose_gy)


def test_open_field_is_one_on_average_in_the_targets() -> None:
    region, prior = planned(equispaced_beams(5))
    assert prior.open_field[region.prescription_map_gy > 0].mean() == pytest.approx(1.0, abs=1e-3)


def test_one_beam_without_beam_data_among_others_is_refused() -> None:
    case = water_case().with_beams((Beam(0), Beam(90, energy_mv=18, is_flattened=False)))
    with pytest.raises(CaseError, match=r"No beam data for 18 MV FFF; choose one of: 6 MV"):
        trace_beams(case, planning_region(case))


def test_stopping_in_an_iteration_stops_the_plan() -> None:
    class Stop(Exception):
        pass

    def stop(done: int) -> None:
        if done == 3:
            raise Stop

    case = water_case()
    region = planning_region(case)
    with pytest.raises(Stop):
        physics_prior(region, trace_beams(case, region), on_iteration=stop)


def test_density_outside_the_body_attenuates_nothing() -> None:
    ct = np.full((2, 2, 2), 500.0, np.float32)
    body = np.zeros((2, 2, 2), bool)
    body[0, 0, 0] = True
    density = relative_electron_density(ct, body)
    assert density[0, 0, 0] > 1.1
    assert np.count_nonzero(density) == 1


def target_shares(case: PlanCase) -> np.ndarray:
    """What each beam's fluence in the quick plan gives of the targets' mean dose."""
    region = planning_region(case)
    traced = trace_beams(case, region)
    maps = traced.beams.to_maps(physics_prior(region, traced).beamlets)
    in_target = region.prescription_map_gy[region.body] > 0
    alone = [maps * (torch.arange(len(maps)) == number)[:, None, None] for number in range(len(maps))]
    given = np.array([traced.beams.dose(one).numpy()[in_target].mean() for one in alone])
    return given / given.sum()


def test_a_beam_of_three_times_the_weight_gives_three_times_the_share_that_it_gives_among_equals() -> None:
    directions = ((0.0, 1.0), (50.0, 3.0), (110.0, 0.5), (200.0, 1.0))
    free = target_shares(water_case().with_beams(tuple(Beam(gantry) for gantry, _ in directions)))
    weighted = target_shares(water_case().with_beams(tuple(Beam(gantry, weight=weight) for gantry, weight in directions)))
    wanted = free * [weight for _, weight in directions]
    assert weighted == pytest.approx(wanted / wanted.sum(), rel=0.1)


def test_only_the_ratio_of_weights_counts() -> None:
    beams = (Beam(0), Beam(50, weight=2), Beam(110))
    (_, first), (_, second) = planned(beams), planned(tuple(replace(beam, weight=4 * beam.weight) for beam in beams))
    assert np.array_equal(first.dose_gy, second.dose_gy)


def mean_dose_left_and_right(beams: tuple[Beam | Arc, ...]) -> tuple[float, float]:
    """Mean dose of open fields in the body outside the targets, to the patient's left and to the right."""
    case = water_case().with_beams(beams).with_isocentre((0.0, 0.0, 0.0))
    region = planning_region(case)
    prior = physics_prior(region, trace_beams(case, region))
    left = region.grid.world_from_index(np.indices(region.grid.shape).transpose(1, 2, 3, 0))[..., 0] > 0
    outside = region.body & (region.prescription_map_gy == 0)
    return float(prior.open_field[outside & left].mean()), float(prior.open_field[outside & ~left].mean())


def test_the_direction_of_an_arc_decides_through_which_side_it_goes() -> None:
    """Clockwise from 0 the gantry passes 90, at the patient's left; counter-clockwise 270, at the right."""
    left, right = mean_dose_left_and_right((Arc(0, 170),))
    assert left > 1.2 * right
    left, right = mean_dose_left_and_right((Arc(0, 190, is_clockwise=False),))
    assert right > 1.2 * left


@pytest.mark.parametrize(("side", "sign"), [("left", 1), ("right", -1)])
def test_one_sided_templates_irradiate_their_side(side: str, sign: int) -> None:
    """In LPS, x grows to the patient's left and y to posterior: a left tangent runs from right anterior to left posterior."""

    def moment(template: str, weight: np.ndarray) -> float:
        _region, prior = planned(template_named(f"{template}, {side}").beams)
        return float((prior.open_field * weight).sum() / prior.open_field.sum())

    region = planning_region(water_case())
    x, y, _ = np.moveaxis(region.grid.world_from_index(np.argwhere(region.body)), -1, 0)
    of_x, of_xy = np.zeros(region.grid.shape), np.zeros(region.grid.shape)
    of_x[region.body], of_xy[region.body] = x, (x - x.mean()) * (y - y.mean())
    assert sign * moment("2 partial arcs", of_x) > 2.0  # mm
    assert sign * moment("Breast tangents", of_xy) > 100.0  # mm squared
