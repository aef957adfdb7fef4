"""What the user sets, and what the panel makes of it."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from dose_prediction.case import RoleKind
from dose_prediction.case_files import read_case


def test_predict_is_disabled_without_inputs_and_its_tooltip_names_all_that_is_missing(user):
    assert not user.button.enabled
    assert "Select a CT." in user.reasons
    assert "Select a segmentation." in user.reasons


def test_segments_are_listed_with_their_recognised_roles_and_prescriptions(user, patient):
    user.select(patient)
    assert user.table() == [
        ("PTV_6000", "Target", "60"),
        ("SpinalCord", "Organ: SpinalCord", ""),
        ("LT PAROTID", "Organ: Parotid_L", ""),
        ("BODY", "Body", ""),
        ("couch marker", "Not used", ""),
    ]
    assert user.button.enabled


def test_rows_carry_the_colour_of_their_segment(user, patient):
    user.select(patient)
    colour = user.ui.structuresTable.item(1, 0).background().color()
    assert (colour.redF(), colour.greenF(), colour.blueF()) == pytest.approx((0.1, 0.9, 0.5), abs=0.01)


def test_nodes_that_are_there_already_are_selected_when_the_module_is_entered(user, patient):
    user.panel.exit()
    user.panel.enter()
    assert user.ui.ctSelector.currentNode() is patient.ct
    assert user.ui.segmentationSelector.currentNode() is patient.segmentation


def test_a_segment_without_a_target_role_leaves_predict_disabled_with_the_reason(user, patient):
    user.select(patient)
    user.choose_role("PTV_6000", "Not used")
    assert not user.button.enabled
    assert "role Target" in user.reasons


def test_a_role_chosen_by_hand_reaches_the_case(user, patient, worker):
    user.select(patient)
    user.choose_role("couch marker", "Organ: Larynx")
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    case = read_case(worker.calls[0][1])
    assert [structure.role.standard_name for structure in case.structures if structure.name == "couch marker"] == ["Larynx"]


def test_a_new_target_asks_for_its_prescription_in_place(user, patient):
    user.select(patient)
    user.choose_role("couch marker", "Target")
    assert user.table()[4] == ("couch marker", "Target", "missing")
    assert "couch marker has no prescription" in user.reasons
    user.type_prescription("couch marker", "45")
    assert user.button.enabled


@pytest.mark.parametrize("text", ["abc", "0", "-3", "101", "nan"])
def test_a_prescription_that_is_no_dose_is_told_in_the_cell_and_in_the_reasons(user, patient, text):
    user.select(patient)
    user.type_prescription("PTV_6000", text)
    assert not user.button.enabled
    assert text in user.reasons
    assert text in user.ui.structuresTable.item(0, 3).toolTip()


def test_a_prescription_typed_by_hand_reaches_the_case(user, patient, worker):
    user.select(patient)
    user.type_prescription("PTV_6000", "54,5")
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    assert read_case(worker.calls[0][1]).targets[0].role.prescription_gy == pytest.approx(54.5)


def test_the_dose_cell_of_what_is_no_target_cannot_be_edited(user, patient):
    import qt

    user.select(patient)
    assert not user.ui.structuresTable.item(1, 3).flags() & qt.Qt.ItemIsEditable
    assert user.ui.structuresTable.item(0, 3).flags() & qt.Qt.ItemIsEditable


def test_a_segment_that_is_renamed_or_added_shows_at_once(user, patient):
    user.select(patient)
    segmentation = patient.segmentation.GetSegmentation()
    segmentation.GetSegment(patient.segment_id("couch marker")).SetName("Brainstem")
    assert user.table()[4] == ("Brainstem", "Organ: Brainstem", "")
    segmentation.AddEmptySegment("", "PTV 50 Gy")
    assert user.table()[5] == ("PTV 50 Gy", "Target", "50")
    segmentation.RemoveSegment(patient.segment_id("Brainstem"))
    assert [row[0] for row in user.table()] == ["PTV_6000", "SpinalCord", "LT PAROTID", "BODY", "PTV 50 Gy"]


def test_corrections_belong_to_the_segment_and_stay_when_it_is_renamed(user, patient):
    user.select(patient)
    user.choose_role("couch marker", "Organ: Larynx")
    patient.segmentation.GetSegmentation().GetSegment(patient.segment_id("couch marker")).SetName("voice box")
    assert user.table()[4] == ("voice box", "Organ: Larynx", "")


@pytest.mark.parametrize("shown, name", [("Automatic", "auto"), ("CPU", "cpu"), ("CUDA", "cuda"), ("MPS (Apple)", "mps")])
def test_device_samples_and_seed_reach_the_worker(user, patient, worker, shown, name):
    user.select(patient)
    user.ui.deviceComboBox.setCurrentText(shown)
    user.ui.samplesSpinBox.value = 3
    user.ui.seedSpinBox.value = 42
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    assert worker.calls[0][3:] == (3, 42, name, ())


def test_settings_and_corrections_come_back_with_a_saved_scene(user, patient, tmp_path):
    user.select(patient)
    user.choose_role("couch marker", "Target")
    user.type_prescription("couch marker", "45")
    user.ui.samplesSpinBox.value = 5
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert user.table() == []
    slicer.util.loadScene(path)
    assert user.ui.ctSelector.currentNode().GetName() == "Planning CT"
    assert user.table()[4] == ("couch marker", "Target", "45")
    assert user.ui.samplesSpinBox.value == 5
    assert user.button.enabled


def test_a_ct_under_a_bending_transform_is_refused_with_the_remedy_until_the_transform_goes(user, patient):
    user.select(patient)
    grid_transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    patient.ct.SetAndObserveTransformNodeID(grid_transform.GetID())
    assert not user.button.enabled
    assert "harden" in user.reasons
    patient.ct.SetAndObserveTransformNodeID(None)
    assert user.button.enabled


def test_a_ct_that_is_deleted_is_missed(user, patient):
    user.select(patient)
    slicer.mrmlScene.RemoveNode(patient.ct)
    assert "Select a CT." in user.reasons
    assert not user.button.enabled


def test_the_case_has_the_users_names_and_masks_voxel_for_voxel(user, patient, worker, masks):
    user.select(patient)
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    case = read_case(worker.calls[0][1])
    assert [structure.name for structure in case.structures] == ["PTV_6000", "SpinalCord", "LT PAROTID", "BODY"]
    for structure in case.structures:
        assert np.array_equal(structure.mask, masks[structure.name])
    assert [structure.name for structure in case.structures if structure.role.kind is RoleKind.EXTERNAL] == ["BODY"]
