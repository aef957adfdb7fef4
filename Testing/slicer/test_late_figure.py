"""What the beams cannot do of a dose comes later than the dose: what is said until then, and where it goes, whatever the user does meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

import slicer_bench
from DosePredictionLib.DoseNode import provenance_of
from DosePredictionLib.Report import report_html
from run_steps import result_of

TOLD = "What these beams cannot do of it: 0.6 Gy on average, 4.7 Gy at the 99th percentile."
AWAITED = "What these beams cannot do of it is still being computed…"
NOT_COMPUTED = "What these beams cannot do of it was not computed. Predict again to have it."


@pytest.fixture
def awaiting(user, patient, worker, masks):
    """A user with a dose on the screen whose figure is still being computed."""
    user.select(patient)
    predict(user, worker, masks)
    return user


def start(user, worker):
    worker.calls.clear()
    user.press()
    user.wait_for(lambda: "predict" in worker.names)


def answer(worker, masks, **provenance):
    worker.calls = [call for call in worker.calls if call[0] == "predict"]
    worker.answer(np.where(masks["BODY"], 60.0, 0.0).astype(np.float32), **{"deliverability": None, **provenance})


def predict(user, worker, masks):
    start(user, worker)
    answer(worker, masks)
    user.wait_until_idle()


def said(user):
    return user.ui.deliverabilityLabel.text


def test_dose_histograms_and_goals_are_on_the_screen_while_the_figure_is_computed(awaiting):
    assert awaiting.panel.run.machine.is_idle
    assert awaiting.panel.parameters.dose is not None
    assert awaiting.ui.goalsTable.rowCount > 0
    assert awaiting.ui.showChartButton.enabled
    assert said(awaiting) == AWAITED


def test_the_figure_is_filled_in_and_stored_with_the_result_when_it_comes(awaiting, worker):
    dose = awaiting.panel.parameters.dose
    worker.tell_figure(stage_seconds={"Fitting the beams": 2.0})
    assert said(awaiting) == TOLD
    assert "2.0 s" in awaiting.ui.provenanceLabel.text
    assert provenance_of(dose) == {"deliverability": {"mean_gy": 0.6, "p99_gy": 4.7}, "stage_seconds": {"Fitting the beams": 2.0}}
    assert TOLD in result_of(report_html(dose, awaiting.panel.parameters.goals))


def test_a_report_waits_for_the_figure_and_the_dose_does_not(awaiting, worker, tmp_path):
    export = awaiting.find("exportButton")
    awaiting.find("exportPathLineEdit").currentPath = str(tmp_path)
    assert not export.enabled
    assert export.toolTip == "Wait until what the beams cannot do of the dose is computed, or leave the report out."
    awaiting.find("reportCheckBox").checked = False
    assert export.enabled
    awaiting.find("reportCheckBox").checked = True
    worker.tell_figure()
    assert awaiting.find("exportButton").enabled


def test_a_figure_that_comes_before_the_dose_is_in_the_scene_is_stored_with_it(user, patient, worker, masks):
    user.select(patient)
    start(user, worker)
    answer(worker, masks)
    worker.tell_figure()
    user.wait_until_idle()
    assert said(user) == TOLD
    assert provenance_of(user.panel.parameters.dose)["deliverability"] == {"mean_gy": 0.6, "p99_gy": 4.7}


def test_a_figure_that_comes_with_the_dose_is_shown_and_nothing_is_awaited(user, patient, worker, masks):
    user.select(patient)
    start(user, worker)
    answer(worker, masks, deliverability={"mean_gy": 0.6, "p99_gy": 4.7})
    user.wait_until_idle()
    assert said(user) == TOLD
    worker.tell_figure(9.0, 9.0)
    assert said(user) == TOLD


def test_the_figure_is_back_with_a_saved_scene(awaiting, worker, tmp_path):
    worker.tell_figure()
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert said(awaiting) == ""
    slicer.util.loadScene(path)
    assert said(awaiting) == TOLD


def test_a_scene_saved_before_the_figure_came_says_that_it_was_not_computed(awaiting, worker, tmp_path):
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    worker.tell_figure()  # of the dose in the scene that was closed
    assert said(awaiting) == NOT_COMPUTED


def test_an_update_ends_the_fit_and_its_own_figure_goes_to_its_own_dose(awaiting, worker, masks):
    first = awaiting.panel.parameters.dose
    start(awaiting, worker)
    assert worker.names == ["cancel", "predict"]
    assert said(awaiting) == NOT_COMPUTED
    worker.tell_figure(9.0, 9.0)  # sent before the worker heard of the update
    answer(worker, masks)
    awaiting.wait_until_idle()
    assert said(awaiting) == AWAITED
    worker.tell_figure()
    assert said(awaiting) == TOLD
    assert provenance_of(first)["deliverability"] is None


def test_an_update_that_ends_before_it_reaches_the_worker_leaves_the_figure_to_come(awaiting, worker):
    worker.calls.clear()
    awaiting.press()
    awaiting.press()
    assert awaiting.status == "Cancelled."
    assert worker.names == []
    worker.tell_figure()
    assert said(awaiting) == TOLD


def test_a_cancel_after_the_dose_came_ends_the_fit(user, patient, worker, masks):
    user.select(patient)
    start(user, worker)
    answer(worker, masks)
    user.press()
    assert user.status == "Cancelled."
    assert worker.names == ["predict", "cancel"]
    worker.tell_figure()
    assert user.panel.parameters.dose is None
    assert said(user) == ""


def test_an_update_that_is_cancelled_leaves_the_result_to_be_exported(awaiting, worker, tmp_path):
    button = awaiting.find("exportButton")
    awaiting.find("exportPathLineEdit").currentPath = str(tmp_path)
    start(awaiting, worker)
    slicer_bench.wait_until(lambda: not button.enabled)
    awaiting.press()
    worker.cancelled.emit()
    assert awaiting.status == "Cancelled."
    slicer_bench.wait_until(lambda: button.enabled)


def test_deleting_the_result_ends_the_fit(awaiting, worker):
    worker.calls.clear()
    awaiting.find("deleteResultButton").click()
    slicer.app.processEvents()
    assert worker.names == ["cancel"]
    worker.tell_figure()
    assert said(awaiting) == ""


def test_closing_the_scene_ends_the_fit_and_keeps_the_process(awaiting, worker):
    worker.calls.clear()
    slicer.mrmlScene.Clear(0)
    assert worker.names == ["cancel"]
    worker.tell_figure()
    assert said(awaiting) == ""


def test_leaving_the_module_does_not_lose_the_figure(awaiting, worker):
    dose = awaiting.panel.parameters.dose
    awaiting.panel.exit()
    worker.tell_figure()
    assert provenance_of(dose)["deliverability"] == {"mean_gy": 0.6, "p99_gy": 4.7}
    awaiting.panel.enter()
    assert said(awaiting) == TOLD


def test_a_worker_that_ends_meanwhile_leaves_the_dose_and_the_figure_is_said_to_be_missing(awaiting, worker, masks):
    dose, status = awaiting.panel.parameters.dose, awaiting.status
    worker.ended.emit()
    worker.died.emit("The prediction process stopped.")
    assert awaiting.panel.parameters.dose is dose
    assert awaiting.status == status
    assert "not known: the prediction process ended before it was computed" in said(awaiting)
    predict(awaiting, worker, masks)
    worker.tell_figure()
    assert said(awaiting) == TOLD


def test_a_worker_that_ends_while_its_dose_is_judged_leaves_dose_and_sentence(user, patient, worker, masks):
    user.select(patient)
    start(user, worker)
    answer(worker, masks)
    worker.ended.emit()
    user.wait_until_idle()
    assert user.panel.parameters.dose is not None
    assert "not known: the prediction process ended" in said(user)


def test_a_fit_that_fails_is_told_with_its_reason(awaiting, worker):
    worker.fitted.emit({"event": "deliverability", "deliverability": None, "message": "There was not enough memory."})
    assert said(awaiting) == "What these beams cannot do of it is not known: There was not enough memory."


def test_quitting_meanwhile_leaves_nothing_behind(awaiting, worker):
    worker.calls.clear()
    awaiting.panel.clean_up()
    assert worker.names == ["cancel", "shut down"]
