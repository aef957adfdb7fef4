"""Clinical goals and fractions in the panel: chosen, edited in place, read and written, kept in the scene, and used to judge."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer

from dose_prediction.case_files import read_case
from dose_prediction.dosimetry import load_goal_set
from dose_prediction.resources import resource_path
from DosePredictionLib.DoseNode import provenance_of
from DosePredictionLib.FractionsSection import FractionsSection
from DosePredictionLib.GoalsSection import GoalsSection
from slicer_bench import message_recorder

STRUCTURE, METRIC, LIMIT = range(3)
SHIPPED = {name: load_goal_set(resource_path("Goals") / f"{name}.json") for name in ("HeadAndNeck", "Lung")}


def goals_ui(user):
    return user.section(GoalsSection)


def choose(user, text):
    combo = goals_ui(user).goalSetComboBox
    combo.setCurrentIndex(combo.findText(text))
    combo.activated(combo.findText(text))


def listed(user):
    """Every row as it reads: ticked, structure, metric, limit."""
    table = goals_ui(user).goalSetTable
    return [
        (table.item(row, STRUCTURE).checkState() == qt.Qt.Checked, *(table.item(row, column).text() for column in (STRUCTURE, METRIC, LIMIT)))
        for row in range(table.rowCount)
    ]


def row_of(user, structure, metric):
    return [row[1:3] for row in listed(user)].index((structure, metric))


def type_into(user, row, column, text):
    goals_ui(user).goalSetTable.item(row, column).setText(text)


def goals_in_use(user):
    return user.panel.parameters.plan_goals.goal_set.goals


def test_head_and_neck_is_chosen_in_a_new_scene(user):
    assert goals_ui(user).goalSetComboBox.currentText == "Head and neck"
    assert goals_in_use(user) == SHIPPED["HeadAndNeck"].goals
    assert (True, "SpinalCord", "D0.03cc", "≤ 45 Gy") in listed(user)


def test_another_set_is_chosen(user):
    choose(user, "Lung")
    assert goals_in_use(user) == SHIPPED["Lung"].goals
    assert (True, "Heart", "Dmean", "≤ 26 Gy") in listed(user)


def test_the_goals_are_shown_for_editing_at_a_click(user):
    assert goals_ui(user).goalEditWidget.isHidden()
    goals_ui(user).editGoalsButton.click()
    assert not goals_ui(user).goalEditWidget.isHidden()


@pytest.mark.parametrize("text, expected", [("40", "≤ 40 Gy"), ("42,5", "≤ 42.5 Gy"), (">= 10 Gy", "≥ 10 Gy"), ("≤ 50Gy", "≤ 50 Gy")])
def test_a_limit_is_changed_in_place(user, text, expected):
    row = row_of(user, "SpinalCord", "D0.03cc")
    type_into(user, row, LIMIT, text)
    assert listed(user)[row] == (True, "SpinalCord", "D0.03cc", expected)
    assert goals_ui(user).goalSetComboBox.currentText == "Head and neck (edited)"


def test_a_changed_goal_no_longer_claims_its_source_and_the_others_keep_theirs(user):
    row = row_of(user, "SpinalCord", "D0.03cc")
    type_into(user, row, LIMIT, "40")
    sources = [goal.source for goal in goals_in_use(user)]
    assert sources[row] == ""
    assert [source for number, source in enumerate(sources) if number != row] == [
        goal.source for number, goal in enumerate(SHIPPED["HeadAndNeck"].goals) if number != row
    ]


@pytest.mark.parametrize(
    "column, text, reason",
    [(LIMIT, "forty", "not understood"), (LIMIT, "<= 45 mm", "'mm'"), (METRIC, "Dfoo", "Dfoo"), (STRUCTURE, " ", "needs a structure")],
)
def test_a_goal_that_cannot_be_is_refused_in_place_with_the_reason(user, column, text, reason):
    row = row_of(user, "SpinalCord", "D0.03cc")
    before = listed(user)
    type_into(user, row, column, text)
    assert goals_ui(user).goalSetLabel.text.startswith("✗ ") and reason in goals_ui(user).goalSetLabel.text
    assert listed(user) == before
    assert goals_in_use(user) == SHIPPED["HeadAndNeck"].goals
    type_into(user, row, LIMIT, "44")
    assert goals_ui(user).goalSetLabel.text == ""


def test_goals_are_added_changed_switched_off_and_removed(user):
    ui = goals_ui(user)
    count = len(listed(user))
    ui.addGoalButton.click()
    row = goals_ui(user).goalSetTable.currentRow()
    assert row == count
    type_into(user, row, STRUCTURE, "Parotid_L")
    type_into(user, row, METRIC, "Dmean")
    type_into(user, row, LIMIT, "20")
    assert str(goals_in_use(user)[-1]) == "Dmean <= 20 Gy"
    goals_ui(user).goalSetTable.item(row, STRUCTURE).setCheckState(qt.Qt.Unchecked)
    assert listed(user)[row] == (False, "Parotid_L", "Dmean", "≤ 20 Gy")
    assert len(goals_in_use(user)) == count
    goals_ui(user).goalSetTable.setCurrentCell(row, STRUCTURE)
    ui.removeGoalButton.click()
    assert len(listed(user)) == count


def test_goals_come_back_with_a_saved_scene(user, patient, tmp_path):
    user.select(patient)
    choose(user, "Lung")
    type_into(user, 3, LIMIT, "25")
    goals_ui(user).goalSetTable.item(4, STRUCTURE).setCheckState(qt.Qt.Unchecked)
    user.section(FractionsSection).fractionsSpinBox.value = 30
    before = listed(user)
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert goals_ui(user).goalSetComboBox.currentText == "Head and neck"
    slicer.util.loadScene(path)
    assert listed(user) == before
    assert goals_ui(user).goalSetComboBox.currentText == "Lung (edited)"
    assert user.section(FractionsSection).fractionsSpinBox.value == 30


def test_goals_go_out_into_a_file_and_come_back(user, tmp_path):
    choose(user, "Lung")
    type_into(user, 3, LIMIT, "25")
    goals_ui(user).goalSetTable.item(4, STRUCTURE).setCheckState(qt.Qt.Unchecked)
    expected = goals_in_use(user)
    message_recorder.answer_next(str(tmp_path / "mine"))
    goals_ui(user).exportGoalsButton.click()
    assert "mine.json" in goals_ui(user).goalSetLabel.text
    assert load_goal_set(tmp_path / "mine.json").goals == expected
    choose(user, "Head and neck")
    message_recorder.answer_next(str(tmp_path / "mine.json"))
    goals_ui(user).importGoalsButton.click()
    assert goals_in_use(user) == expected
    assert goals_ui(user).goalSetComboBox.currentText == "Lung (edited)"


@pytest.mark.parametrize("content", ["not JSON", "{}", '{"name": "x", "description": "", "sources": {}, "goals": [{"structure": "A", "goal": "B"}]}'])
def test_a_file_that_is_no_goal_set_is_refused_and_the_goals_stay(user, tmp_path, content):
    (tmp_path / "bad.json").write_text(content, encoding="utf-8")
    message_recorder.answer_next(str(tmp_path / "bad.json"))
    goals_ui(user).importGoalsButton.click()
    assert "bad.json" in goals_ui(user).goalSetLabel.text
    assert goals_in_use(user) == SHIPPED["HeadAndNeck"].goals


def test_a_folder_that_cannot_be_written_to_is_told(user, tmp_path):
    message_recorder.answer_next(str(tmp_path / "nowhere" / "deep" / "goals.json"))
    (tmp_path / "nowhere").write_text("a file, not a folder", encoding="utf-8")
    goals_ui(user).exportGoalsButton.click()
    assert goals_ui(user).goalSetLabel.text.startswith("✗ ")


@pytest.mark.parametrize("text", ["not JSON", "{}", '{"name": "x", "description": "", "goals": [["A", "B", "", true]]}', "[]"])
def test_goals_in_a_scene_that_make_no_sense_are_a_reason_and_no_crash(user, patient, text):
    user.select(patient)
    user.panel.parameters.node.SetParameter("GoalSet", text)
    assert not user.button.enabled
    assert "choose a set" in user.reasons and "choose a set" in goals_ui(user).goalSetLabel.text
    choose(user, "Lung")
    assert user.button.enabled


def test_a_dose_is_judged_by_the_goals_that_are_chosen(user, patient, worker):
    user.select(patient)
    goals_ui(user).addGoalButton.click()
    row = goals_ui(user).goalSetTable.currentRow()
    type_into(user, row, STRUCTURE, "SpinalCord")
    type_into(user, row, METRIC, "Dmax")
    type_into(user, row, LIMIT, "12")
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    worker.answer(np.full(read_case(worker.calls[0][1]).grid.shape, 11.0, dtype=np.float32))
    user.wait_until_idle()
    table = user.panel.parameters.goals
    judged = [tuple(table.GetCellText(row, column) for column in range(4)) for row in range(table.GetNumberOfRows())]
    assert ("SpinalCord", "Dmax ≤ 12 Gy", "11.0 Gy", "met") in judged


def test_fractions_and_the_dose_of_each_follow_one_another(user, patient):
    user.select(patient)
    ui = user.section(FractionsSection)
    assert ui.fractionsSpinBox.text == "not set"
    ui.fractionsSpinBox.value = 30
    assert user.section(FractionsSection).fractionDoseSpinBox.value == pytest.approx(2.0)
    ui.fractionDoseSpinBox.value = 2.4
    ui.fractionDoseSpinBox.editingFinished()
    assert user.section(FractionsSection).fractionsSpinBox.value == 25
    user.type_prescription("PTV_6000", "50")
    assert user.section(FractionsSection).fractionDoseSpinBox.value == pytest.approx(2.0)


def test_fractions_are_told_with_the_result(user, patient, worker):
    user.select(patient)
    user.section(FractionsSection).fractionsSpinBox.value = 30
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    worker.answer(np.full(read_case(worker.calls[0][1]).grid.shape, 11.0, dtype=np.float32))
    user.wait_until_idle()
    assert provenance_of(user.panel.parameters.dose)["fractions"] == 30
    assert "30 fractions" in user.ui.provenanceLabel.text
