"""Steering a dose to goals: what the organ gains, what the targets keep, and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest

from dose_prediction.case import CaseError, DoseGoal, PlanCase, parse_dose_goal
from dose_prediction.guidance import guided_change
from dose_prediction.physics.prior import PhysicsPrior, TracedBeams, physics_prior, trace_beams
from dose_prediction.region import PlanningRegion, onto_case_grid, planning_region
from dose_prediction.trade_offs import MetricChange, goal_sentences, metric_changes
from water_case import water_case

Planned = tuple[PlanCase, PlanningRegion, TracedBeams, PhysicsPrior]


@pytest.fixture(scope="module")
def planned() -> Planned:
    case = water_case()
    region = planning_region(case)
    traced = trace_beams(case, region)
    return case, region, traced, physics_prior(region, traced)


def changes(planned: Planned, goal: DoseGoal, added_gy: float = 0.0) -> dict[tuple[str, str], MetricChange]:
    """By structure and metric, of a prediction that is the prior and `added_gy` everywhere in the body."""
    case, region, traced, prior = planned
    before = np.where(region.body, prior.dose_gy + np.float32(added_gy), 0).astype(np.float32)
    after = np.maximum(before + guided_change(traced, region, prior, before, [goal]), 0)
    doses = (onto_case_grid(dose, region, case) for dose in (before, after))
    return {(change.structure, change.metric): change for change in metric_changes(case, *doses)}


@pytest.mark.parametrize("added_gy", [0.0, 3.0])
def test_an_organs_mean_comes_down_to_its_goal_and_the_targets_stay_covered(planned: Planned, added_gy: float) -> None:
    free = changes(planned, DoseGoal("Parotid_L", "mean", 100.0), added_gy)["Parotid_L", "Dmean"].before_gy
    found = changes(planned, DoseGoal("Parotid_L", "mean", free - 4.0), added_gy)
    assert found["Parotid_L", "Dmean"].change_gy == pytest.approx(-4.0, abs=0.6)
    for target in ("PTV_7000", "PTV_5600"):
        assert abs(found[target, "D95%"].change_gy) < 1.0


def test_an_organs_maximum_comes_down_towards_its_goal(planned: Planned) -> None:
    free = changes(planned, DoseGoal("Parotid_L", "max", 100.0))["Parotid_L", "D0.1cc"].before_gy
    found = changes(planned, DoseGoal("Parotid_L", "max", free - 5.0))
    assert -7.0 < found["Parotid_L", "D0.1cc"].change_gy < -3.0


def test_a_goal_that_is_met_already_changes_nothing_worth_telling(planned: Planned) -> None:
    found = changes(planned, DoseGoal("Parotid_L", "mean", 100.0))
    assert max(abs(change.change_gy) for change in found.values()) < 0.5


def test_a_goal_that_beams_cannot_reach_is_told_to_be_out_of_reach(planned: Planned) -> None:
    goal = DoseGoal("Parotid_L", "mean", 0.0)
    found = changes(planned, goal)
    left = found["Parotid_L", "Dmean"].after_gy
    assert left > 0.5
    assert f"out of reach by {left:.1f} Gy" in goal_sentences([goal], list(found.values()))[0]


def test_sentences_say_what_was_gained_and_what_it_cost() -> None:
    told = goal_sentences(
        [DoseGoal("Parotid_R", "mean", 20.0)],
        [
            MetricChange("RightParotid", "Parotid_R", "Dmean", 25.0, 19.9),
            MetricChange("PTV70", "PTV", "D95%", 68.0, 67.2),
            MetricChange("PTV70", "PTV", "D1%", 74.0, 73.0),
            MetricChange("SpinalCord", "SpinalCord", "D0.1cc", 38.0, 38.3),
        ],
    )
    assert told == [
        "Goal Parotid_R mean <= 20 Gy: met; RightParotid Dmean 25.0 -> 19.9 Gy (-5.1).",
        "It costs: PTV70 D95% 68.0 -> 67.2 Gy (-0.8).",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Parotid_R", "is not understood"),
        ("Parotid_R mean >= 20", "is not understood"),
        ("Parotid_R median <= 20", "give mean or max"),
        ("Parotid_R mean <= 200", "give 0 to 100 Gy"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(CaseError, match=sentence):
        parse_dose_goal(text)


@pytest.mark.parametrize("text", ["Parotid_R mean <= 20", "Parotid_R Mean≤20 Gy", " Parotid_R  mean < 20.0gy "])
def test_a_goal_is_read_as_it_is_written(text: str) -> None:
    assert parse_dose_goal(text) == DoseGoal("Parotid_R", "mean", 20.0)
