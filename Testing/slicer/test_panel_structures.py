"""What the panel says of the segments: volumes, what is missing or doubtful, and the body that it makes."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from dose_prediction.case import find_body
from dose_prediction.case_files import read_case
from dose_prediction.contours import area
from DosePredictionLib import BodySegment
from DosePredictionLib.SceneReader import grid_of_volume
from planar_contours import contour_segmentation, contours_of_mask

VOXEL_CC = 3.0**3 / 1000
COLOUR, NAME, ROLE, DOSE, VOLUME = range(5)


def volumes(user):
    table = user.ui.structuresTable
    return {table.item(row, NAME).text(): table.item(row, VOLUME).text() for row in range(table.rowCount)}


def wait_for_volumes(user):
    user.wait_for(lambda: "…" not in volumes(user).values())
    return volumes(user)


def mark(user, name):
    """The sign in the row of a segment, and what its tooltip says."""
    item = user.ui.structuresTable.item(user.row_of(name), COLOUR)
    return item.text(), item.toolTip()


def set_voxels(patient, name, mask):
    """Give a segment other voxels, as an edit does; a new one if it is not there."""
    segmentation = patient.segmentation.GetSegmentation()
    segment_id = segmentation.GetSegmentIdBySegmentName(name) or segmentation.AddEmptySegment("", name)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), patient.segmentation, segment_id, patient.ct)


def move(node, shift_ras, stretch=1.0):
    matrix = np.diag([stretch, stretch, stretch, 1.0])
    matrix[:3, 3] = shift_ras
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())


def test_the_volume_of_every_segment_is_measured(user, patient, masks):
    user.select(patient)
    shown = wait_for_volumes(user)
    for name, mask in masks.items():
        assert float(shown[name]) == pytest.approx(mask.sum() * VOXEL_CC, rel=0.02)


def test_a_volume_follows_an_edit_of_its_segment_and_of_no_other(user, patient, masks):
    user.select(patient)
    before = wait_for_volumes(user)
    set_voxels(patient, "SpinalCord", masks["LT PAROTID"])
    assert volumes(user)["SpinalCord"] in ("…", before["LT PAROTID"])
    after = wait_for_volumes(user)
    assert after == {**before, "SpinalCord": before["LT PAROTID"]}


def test_a_transform_that_stretches_stretches_the_volume(user, patient, masks):
    user.select(patient)
    move(patient.segmentation, (0, 0, 0), stretch=2.0)
    user.wait_for(lambda: volumes(user)["PTV_6000"] == f"{8 * masks['PTV_6000'].sum() * VOXEL_CC:.0f}")


def test_a_surface_has_the_volume_inside_it(user, patient):
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(30.0)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.Update()
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.GetSegmentation().SetSourceRepresentationName("Closed surface")
    segmentation.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "PTV 60 Gy")
    user.ui.segmentationSelector.setCurrentNode(segmentation)
    assert float(wait_for_volumes(user)["PTV 60 Gy"]) == pytest.approx(4 / 3 * np.pi * 3.0**3, rel=0.01)


def test_measuring_never_holds_up_the_window_for_long(user, patient):
    """Twenty segments are measured in as many turns of the event loop: in each, the window could answer."""
    for number in range(20):
        patient.segmentation.GetSegmentation().AddEmptySegment("", f"helper {number}")
    user.select(patient)
    assert "…" in volumes(user).values()
    wait_for_volumes(user)


def test_nothing_is_said_where_nothing_is_wrong(user, patient):
    user.select(patient)
    wait_for_volumes(user)
    user.choose_role("couch marker", "Organ: Larynx")
    assert [mark(user, name)[0] for name, _role, _dose in user.table()] == [""] * 5
    assert user.ui.findingsLabel.isHidden()


def test_a_missing_prescription_is_marked_in_its_row_and_said_below(user, patient):
    user.select(patient)
    user.type_prescription("PTV_6000", "")
    assert mark(user, "PTV_6000") == ("✗", "Target PTV_6000 has no prescription; enter its dose in Gy.")
    assert "✗ Target PTV_6000 has no prescription" in user.ui.findingsLabel.text
    assert not user.button.enabled


def test_an_empty_segment_with_a_role_is_marked_and_prevents_a_prediction(user, patient):
    patient.segmentation.GetSegmentation().AddEmptySegment("", "Brainstem")
    user.select(patient)
    user.wait_for(lambda: mark(user, "Brainstem")[0] == "✗")
    assert "Brainstem is empty" in user.ui.findingsLabel.text
    assert "Brainstem is empty" in user.reasons
    user.choose_role("Brainstem", "Not used")
    assert user.button.enabled


def test_two_segments_for_one_organ_are_doubtful_and_do_not_prevent(user, patient):
    patient.segmentation.GetSegmentation().GetSegment(patient.segment_id("couch marker")).SetName("Parotid_L")
    user.select(patient)
    assert mark(user, "Parotid_L") == ("?", "Parotid_L and LT PAROTID are both Parotid_L; each is judged by its goals.")
    assert user.button.enabled


def test_two_used_segments_of_one_name_are_to_be_renamed(user, patient):
    patient.segmentation.GetSegmentation().GetSegment(patient.segment_id("couch marker")).SetName("SpinalCord")
    user.select(patient)
    assert "Two segments are named SpinalCord" in user.reasons
    assert not user.button.enabled


def test_a_name_that_is_not_known_is_doubtful_until_the_user_says_what_it_is(user, patient):
    user.select(patient)
    assert mark(user, "couch marker")[0] == "?"
    assert "couch marker is not used" in user.ui.findingsLabel.text
    user.choose_role("couch marker", "Organ: Larynx")
    assert mark(user, "couch marker")[0] == ""
    user.choose_role("couch marker", "Not used")
    assert mark(user, "couch marker")[0] == ""


def test_a_target_outside_the_body_is_told_with_the_part_that_is(user, patient, masks):
    half = masks["PTV_6000"].copy()
    half[:, :, 22:] = False
    set_voxels(patient, "BODY", masks["BODY"] & ~half)
    user.select(patient)
    outside = half.sum() / masks["PTV_6000"].sum()
    user.wait_for(lambda: mark(user, "PTV_6000")[0] == "?")
    assert f"{outside:.0%} of target PTV_6000 lies outside the body" in mark(user, "PTV_6000")[1]
    assert user.button.enabled
    set_voxels(patient, "BODY", masks["SpinalCord"])
    user.wait_for(lambda: mark(user, "PTV_6000")[0] == "✗")
    assert "outside the body; correct one of the two" in user.reasons


def test_a_segmentation_that_belongs_elsewhere_is_told(user, patient):
    user.select(patient)
    move(patient.segmentation, (500.0, 0.0, 0.0))
    user.wait_for(lambda: "Target PTV_6000 lies outside the CT" in user.reasons)
    assert mark(user, "PTV_6000")[0] == "✗"


def test_of_many_findings_the_worst_are_said_first_and_the_rest_counted(user, patient):
    for number in range(10):
        patient.segmentation.GetSegmentation().AddEmptySegment("", f"helper {number}")
    user.select(patient)
    user.type_prescription("PTV_6000", "")
    lines = user.ui.findingsLabel.text.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("✗ Target PTV_6000")
    assert lines[3].startswith("and 9 more")


def without_body(patient):
    patient.segmentation.GetSegmentation().RemoveSegment(patient.segment_id("BODY"))


def body_ids(patient):
    segmentation = patient.segmentation.GetSegmentation()
    return [one for one in segmentation.GetSegmentIDs() if segmentation.GetSegment(one).GetName() == "BODY"]


def test_a_body_is_made_from_the_ct_where_there_is_none_and_the_user_is_told(user, patient, worker):
    without_body(patient)
    user.select(patient)
    user.wait_for(lambda: bool(body_ids(patient)))
    assert ("BODY", "Body", "") in user.table()
    assert user.ui.bodyLabel.text == "BODY was found on the CT, for no segment is the body."
    expected = find_body(slicer.util.arrayFromVolume(patient.ct), grid_of_volume(patient.ct))
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    case = read_case(worker.calls[0][1])
    assert np.array_equal(case.body, expected)
    assert case.external is not None


def test_a_body_that_was_made_is_removed_at_a_click_and_not_made_again(user, patient):
    without_body(patient)
    user.select(patient)
    user.wait_for(lambda: bool(body_ids(patient)))
    user.ui.bodyButton.click()
    assert "every prediction finds it on the CT" in user.ui.bodyLabel.text
    assert body_ids(patient) == []
    user.ui.bodyButton.click()
    user.wait_for(lambda: bool(body_ids(patient)))
    assert len(body_ids(patient)) == 1


def test_a_made_body_that_is_deleted_in_the_segment_editor_stays_away(user, patient):
    without_body(patient)
    user.select(patient)
    user.wait_for(lambda: bool(body_ids(patient)))
    patient.segmentation.GetSegmentation().RemoveSegment(body_ids(patient)[0])
    assert user.ui.bodyButton.text.replace("&", "") == "Make BODY"
    for _turn in range(20):
        slicer.app.processEvents()
    assert body_ids(patient) == []


def test_no_body_is_made_where_the_user_has_one(user, patient):
    user.select(patient)
    wait_for_volumes(user)
    assert len(body_ids(patient)) == 1
    assert user.ui.bodyLabel.isHidden() and user.ui.bodyButton.isHidden()


def test_a_body_lies_where_the_ct_is_also_under_a_segmentation_that_is_moved(user, patient):
    without_body(patient)
    move(patient.segmentation, (12.0, 0.0, -9.0))
    user.select(patient)
    user.wait_for(lambda: bool(body_ids(patient)))
    labelmap = slicer.vtkOrientedImageData()
    patient.segmentation.GetBinaryLabelmapRepresentation(body_ids(patient)[0], labelmap)
    slicer.vtkSlicerSegmentationsModuleLogic.ApplyParentTransformToOrientedImageData(patient.segmentation, labelmap)
    in_world, of_ct = [0.0] * 6, [0.0] * 6
    labelmap.GetBounds(in_world)
    patient.ct.GetRASBounds(of_ct)
    assert in_world == pytest.approx(of_ct, abs=1.6)  # bounds of voxel centres or of their edges


def test_a_ct_without_a_patient_leaves_a_sentence_and_no_segment(user, patient):
    without_body(patient)
    voxels = slicer.util.arrayFromVolume(patient.ct)
    voxels[:] = -1000
    voxels[0, 0, 0] = 50
    slicer.util.arrayFromVolumeModified(patient.ct)
    user.select(patient)
    user.wait_for(lambda: "No body on the CT" in user.ui.bodyLabel.text)
    assert body_ids(patient) == []


def test_a_prediction_started_at_once_has_no_body_made_under_it(user, patient, worker, monkeypatch):
    def slow_steps(ct_hu, grid):
        for _step in range(200):
            yield 0.0
        return find_body(ct_hu, grid)

    monkeypatch.setattr(BodySegment, "find_body_in_steps", slow_steps)
    without_body(patient)
    user.select(patient)
    assert "finding it on the CT" in user.ui.bodyLabel.text
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    assert body_ids(patient) == []
    assert read_case(worker.calls[0][1]).external is None


def test_planar_contours_are_measured_predicted_on_and_left_as_they_are(user, patient, masks, worker):
    """As a user of Slicer without SlicerRT has them after loading an RTSTRUCT elsewhere."""
    grid = grid_of_volume(patient.ct)
    contours = contour_segmentation({name: contours_of_mask(masks[name], grid) for name in ("PTV_6000", "SpinalCord")})
    user.ui.ctSelector.setCurrentNode(patient.ct)
    user.ui.segmentationSelector.setCurrentNode(contours)
    assert [row[0] for row in user.table()] == ["PTV_6000", "SpinalCord"]
    volumes = wait_for_volumes(user)
    for name, text in volumes.items():
        outlined_cc = sum(area([contour[:, :2]]) for contour in contours_of_mask(masks[name], grid)) * 3.0 / 1000
        assert float(text) == pytest.approx(outlined_cc, rel=0.05)
    assert "every prediction finds it on the CT" in user.ui.bodyLabel.text
    assert user.ui.bodyButton.isHidden()
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    for structure in read_case(worker.calls[0][1]).structures:
        assert np.array_equal(structure.mask, masks[structure.name])
    segmentation = contours.GetSegmentation()
    assert not segmentation.ContainsRepresentation("Binary labelmap") and not segmentation.ContainsRepresentation("Closed surface")


def test_what_is_doubtful_about_contours_is_said_in_place(user, patient, masks):
    contours = contours_of_mask(masks["PTV_6000"], grid_of_volume(patient.ct))
    user.ui.ctSelector.setCurrentNode(patient.ct)
    user.ui.segmentationSelector.setCurrentNode(contour_segmentation({"PTV 60 Gy": [*contours, contours[2]]}))
    wait_for_volumes(user)
    assert "'PTV 60 Gy' has 1 contour twice; counted once." in user.ui.findingsLabel.text
    assert user.button.enabled, user.reasons
