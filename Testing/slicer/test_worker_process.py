"""The worker as a real process: warm between runs, killable at any time, never mute about its end."""

from __future__ import annotations

import os
import signal

import pytest
import slicer

SEED_OF = {"dies": 1, "is deaf": 2, "complains": 3, "waits": 4}


@pytest.fixture
def ready(user_of_process, patient):
    user_of_process.select(patient)
    return user_of_process


def doses():
    return [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetAttribute("DicomRtImport.DoseVolume")]


def run(user, what="", wait=True):
    user.ui.seedSpinBox.value = SEED_OF.get(what, 0)
    user.press()
    if wait:
        user.wait_until_idle()


def wait_until_predicting(user):
    user.wait_for(lambda: user.status == "Predicting the dose…")


def test_the_process_starts_at_the_first_prediction_and_stays_for_the_next(ready, script_worker):
    assert script_worker.process_id == 0
    run(ready)
    first = script_worker.process_id
    assert first and len(doses()) == 1
    run(ready)
    assert script_worker.process_id == first


def test_the_dose_comes_back_voxel_for_voxel(ready, masks):
    run(ready)
    dose = slicer.util.arrayFromVolume(doses()[0])
    assert (dose[masks["PTV_6000"]] == 60).all()
    assert (dose[~masks["PTV_6000"]] == 0).all()


def test_a_process_that_dies_leaves_a_sentence_a_whole_scene_and_a_working_next_run(ready, script_worker):
    count = slicer.mrmlScene.GetNumberOfNodes()
    run(ready, "dies")
    assert "out of luck" in ready.status
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    run(ready)
    assert len(doses()) == 1


def test_a_process_killed_from_outside_is_told_as_such_and_the_next_run_works(ready, script_worker):
    run(ready, "is deaf", wait=False)
    wait_until_predicting(ready)
    os.kill(script_worker.process_id, signal.SIGKILL)
    ready.wait_until_idle()
    assert "memory" in ready.status
    run(ready)
    assert len(doses()) == 1


@pytest.mark.parametrize("seed", [10, 11, 12], ids=["before its first word", "while it reads the case", "while it writes the dose"])
def test_a_process_killed_at_any_stage_is_told_leaves_the_scene_whole_and_the_next_run_works(ready, seed):
    names = sorted(slicer.mrmlScene.GetNthNode(index).GetID() for index in range(slicer.mrmlScene.GetNumberOfNodes()))
    ready.ui.seedSpinBox.value = seed
    ready.press()
    ready.wait_until_idle()
    assert "memory" in ready.status
    assert ready.button.text == "Predict"
    assert sorted(slicer.mrmlScene.GetNthNode(index).GetID() for index in range(slicer.mrmlScene.GetNumberOfNodes())) == names
    run(ready)
    assert len(doses()) == 1


def test_a_process_killed_before_it_is_ready_is_told_and_the_next_run_works(ready, script_worker):
    command, script_worker.command = script_worker.command, (*script_worker.command, "--dies-at-start")
    run(ready)
    assert "memory" in ready.status
    assert doses() == []
    script_worker.command = command
    run(ready)
    assert len(doses()) == 1


def test_a_process_killed_right_after_its_answer_has_still_given_its_dose(ready):
    ready.ui.seedSpinBox.value = 13
    ready.press()
    ready.wait_until_idle()
    assert len(doses()) == 1
    run(ready)
    assert len(doses()) == 2


def test_a_process_killed_between_runs_is_replaced_without_a_word_lost(ready, script_worker):
    run(ready)
    first = script_worker.process_id
    os.kill(first, signal.SIGKILL)
    ready.wait_for(lambda: script_worker.process_id == 0)
    run(ready)
    assert script_worker.process_id not in (0, first)


def test_an_error_of_the_worker_does_not_end_its_process(ready, script_worker):
    run(ready, "complains")
    assert "model file is damaged" in ready.status
    first = script_worker.process_id
    run(ready)
    assert script_worker.process_id == first


def test_a_cancel_that_is_heard_keeps_the_process(ready, script_worker):
    run(ready, "waits", wait=False)
    wait_until_predicting(ready)
    first = script_worker.process_id
    ready.press()
    ready.wait_until_idle()
    assert ready.status == "Cancelled."
    assert script_worker.process_id == first


def test_a_cancel_that_is_not_heard_ends_the_process_and_the_next_run_works(ready, script_worker):
    run(ready, "is deaf", wait=False)
    wait_until_predicting(ready)
    process_id = script_worker.process_id
    ready.press()
    ready.wait_for(lambda: ready.panel.run.machine.is_idle, 5.0)
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    run(ready)
    assert len(doses()) == 1


def test_a_process_that_cannot_be_started_is_told(ready, script_worker):
    script_worker.command = ("/no/such/program",)
    run(ready)
    assert "could not be started" in ready.status


def test_the_process_ends_with_the_panel(ready, script_worker):
    run(ready)
    process_id = script_worker.process_id
    ready.panel.clean_up()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


@pytest.mark.parametrize("end", ["dies", "killed", "shut down", "another model"])
def test_whoever_ends_the_process_its_end_is_told_once(ready, script_worker, end):
    told = []
    run(ready)
    script_worker.ended.connect(lambda: told.append(script_worker.process_id))
    if end == "dies":
        run(ready, "dies")
    elif end == "killed":
        script_worker.kill()
    elif end == "shut down":
        script_worker.shut_down()
    else:
        script_worker.use_model("/another/model")
    slicer.app.processEvents()
    assert told == [0]


def test_closing_the_scene_ends_a_process_that_is_at_work(ready, script_worker):
    run(ready, "is deaf", wait=False)
    wait_until_predicting(ready)
    process_id = script_worker.process_id
    slicer.mrmlScene.Clear(0)
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
