"""What an objective asks of the dose, point by point, and how it follows the case."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dose_prediction.case import PlanCase, Role, Structure
from dose_prediction.physics.fluence import VoxelGoals
from dose_prediction.physics.learnt_objective import (
    CASE_FEATURES,
    FARTHEST,
    FILE,
    ORGAN_FEATURES,
    CaseFeatures,
    Fitted,
    case_features,
    learnt_objective,
    save_objective,
    usual_objective,
)
from dose_prediction.physics.plan_objective import (
    FAR_ABOVE,
    RINGS_MM,
    ROUNDED_GY,
    Numbers,
    OrganObjective,
    PlanObjective,
    PlanPlaces,
    behind,
    interpolated,
    plan_goals,
    plan_places,
)
from dose_prediction.region import PlanningRegion, planning_region
from water_case import mirror_image, water_case


def places_of(case: PlanCase) -> tuple[PlanningRegion, PlanPlaces]:
    region = planning_region(case)
    return region, plan_places(region)


def with_organ(case: PlanCase, name: str, rows: slice) -> PlanCase:
    mask = np.zeros(case.grid.shape, bool)
    mask[:, rows, 18:24] = True
    return replace(case, structures=(*case.structures, Structure(name, Role.organ(name), mask)))


def test_between_knots_values_are_interpolated_and_beyond_them_they_stay() -> None:
    x = torch.tensor([-5.0, 0.0, 1.0, 3.0, 4.0, 99.0])
    assert interpolated((0.0, 2.0, 4.0), (10.0, 20.0, 0.0), x).tolist() == pytest.approx([10.0, 10.0, 15.0, 10.0, 0.0, 0.0])


def cost_of(places: PlanPlaces, objective: PlanObjective, dose_gy: torch.Tensor) -> float:
    return float(plan_goals(places, objective).cost(dose_gy))


def nothing_but(**numbers: Numbers | tuple[tuple[str, OrganObjective], ...]) -> PlanObjective:
    """An objective in which all else costs next to nothing."""
    without = {
        field.name: torch.full_like(torch.as_tensor(getattr(usual_objective(), field.name)), 1e-9)
        for field in fields(PlanObjective)
        if field.name
        not in (
            "relative_dose",
            "relative_ceiling",
            "curve",
            "inner_relative_level",
            "outer_relative_level",
            "organs",
            "other_organ",
            "iterations",
            "sampled_points",
        )
    }
    return replace(usual_objective(), **{**without, "organs": (), "other_organ": OrganObjective((0.0,) * 6, 1.0, 0.0), **numbers})


def test_a_target_costs_what_its_mean_dose_lacks_and_what_is_too_much() -> None:
    _, places = places_of(water_case())
    high = max(target for target, _, _ in places.targets)
    (low,) = (target for target, _, _ in places.targets if target != high)
    objective = nothing_but(relative_dose=(1.0, 1.0, 1.02), shortfall=(2.0, 2.0, 3.0), excess=(0.5, 0.5, 0.25), far_excess=(1.0,) * 3)

    def with_doses(of_high: float, of_low: float) -> float:
        dose = torch.zeros_like(places.prescription_gy)
        dose[places.prescription_gy == high], dose[places.prescription_gy == low] = of_high, of_low
        return cost_of(places, objective, dose)

    none = with_doses(1.02 * high, low)
    assert none == pytest.approx(ROUNDED_GY / 4 * (3.0 + 0.25 + 2.0 + 0.5), rel=1e-4)  # the rounded corners at the doses that are wanted
    assert with_doses(1.02 * high - 10, low) - none == pytest.approx(3.0 * 10 - ROUNDED_GY / 4 * (3.0 + 0.25), rel=1e-4)
    assert with_doses(1.02 * high, low - 10) - none == pytest.approx(2.0 * 10 - ROUNDED_GY / 4 * (2.0 + 0.5), rel=1e-4)
    far = 10 - (FAR_ABOVE - 1) * low
    assert with_doses(1.02 * high, low + 10) - none == pytest.approx(0.5 * 10 + far - ROUNDED_GY / 4 * (2.0 + 0.5), rel=1e-4)


def test_hot_spots_of_targets_cost_their_square() -> None:
    _, places = places_of(water_case())
    high = max(target for target, _, _ in places.targets)
    objective = nothing_but(relative_ceiling=(1.1, 1.1, 1.05), homogeneity=(0.0, 0.0, 0.4))
    dose = torch.where(places.prescription_gy == high, 1.05 * high + 3.0, 0.0)
    assert cost_of(places, objective, dose) == pytest.approx(0.4 * 3.0**2, rel=1e-3)


def test_a_plan_for_half_the_prescriptions_is_asked_for_half_the_dose() -> None:
    case = with_organ(water_case(), "Brainstem", slice(26, 30))
    halved = tuple(replace(each, role=Role.target(each.role.prescription_gy / 2)) if each.role.prescription_gy else each for each in case.structures)
    once, half = (places_of(each)[1] for each in (case, replace(case, structures=halved)))
    dose = 80 * torch.rand(once.prescription_gy.shape, generator=torch.Generator().manual_seed(0))
    assert cost_of(half, usual_objective(), dose / 2) == pytest.approx(cost_of(once, usual_objective(), dose), rel=1e-4)


def test_outside_targets_the_dose_is_to_fall_with_the_distance() -> None:
    _, places = places_of(water_case())
    objective = replace(usual_objective(), curve=(1.0, 1.0, 1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2))
    wanted = plan_goals(places, objective).parts[0]
    assert isinstance(wanted, VoxelGoals)
    (prescription, _, distance), *others = places.targets
    outside = ~places.in_target & torch.stack([other > 1.5 * distance for _, _, other in others]).all(0)
    at = interpolated((6.0, 10.0, 15.0, 25.0, 40.0, 60.0), (1.0, 0.8, 0.7, 0.6, 0.5, 0.4), distance) * prescription
    some = outside & (distance > 6) & (distance < 60)
    assert some.sum() > 100
    assert wanted.upper_gy[some].numpy() == pytest.approx(at[some].numpy(), rel=1e-5)


def test_an_organ_costs_its_mean_dose_and_what_lies_above_shares_of_its_level() -> None:
    _, places = places_of(with_organ(water_case(), "Brainstem", slice(26, 30)))
    (brainstem,) = (structure for structure in places.spared if structure.name == "Brainstem")
    whole = float(brainstem.members.sum()) / brainstem.voxels
    high = max(target for target, _, _ in places.targets)
    objective = nothing_but(organs=(("Brainstem", OrganObjective((0.1, 0.0, 0.3, 0.0, 0.0, 0.0), 40 / high, 0.01)),))

    def with_dose(gy: float) -> float:
        return cost_of(places, objective, torch.where(brainstem.members, gy, 0.0)) - cost_of(places, objective, torch.zeros(len(brainstem.members)))

    rounded = 0.1 * ROUNDED_GY / 4  # the dose of 0 is at a corner of the mean dose
    assert with_dose(10.0) == pytest.approx(whole * (0.1 * 10 - rounded), rel=1e-4)
    assert with_dose(30.0) == pytest.approx(whole * (0.1 * 30 - rounded + 0.3 * 10), rel=1e-4)
    assert with_dose(45.0) == pytest.approx(whole * (0.1 * 45 - rounded + 0.3 * 25 + 0.01 * 5**2), rel=1e-4)


def test_where_organs_overlap_both_count() -> None:
    _, places = places_of(with_organ(with_organ(water_case(), "Brainstem", slice(26, 30)), "Larynx", slice(28, 32)))
    brainstem, larynx = (next(structure for structure in places.spared if structure.name == name) for name in ("Brainstem", "Larynx"))
    both = brainstem.members & larynx.members
    assert both.any()
    of_each = [nothing_but(organs=((name, OrganObjective((cost,) * 6, 0.5, 0.1)),)) for name, cost in (("Brainstem", 0.1), ("Larynx", 0.2))]
    together = nothing_but(organs=of_each[0].organs + of_each[1].organs)
    dose = torch.where(both, 50.0, 0.0)
    assert cost_of(places, together, dose) == pytest.approx(sum(cost_of(places, each, dose) for each in of_each), rel=1e-5)


def test_rings_lie_next_to_targets_and_each_place_is_in_one() -> None:
    _, places = places_of(water_case())
    assert {(ring.prescription_gy, ring.is_inner) for ring in places.rings} == {(gy, inner) for gy, _, _ in places.targets for inner in (True, False)}
    assert torch.stack([ring.members for ring in places.rings]).sum(0).max() == 1
    for ring in places.rings:
        (distance,) = (distance for gy, _, distance in places.targets if gy == ring.prescription_gy)
        assert not places.in_target[ring.members].any()
        low, high = (0.0, RINGS_MM[0]) if ring.is_inner else RINGS_MM
        assert low < float(distance[ring.members].min()) <= float(distance[ring.members].max()) <= high
    near = torch.stack([ring.members for ring in places.rings]).any(0)
    assert torch.equal(near, (places.distance_mm > 0) & (places.distance_mm <= RINGS_MM[1]))


def test_some_of_the_points_are_asked_for_the_same_as_among_all() -> None:
    _, places = places_of(with_organ(water_case(), "Brainstem", slice(26, 30)))
    chosen = torch.arange(0, len(places.prescription_gy), 7)
    dose = 80 * torch.rand(len(chosen), generator=torch.Generator().manual_seed(0))
    importance = 1 + torch.rand(len(chosen), generator=torch.Generator().manual_seed(1))
    before = plan_goals(places, usual_objective()).at(chosen, importance)
    after = plan_goals(places.at(chosen), usual_objective()).at(torch.arange(len(chosen)), importance)
    assert float(before.cost(dose)) == pytest.approx(float(after.cost(dose)), rel=1e-5)


def test_what_lies_behind_the_cord_is_found_in_every_slice() -> None:
    cord = np.zeros((4, 9, 9), bool)
    cord[1, 3:6, 4] = True
    cord[2, 4:6, 5] = True
    found = behind(cord, pixel_mm=5.0)
    assert np.array_equal(np.argwhere(found[1])[[0, -1]], [[5, 3], [8, 5]])  # from its middle, row 4, backwards, and 5 mm to either side
    assert not (found & cord).any()
    assert np.array_equal(found[0] & ~cord[1], found[1])  # slices without it are as the nearest that has it
    assert np.array_equal(found[3] & ~cord[2], found[2])
    assert not behind(np.zeros_like(cord), 5.0).any()


def test_numbers_answer_to_features() -> None:
    answers = torch.tensor([[0.0, np.log(2.0)]], dtype=torch.float32)
    assert Fitted(torch.tensor([3.0]), answers).at(torch.zeros(2)).tolist() == pytest.approx([3.0])
    assert Fitted(torch.tensor([3.0]), answers).at(torch.tensor([5.0, 1.0])).tolist() == pytest.approx([6.0])
    share = Fitted(torch.tensor([0.5]), answers, is_share=True)
    assert share.at(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([2 / 3])  # odds of 2 to 1


def test_features_are_bounded_and_the_same_for_a_mirror_image() -> None:
    case = with_organ(water_case(), "Brainstem", slice(26, 30))
    one, other = (case_features(*places_of(each)) for each in (case, mirror_image(case)))
    assert one.case.any()
    assert one.case.abs().max() <= FARTHEST
    assert one.case.numpy() == pytest.approx(other.case.numpy(), abs=1e-4)
    assert one.organs["Parotid_L"].abs().max() <= FARTHEST
    assert one.organs["Parotid_L"].numpy() == pytest.approx(other.organs["Parotid_R"].numpy(), abs=1e-4)


def test_a_larger_target_is_said_to_be_larger() -> None:
    case = with_organ(water_case(), "Brainstem", slice(26, 30))
    target = next(structure for structure in case.structures if structure.role.prescription_gy == 70.0)
    larger = np.logical_or.reduce([np.roll(target.mask, shift, axis=2) for shift in (-5, 0, 5)])
    grown = replace(case, structures=tuple(replace(each, mask=larger) if each is target else each for each in case.structures))
    before, after = (case_features(*places_of(each)).case for each in (case, grown))
    assert after[CASE_FEATURES.index("highest")] > before[CASE_FEATURES.index("highest")]


def test_another_site_counts_as_usual() -> None:
    case = water_case()
    other = replace(case, structures=(*case.targets, replace(case.organs[0], name="Bladder", role=Role.organ("Bladder"))))
    features = case_features(*places_of(other))
    assert not features.case.any()
    assert not features.organs


def test_the_objective_that_comes_with_the_product_fits_its_features() -> None:
    learnt = learnt_objective()
    assert json.loads(FILE.read_text(encoding="utf-8"))["case_features"] == list(CASE_FEATURES)
    assert all(fitted.answers.shape == (len(fitted.usual), len(CASE_FEATURES)) for fitted in learnt.numbers.values())
    both = len(CASE_FEATURES) + len(ORGAN_FEATURES)
    assert all(fitted.answers.shape == (len(fitted.usual), both) for parts in learnt.organs.values() for fitted in parts.values())


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    save_objective(learnt_objective(), tmp_path / "learnt.json")
    features = CaseFeatures(torch.linspace(-1, 1, len(CASE_FEATURES)), {"Larynx": torch.full((len(ORGAN_FEATURES),), 0.3)})
    one, other = (learnt.at(features) for learnt in (learnt_objective(), learnt_objective(tmp_path / "learnt.json")))
    assert torch.as_tensor(other.curve).numpy() == pytest.approx(torch.as_tensor(one.curve).numpy(), rel=1e-4)
    of_one, of_other = (torch.as_tensor(dict(each.organs)["Larynx"].slopes).numpy() for each in (one, other))
    assert of_other == pytest.approx(of_one, rel=1e-3)
    assert other.other_organ == one.other_organ
