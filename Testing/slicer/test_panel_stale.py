"""What the panel says when something has changed since the result that is shown, and what it does by itself."""

from __future__ import annotations

import numpy as np
import pytest
import slicer


@pytest.fixture
def done(user, patient, worker, masks):
    """A user with a result."""
    user.select(patient)
    predict(user, worker, masks)
    settle(user)
    assert user.panel.staleness.changes == ()
    return user


def predict(user, worker, masks):
    worker.calls.clear()
    user.press()
    answer(user, worker, masks)


def answer(user, worker, masks):
    user.wait_for(lambda: "predict" in worker.names)
    worker.answer(np.where(masks["PTV_6000"], 60.0, np.where(masks["BODY"], 20.0, 0.0)).astype(np.float32))
    user.wait_until_idle()


def settle(user):
    """Wait until the panel has compared the inputs with those of the result."""
    slicer.app.processEvents()
    staleness = user.panel.staleness
    user.wait_for(lambda: not staleness._settled.isActive() and staleness._steps is None)


def edit(patient, name, mask):
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), patient.segmentation, patient.segment_id(name), patient.ct)


def test_an_edited_contour_makes_the_result_stale_by_name_and_the_edit_undone_makes_it_valid_again(done, patient, masks):
    name = done.panel.parameters.dose.GetName()
    edit(patient, "SpinalCord", np.roll(masks["SpinalCord"], 1, axis=2))
    settle(done)
    assert done.ui.staleLabel.visible or not done.ui.staleLabel.isHidden()
    assert "the contour of SpinalCord" in done.ui.staleLabel.text
    assert "PTV" not in done.ui.staleLabel.text
    assert done.button.text == "Update"
    assert done.panel.parameters.dose.GetName() == name
    edit(patient, "SpinalCord", masks["SpinalCord"])
    settle(done)
    assert done.ui.staleLabel.text == ""
    assert done.button.text == "Predict"


def test_every_kind_of_input_is_named_when_it_has_changed(done, patient, masks):
    done.type_prescription("PTV_6000", "66")
    settle(done)
    assert "the prescription of PTV_6000 (60 to 66 Gy)" in done.ui.staleLabel.text
    done.type_prescription("PTV_6000", "60")
    done.choose_role("SpinalCord", "Not used")
    settle(done)
    assert "SpinalCord no longer takes part" in done.ui.staleLabel.text
    done.choose_role("SpinalCord", "Organ: SpinalCord")
    done.ui.samplesSpinBox.value = 2
    settle(done)
    assert done.panel.staleness.changes == ("the number of samples", "the seed")[: len(done.panel.staleness.changes)]
    done.ui.samplesSpinBox.value = 0
    parameters = done.panel.parameters
    beams = parameters.plan_beams
    parameters.plan_beams = beams[1:]
    settle(done)
    assert done.panel.staleness.changes == ("the beams",)
    parameters.plan_beams = beams
    voxels = slicer.util.arrayFromVolume(patient.ct)
    voxels[12, 20, 20] += 100
    slicer.util.arrayFromVolumeModified(patient.ct)
    settle(done)
    assert done.panel.staleness.changes == ("the CT",)
    voxels[12, 20, 20] -= 100
    slicer.util.arrayFromVolumeModified(patient.ct)
    edit(patient, "couch marker", masks["SpinalCord"])  # has no role, so it takes no part
    settle(done)
    assert done.panel.staleness.changes == ()


def test_with_the_option_a_pause_in_editing_starts_an_update_that_replaces_the_last_automatic_one(done, patient, worker, masks):
    by_hand = done.panel.parameters.dose
    done.ui.autoUpdateCheckBox.checked = True
    for shift, expected in ((1, None), (2, "same")):
        before = done.panel.parameters.dose
        worker.calls.clear()
        edit(patient, "SpinalCord", np.roll(masks["SpinalCord"], shift, axis=2))
        answer(done, worker, masks)
        settle(done)
        assert done.panel.staleness.changes == ()
        assert (done.panel.parameters.dose is before) == (expected == "same")
    assert done.panel.parameters.dose is not by_hand
    assert by_hand.GetScene() is slicer.mrmlScene


def test_an_automatic_update_that_failed_is_not_tried_again_until_something_else_changes(done, patient, worker, masks):
    done.ui.autoUpdateCheckBox.checked = True
    worker.calls.clear()
    edit(patient, "SpinalCord", np.roll(masks["SpinalCord"], 1, axis=2))
    done.wait_for(lambda: "predict" in worker.names)
    worker.failed.emit("Out of memory.")
    worker.calls.clear()
    settle(done)
    done.wait_for(lambda: not done.panel.staleness._paused.isActive())
    slicer.app.processEvents()
    assert worker.calls == []
    assert done.status == "Out of memory."
    assert done.button.text == "Update"


def test_a_loaded_scene_knows_whether_its_result_is_up_to_date(done, patient, masks, tmp_path):
    edit(patient, "SpinalCord", np.roll(masks["SpinalCord"], 1, axis=2))
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    settle(done)
    assert done.panel.staleness.changes == ("the contour of SpinalCord",)
