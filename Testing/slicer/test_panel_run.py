"""One prediction after another: what the user sees while it goes on, and what is in the scene when it ends, however it ends."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import slicer
from scipy import ndimage


def scene_contents():
    """Names of all nodes, views and selections aside."""
    scene = slicer.mrmlScene
    return sorted(scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes()))


def dose_nodes():
    return [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetAttribute("DicomRtImport.DoseVolume") == "1"]


def dose_of(masks, prescription_gy=60.0):
    return np.where(masks["PTV_6000"], prescription_gy, np.where(masks["BODY"], 20.0, 0.0)).astype(np.float32)


@pytest.fixture
def ready(user, patient):
    """A user who has selected the patient."""
    user.select(patient)
    return user


def start(user, worker):
    user.press()
    user.wait_for(lambda: "predict" in worker.names)


def test_the_button_becomes_cancel_and_stage_and_fraction_are_shown_while_it_runs(ready, worker):
    assert ready.button.text == "Predict"
    start(ready, worker)
    assert ready.button.text == "Cancel"
    assert ready.button.enabled
    worker.progressed.emit("Sampling plans", 0.5)
    assert ready.status == "Sampling plans…"
    assert ready.ui.progressBar.value == 50


def test_the_time_left_is_told_at_the_pace_so_far(ready, worker):
    start(ready, worker)
    ready.panel._begun_s -= 30.0
    worker.progressed.emit("Sampling plans", 0.5)
    told = re.search(r"about (\d+) s left", ready.ui.progressBar.format)
    assert told is not None and int(told[1]) >= 30  # half of the way is done
    ready.panel._begun_s -= 570.0
    worker.progressed.emit("Sampling plans", 0.5)
    assert "min left" in ready.ui.progressBar.format


def test_what_is_missing_and_what_a_run_needs_is_on_the_screen_before_the_button_is_pressed(user, patient, worker):
    assert user.ui.readinessLabel.text == "Select a CT."
    user.select(patient)
    assert re.fullmatch(r"Device: Automatic\. Needs about \d+\.\d GB of memory\.", user.ui.readinessLabel.text)
    user.type_prescription("PTV_6000", "")
    assert "PTV_6000 has no prescription" in user.ui.readinessLabel.text
    user.type_prescription("PTV_6000", "60")
    start(user, worker)
    assert user.ui.readinessLabel.isHidden()


def test_a_finished_prediction_leaves_one_dose_with_the_voxels_of_the_worker(ready, worker, masks):
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    (node,) = dose_nodes()
    assert np.array_equal(slicer.util.arrayFromVolume(node), dose_of(masks))
    assert ready.button.text == "Predict"
    assert "Planning CT predicted dose" in ready.status


def test_the_goals_and_the_provenance_are_shown(ready, worker, masks):
    start(ready, worker)
    covered = masks | {
        "PTV_6000": ndimage.binary_dilation(masks["PTV_6000"], np.ones((3, 3, 3)))
    }  # a dose that ends with the target would not cover its border
    worker.answer(dose_of(covered), model_version="1.2", device="cpu", seed=7, stage_seconds={"Physics prior": 1.5, "Sampling": 0.5})
    ready.wait_until_idle()
    table = ready.ui.goalsTable
    rows = {(table.item(row, 0).text(), table.item(row, 1).text()): table.item(row, 3).text() for row in range(table.rowCount)}
    assert "met" in rows["SpinalCord", "D0.03cc ≤ 45 Gy"]
    assert "met" in rows["PTV_6000", "D95% ≥ 100 % of prescription"]
    assert "Model 1.2 on cpu, seed 7, 2.0 s" in ready.ui.provenanceLabel.text


def test_the_dose_lies_over_the_ct_and_an_opacity_that_the_user_chose_stays(ready, worker, masks, patient):
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    for composite in composites:
        composite.SetForegroundOpacity(0.0)
    composites[0].SetForegroundOpacity(0.3)
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    assert {composite.GetBackgroundVolumeID() for composite in composites} == {patient.ct.GetID()}
    assert {composite.GetForegroundVolumeID() for composite in composites} == {dose_nodes()[0].GetID()}
    assert [composite.GetForegroundOpacity() for composite in composites] == [0.3] + [0.5] * (len(composites) - 1)


def test_the_views_are_centred_on_the_target_the_first_time_only(ready, worker, masks):
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    # The target's centre is voxel (12, 18, 22); RAS of slice 12 is -40 + 3 * 12.
    assert red.GetSliceOffset() == pytest.approx(-4.0, abs=1.5)
    red.SetSliceOffset(11.0)
    start(ready, worker)
    worker.calls.clear()
    ready.panel.run.abandon()
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    assert red.GetSliceOffset() == pytest.approx(11.0)


def test_predicting_again_keeps_the_result_before_and_shows_the_new_one_as_the_user_shows_doses(ready, worker, masks):
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    (first,) = dose_nodes()
    first.GetDisplayNode().SetWindowLevelMinMax(5.0, 50.0)
    worker.calls.clear()
    start(ready, worker)
    worker.answer(dose_of(masks, 61.0))
    ready.wait_until_idle()
    assert dose_nodes()[0] is first
    assert slicer.util.arrayFromVolume(first).max() == 60.0
    second = ready.panel.parameters.dose
    assert second is dose_nodes()[1]
    assert slicer.util.arrayFromVolume(second).max() == 61.0
    assert second.GetDisplayNode() is not first.GetDisplayNode()
    assert second.GetDisplayNode().GetWindowLevelMin() == 5.0
    assert [node.GetName() for node in dose_nodes()] == ["Planning CT predicted dose", "Planning CT predicted dose 2"]


def test_the_chart_is_shown_after_the_first_run_and_a_layout_that_the_user_chose_later_stays(ready, worker, masks):
    layouts = slicer.app.layoutManager()
    without_chart = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    layouts.setLayout(without_chart)
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    assert layouts.layout != without_chart
    assert layouts.plotWidget(0).rendering().chart_node() is dose_nodes()[0].GetNodeReference("chartRef")
    layouts.setLayout(without_chart)
    worker.calls.clear()
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    assert layouts.layout == without_chart
    ready.ui.showChartButton.click()
    assert layouts.plotWidget(0).rendering().chart_node() is dose_nodes()[1].GetNodeReference("chartRef")


def test_cancel_while_it_runs_waits_for_the_workers_word_and_leaves_the_scene_as_it_was(ready, worker):
    before = scene_contents()
    start(ready, worker)
    ready.press()
    assert worker.names == ["predict", "cancel"]
    assert ready.button.text == "Cancelling"
    assert not ready.button.enabled
    worker.cancelled.emit()
    assert ready.button.text == "Predict"
    assert ready.status == "Cancelled."
    assert scene_contents() == before


def test_a_worker_that_does_not_answer_a_cancel_is_killed(ready, worker):
    start(ready, worker)
    ready.press()
    ready.wait_for(lambda: "kill" in worker.names, 5.0)
    assert ready.status == "Cancelled."
    assert ready.button.text == "Predict"


def test_cancel_while_the_scene_is_read_never_reaches_the_worker(ready, worker):
    ready.press()
    ready.press()
    assert ready.status == "Cancelled."
    slicer.app.processEvents()
    assert worker.calls == []


def test_a_dose_that_comes_after_the_cancel_is_thrown_away(ready, worker, masks):
    start(ready, worker)
    folder = worker.calls[0][2]
    ready.press()
    worker.finished.emit({"event": "result", "dose": f"{folder}/dose.npy", "provenance": {}})
    assert ready.status == "Cancelled."
    assert dose_nodes() == []


def test_an_error_of_the_worker_is_the_status_and_the_next_run_works(ready, worker, masks):
    before = scene_contents()
    start(ready, worker)
    worker.failed.emit("The model file is damaged; install the extension again.")
    assert ready.status == "The model file is damaged; install the extension again."
    assert scene_contents() == before
    worker.calls.clear()
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    assert len(dose_nodes()) == 1


def test_a_case_that_cannot_be_planned_is_told_and_never_sent(ready, worker, patient):
    slicer.util.updateVolumeFromArray(patient.ct, np.zeros((24, 40, 40), dtype=np.int16))
    ready.press()
    ready.wait_until_idle()
    assert "HU" in ready.status
    assert worker.calls == []


def test_an_empty_organ_is_told_by_name(ready, worker, patient):
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.zeros((24, 40, 40), dtype=np.uint8), patient.segmentation, patient.segment_id("SpinalCord"), patient.ct
    )
    ready.press()
    ready.wait_until_idle()
    assert "SpinalCord" in ready.status
    assert worker.calls == []


def test_a_dose_of_another_size_is_refused_without_a_trace(ready, worker):
    before = scene_contents()
    start(ready, worker)
    worker.answer(np.zeros((2, 3, 4), dtype=np.float32))
    ready.wait_until_idle()
    assert "voxels" in ready.status
    assert scene_contents() == before


def test_a_ct_deleted_during_the_run_ends_it_without_a_trace(ready, worker, masks, patient):
    start(ready, worker)
    slicer.mrmlScene.RemoveNode(patient.ct)
    before = scene_contents()
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    assert "removed" in ready.status
    assert scene_contents() == before


def test_closing_the_scene_ends_the_run_and_the_panel_is_ready_for_the_next_scene(ready, worker):
    start(ready, worker)
    slicer.mrmlScene.Clear(0)
    assert "kill" in worker.names
    assert ready.panel.run.machine.is_idle
    assert "Select a CT." in ready.reasons


def test_a_run_goes_on_when_the_user_leaves_the_module_and_shows_its_dose(ready, worker, masks):
    start(ready, worker)
    ready.panel.exit()
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    assert len(dose_nodes()) == 1
    ready.panel.enter()
    assert ready.ui.goalsTable.rowCount > 0


def test_no_files_are_left_after_a_run(ready, worker, masks):
    folder = Path(slicer.app.temporaryPath)
    start(ready, worker)
    worker.answer(dose_of(masks))
    ready.wait_until_idle()
    assert list(folder.glob("DosePrediction-*")) == []


def test_no_observer_is_left_when_the_panel_is_cleaned_up(user, patient, worker, masks):
    user.select(patient)
    start(user, worker)
    worker.answer(dose_of(masks))
    user.wait_until_idle()
    user.panel.clean_up()
    assert user.panel.Observations == []
    assert worker.names[-1] == "shut down"


def test_missing_packages_are_installed_only_after_a_yes(ready, worker, packages):
    packages.absent, packages.agrees = ("torch",), False
    ready.press()
    assert "torch" in ready.status
    assert packages.installed == []
    packages.agrees = True
    start(ready, worker)
    assert packages.installed == [("torch",)]


def test_a_failed_installation_is_told_and_nothing_runs(ready, worker, packages):
    packages.absent, packages.problem = ("torch",), "torch could not be installed; see the Python console for the reason."
    ready.press()
    assert ready.status == packages.problem
    assert worker.calls == []


def test_warnings_of_the_model_reach_the_status_line(ready, worker, masks):
    start(ready, worker)
    worker.answer(dose_of(masks), warnings=["The CT was resampled."])
    ready.wait_until_idle()
    assert "The CT was resampled." in ready.status


def test_the_provenance_is_kept_with_the_dose(ready, worker, masks):
    start(ready, worker)
    worker.answer(dose_of(masks), model_version="1.2", seed=7)
    ready.wait_until_idle()
    assert json.loads(dose_nodes()[0].GetAttribute("DosePrediction.Provenance")) == {"model_version": "1.2", "seed": 7}


def test_the_result_is_back_in_the_panel_with_a_saved_scene(ready, worker, masks, tmp_path):
    start(ready, worker)
    worker.answer(dose_of(masks), model_version="1.2")
    ready.wait_until_idle()
    goals = ready.ui.goalsTable.rowCount
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert ready.ui.goalsTable.rowCount == 0
    slicer.util.loadScene(path)
    assert ready.ui.goalsTable.rowCount == goals
    assert "Model 1.2" in ready.ui.provenanceLabel.text
    assert ready.ui.showChartButton.enabled
    assert len(dose_nodes()) == 1


def test_the_memory_and_the_device_are_said_before_the_run_and_too_large_a_case_is_refused(ready, monkeypatch):
    from DosePredictionLib import MemoryNeed

    monkeypatch.setattr(MemoryNeed, "bytes_free", lambda: 8 * 2**30)
    ready.panel._update()
    assert "Needs about 1.1 GB of memory; 8.0 GB are free." in ready.reasons
    assert "Device: Automatic." in ready.reasons
    monkeypatch.setattr(MemoryNeed, "bytes_free", lambda: 2**29)
    ready.panel._update()
    assert not ready.button.enabled
    assert "needs about 1.1 GB of memory and 0.5 GB are free; crop the CT" in ready.reasons
