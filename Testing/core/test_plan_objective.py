"""What an objective asks of the dose, point by point, and how it follows the case."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dose_prediction.case import PlanCase, Role, Structure
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
from dose_prediction.physics.plan_objective import OrganObjective, PlanPlaces, behind, interpolated, plan_goals, plan_places
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


def test_each_target_is_asked_for_its_prescription_and_counts_as_a_whole() -> None:
    _, places = places_of(water_case())
    objective = replace(
        usual_objective(),
        aim=(1.0, 1.0, 1.02),
        coverage=(2.0, 2.0, 3.0),
        homogeneity=(0.5, 0.5, 0.25),
        highest_ceiling=1.05,
        lower_ceiling_gy=(8.0,) * 3,
    )
    wanted, _ = plan_goals(places, objective).parts
    highest = max(target for target, _, _ in places.targets)
    assert len(places.targets) == 2
    for target, voxels, _ in places.targets:
        inside = places.prescription_gy == target
        assert int(inside.sum()) == voxels
        assert wanted.lower_gy[inside].numpy() == pytest.approx(target * (1.02 if target == highest else 1.0))
        assert float(wanted.lower_weight[inside].sum()) == pytest.approx(3.0 if target == highest else 2.0, rel=1e-3)
        assert float(wanted.upper_weight[inside].sum()) == pytest.approx(0.25 if target == highest else 0.5, rel=1e-3)
        assert wanted.upper_gy[inside].numpy() == pytest.approx(min(target + 8.0 if target < highest else np.inf, 1.05 * highest))
    assert torch.all(wanted.lower_weight[~places.in_target] == 0)


def test_outside_targets_the_dose_is_to_fall_with_the_distance() -> None:
    _, places = places_of(water_case())
    objective = replace(usual_objective(), curve=(1.0, 1.0, 1.0, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2))
    wanted, _ = plan_goals(places, objective).parts
    (prescription, _, distance), *others = places.targets
    outside = ~places.in_target & torch.stack([other > 1.5 * distance for _, _, other in others]).all(0)
    at = interpolated((6.0, 10.0, 15.0, 25.0, 40.0, 60.0), (1.0, 0.8, 0.7, 0.6, 0.5, 0.4), distance) * prescription
    some = outside & (distance > 6) & (distance < 60)
    assert some.sum() > 100
    assert wanted.upper_gy[some].numpy() == pytest.approx(at[some].numpy(), rel=1e-5)


def test_where_organs_overlap_both_count_and_the_lower_ceiling_holds() -> None:
    case = with_organ(with_organ(water_case(), "Brainstem", slice(26, 30)), "Larynx", slice(28, 32))
    _, places = places_of(case)
    organs = (("Brainstem", OrganObjective(0.0, 30.0, 1.0)), ("Larynx", OrganObjective(0.0, 45.0, 2.0)))
    _, ceilings = plan_goals(places, replace(usual_objective(), organs=organs, other_organ=OrganObjective(0.0))).parts
    brainstem, larynx = (next(structure for structure in places.spared if structure.name == name) for name in ("Brainstem", "Larynx"))
    both, one = brainstem.members & larynx.members, larynx.members & ~brainstem.members
    assert both.any()
    assert set(ceilings.upper_gy[both].tolist()) == {30.0}
    assert set(ceilings.upper_gy[one].tolist()) == {45.0}
    assert ceilings.upper_weight[both].numpy() == pytest.approx(1 / brainstem.voxels + 2 / larynx.voxels)
    assert float(ceilings.upper_weight[~brainstem.members & ~larynx.members].sum()) == 0


def test_some_of_the_points_are_asked_for_the_same_as_among_all() -> None:
    _, places = places_of(with_organ(water_case(), "Brainstem", slice(26, 30)))
    chosen = torch.arange(0, len(places.prescription_gy), 7)
    for part, of_some in zip(plan_goals(places, usual_objective()).parts, plan_goals(places.at(chosen), usual_objective()).parts, strict=True):
        for name, values in vars(part).items():
            assert torch.equal(values[chosen], getattr(of_some, name)), name


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
    assert all(fitted.answers.shape == (1, both) for parts in learnt.organs.values() for fitted in parts.values())


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    save_objective(learnt_objective(), tmp_path / "learnt.json")
    features = CaseFeatures(torch.linspace(-1, 1, len(CASE_FEATURES)), {"Larynx": torch.full((len(ORGAN_FEATURES),), 0.3)})
    one, other = (learnt.at(features) for learnt in (learnt_objective(), learnt_objective(tmp_path / "learnt.json")))
    assert torch.as_tensor(other.curve).numpy() == pytest.approx(torch.as_tensor(one.curve).numpy(), rel=1e-4)
    assert float(dict(other.organs)["Larynx"].quadratic) == pytest.approx(float(dict(one.organs)["Larynx"].quadratic), rel=1e-3)
