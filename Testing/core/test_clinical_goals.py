"""Clinical goals: read, refused and judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dose_prediction.case import recognise
from dose_prediction.dosimetry import (
    ClinicalGoal,
    GoalError,
    GoalSet,
    Outcome,
    StructureDose,
    evaluate_goal,
    evaluate_goals,
    load_goal_set,
    parse_goal,
    structure_doses,
    write_goal_set,
)
from dose_prediction.resources import resource_path
from water_case import water_case

GOAL_FILES = sorted(resource_path("Goals").glob("*.json"))
DOSE = StructureDose(np.arange(1.0, 101.0), np.full(100, 0.001))  # 100 voxels of 1 mm³ with 1 to 100 Gy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D95% >= 70 Gy", ("D95%", ">=", 70.0, "Gy")),
        ("Dmean <= 26 Gy", ("Dmean", "<=", 26.0, "Gy")),
        ("d0.03CC ≤ 45gy", ("D0.03cc", "<=", 45.0, "Gy")),
        ("V20Gy<=30%", ("V20Gy", "<=", 30.0, "%")),
        ("V60Gy < 2 cm3", ("V60Gy", "<=", 2.0, "cc")),
        ("V95% > 98 %", ("V95%", ">=", 98.0, "%")),
        ("D2% <= 107% of  prescription", ("D2%", "<=", 107.0, "% of prescription")),
        ("D98% >= 95 % Rx", ("D98%", ">=", 95.0, "% of prescription")),
    ],
)
def test_a_goal_is_read_as_it_stands_on_a_planning_sheet(text, expected):
    goal = parse_goal(text, "Larynx", "a protocol")
    assert (goal.metric, goal.comparison, goal.limit, goal.unit) == expected
    assert (goal.structure, goal.source) == ("Larynx", "a protocol")


@pytest.mark.parametrize("path", GOAL_FILES, ids=lambda path: path.stem)
def test_a_goal_reads_back_what_it_prints(path):
    for goal in load_goal_set(path).goals:
        assert parse_goal(str(goal), goal.structure, goal.source) == goal


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("keep it low", "keep it low"),
        ("D95 >= 70 Gy", "D95"),
        ("Dmedian <= 3 Gy", "Dmedian"),
        ("D95% == 70 Gy", "D95% == 70 Gy"),
        ("Dmean <= 26", "Dmean <= 26"),
        ("Dmean <= 26 parsec", "parsec"),
        ("Dmean <= 26 %", "'%'"),
        ("V20Gy <= 30 Gy", "'Gy'"),
        ("V20Gy <= 130 %", "130"),
        ("D120% >= 3 Gy", "D120%"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused_by_name(text, named):
    with pytest.raises(GoalError) as error:
        parse_goal(text)
    assert named in str(error.value)
    assert "give" in str(error.value) or "write" in str(error.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Dmean <= 60 Gy", 50.5),
        ("Dmax <= 60 Gy", 100.0),
        ("Dmin >= 0 Gy", 1.0),
        ("D50% <= 60 Gy", 50.5),
        ("D0.05cc <= 60 Gy", 50.5),  # half of 0.1 cc
        ("V51Gy <= 60 %", 50.0),
        ("V51Gy <= 1 cc", 0.05),
        ("V85% >= 40 %", 41.0),  # of 70 Gy: 59.5 Gy and more
        ("D50% >= 50 % of prescription", 50.5),
    ],
)
def test_each_metric_has_the_value_that_hand_calculation_gives(text, value):
    result = evaluate_goal(parse_goal(text, "PTV"), DOSE, prescription_gy=70.0)
    assert result.value == pytest.approx(value)


def test_a_relative_limit_is_told_in_gy():
    result = evaluate_goal(parse_goal("Dmin >= 95 % of prescription"), StructureDose([68.0], [1.0]), prescription_gy=70.0)
    assert (result.limit, result.unit, result.outcome) == (66.5, "Gy", Outcome.MET)
    assert result.margin == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("limit", "comparison", "outcome"),
    [
        (40.0, "<=", Outcome.MET),
        (38.5, "<=", Outcome.CLOSE),
        (38.0, "<=", Outcome.MISSED),
        (40.0, ">=", Outcome.MET),
        (42.0, ">=", Outcome.CLOSE),
        (42.2, ">=", Outcome.MISSED),
    ],
)
def test_a_goal_missed_by_up_to_5_percent_of_its_limit_is_close(limit, comparison, outcome):
    result = evaluate_goal(ClinicalGoal("Larynx", "Dmean", comparison, limit, "Gy"), StructureDose([40.0], [1.0]))
    assert result.outcome is outcome
    assert result.margin == pytest.approx(40.0 - limit if comparison == ">=" else limit - 40.0)


def test_without_voxels_or_without_prescription_a_goal_does_not_apply():
    empty = evaluate_goal(parse_goal("Dmean <= 26 Gy", "Parotid_L"), None)
    unprescribed = evaluate_goal(parse_goal("V95% >= 95 %", "Larynx"), DOSE)
    assert empty.outcome is unprescribed.outcome is Outcome.NOT_APPLICABLE
    assert empty.value is empty.margin is None


def test_goals_for_ptv_apply_to_every_target_and_for_ptv_high_to_the_highest():
    case = water_case()
    doses = {target.name: StructureDose([target.role.prescription_gy], [1.0]) for target in case.targets}
    goals = (
        parse_goal("PTV: D95% >= 100 % of prescription"),
        parse_goal("PTV_High: D2% <= 107 % of prescription"),
        parse_goal("Larynx: Dmean <= 45 Gy"),
    )
    results = evaluate_goals(goals, doses, case)
    assert [(r.structure, r.outcome) for r in results] == [
        ("PTV_7000", Outcome.MET),
        ("PTV_5600", Outcome.MET),
        ("PTV_7000", Outcome.MET),
        ("Larynx", Outcome.NOT_APPLICABLE),
    ]


def test_a_structure_is_judged_by_its_dose_and_without_one_no_goal_applies_to_it():
    goals = (parse_goal("PTV: D95% >= 60 Gy"), parse_goal("PTV: V60Gy >= 1 cc"))
    results = evaluate_goals(goals, {"PTV_7000": StructureDose([58.0, 66.0], [1.0, 3.0])}, water_case())
    found = {(result.structure, result.goal.metric): result for result in results}
    assert found["PTV_7000", "D95%"].value == pytest.approx(58.0 + 8.0 * 0.05)
    assert found["PTV_7000", "V60Gy"].value == pytest.approx(3.0)
    assert {found["PTV_5600", metric].outcome for metric in ("D95%", "V60Gy")} == {Outcome.NOT_APPLICABLE}


def test_the_doses_of_all_structures_judge_a_uniform_dose_by_itself():
    case = water_case()
    dose = np.full(case.grid.shape, 70.0)
    found = structure_doses(dose, case)
    assert set(found) == {s.name for s in (*case.targets, *case.organs)}
    results = evaluate_goals((parse_goal("PTV: D95% >= 70 Gy"),), found, case)
    assert [(r.value, r.outcome) for r in results] == [(pytest.approx(70.0), Outcome.MET)] * 2


def test_there_are_goals_for_head_and_neck_and_for_lung():
    assert [load_goal_set(path).name for path in GOAL_FILES] == ["Head and neck", "Lung"]


@pytest.mark.parametrize("path", GOAL_FILES, ids=lambda path: path.stem)
def test_released_goals_have_sources_and_names_that_structures_are_recognised_by(path):
    goals = load_goal_set(path).goals
    assert len(goals) > 10
    for goal in goals:
        assert len(goal.source) > 20
        assert goal.structure in ("PTV", "PTV_High") or recognise(goal.structure).standard_name == goal.structure


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a goal set"),
        ("[]", "not a goal set"),
        ('{"name": "x"}', "sources"),
        (json.dumps({"name": "x", "description": "", "sources": {}, "goals": [{"structure": "A", "goal": "Dmean <= 1 Gy", "source": "B"}]}), "'B'"),
        (
            json.dumps({"name": "x", "description": "", "sources": {"B": ""}, "goals": [{"structure": "A", "goal": "D <= 1", "source": "B"}]}),
            "D <= 1",
        ),
    ],
)
def test_a_bad_goal_file_is_refused_by_name(tmp_path: Path, content, said):
    path = tmp_path / "goals.json"
    path.write_text(content)
    with pytest.raises(GoalError) as error:
        load_goal_set(path)
    assert str(path) in str(error.value) and said in str(error.value)


@pytest.mark.parametrize("path", GOAL_FILES, ids=lambda path: path.stem)
def test_a_goal_set_that_was_edited_and_written_reads_back_the_same(path, tmp_path: Path):
    goals = load_goal_set(path)
    edited = GoalSet("Our own", goals.description, (*goals.goals[1:], parse_goal("Lips: Dmean <= 20 Gy", source="Our protocol, 2024")))
    write_goal_set(tmp_path / "own.json", edited)
    assert load_goal_set(tmp_path / "own.json") == edited


def test_a_missing_goal_file_is_named(tmp_path: Path):
    with pytest.raises(GoalError, match="no such file"):
        load_goal_set(tmp_path / "none.json")
