"""The isocentre that the user moves, and the beams drawn towards it: by their geometry and by pixels."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from dose_prediction.case import Arc, Beam
from dose_prediction.case_files import read_case
from DosePredictionLib.BeamDrawing import FIELD_COLOUR, drawn_beams
from DosePredictionLib.BeamShapes import DRAWN_MM, beam_lines
from DosePredictionLib.IsocentreSection import IsocentreSection
from DosePredictionLib.PlanBeams import PlanBeam, all_on

CENTRE, POINT = range(2)
ISOCENTRE = (10.0, -20.0, 30.0)
# A target of 40 x 20 x 60 mm (left-right, anterior-posterior, superior-inferior) about the isocentre.
TARGET = np.array(ISOCENTRE) + np.array([[x, y, z] for x in (-20, 20) for y in (-10, 10) for z in (-30, 30)])
LEFT, RIGHT, ANTERIOR, POSTERIOR, SUPERIOR = (1, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, 1)


def isocentre_ui(user):
    return user.section(IsocentreSection)


def choose(user, choice):
    combo = isocentre_ui(user).isocentreComboBox
    combo.setCurrentIndex(choice)
    combo.activated(choice)


def ready(user, patient):
    """CT and segmentation selected, and the centre of the targets known."""
    user.select(patient)
    user.wait_for(lambda: bool(isocentre_ui(user).isocentreLabel.text))


def target_centre(patient, masks):
    """Centroid of the target's voxels in LPS, from the CT's own matrix."""
    to_ras = vtk.vtkMatrix4x4()
    patient.ct.GetIJKToRASMatrix(to_ras)
    z, y, x = np.argwhere(masks["PTV_6000"]).mean(axis=0)
    right, anterior, superior = (slicer.util.arrayFromVTKMatrix(to_ras) @ [x, y, z, 1])[:3]
    return -right, -anterior, superior


@pytest.mark.parametrize(
    "beam, comes_from",
    [
        (Beam(0), ANTERIOR),
        (Beam(90), LEFT),
        (Beam(180), POSTERIOR),
        (Beam(270), RIGHT),
        (Beam(45), (np.sqrt(0.5), -np.sqrt(0.5), 0)),
        # Couch 90 turns the patient's head to gantry 270 (IEC 61217: counter-clockwise from above), so that gantry 90 comes from the feet.
        (Beam(90, couch_deg=90), (0, 0, -1)),
        (Beam(270, couch_deg=90), SUPERIOR),
    ],
)
def test_the_axis_comes_from_where_the_gantry_stands_and_ends_at_the_isocentre(beam, comes_from):
    axis = beam_lines(beam, ISOCENTRE, TARGET)[0]
    assert axis[-1] == pytest.approx(ISOCENTRE)
    assert (axis[0] - axis[-1]) / DRAWN_MM == pytest.approx(np.array(comes_from), abs=1e-9)


def test_the_aperture_is_the_targets_shadow_with_its_margin_at_the_isocentre():
    _axis, _arrow, near, far, *_edges = beam_lines(Beam(0), ISOCENTRE, TARGET)
    # Corners 10 mm nearer to the source throw a shadow larger by 1000 / 990.
    assert np.ptp(near, axis=0) == pytest.approx([40 / 0.99 + 10, 0, 60 / 0.99 + 10], abs=1e-3)
    assert np.ptp(far, axis=0) == pytest.approx(np.ptp(near, axis=0) * (1 - DRAWN_MM / 1000), abs=1e-3)
    assert far[:, 1] == pytest.approx(np.full(5, ISOCENTRE[1] - DRAWN_MM))


def test_the_aperture_turns_with_the_collimator():
    straight, turned = (beam_lines(Beam(0, collimator_deg=angle), ISOCENTRE, TARGET)[2] for angle in (0, 90))
    assert np.ptp(turned, axis=0) == pytest.approx(np.ptp(straight, axis=0), abs=1e-3)
    edge = beam_lines(Beam(0, collimator_deg=45), ISOCENTRE, TARGET)[2]
    along = (edge[1] - edge[0]) / np.linalg.norm(edge[1] - edge[0])
    assert np.abs(along) == pytest.approx([np.sqrt(0.5), 0, np.sqrt(0.5)], abs=1e-6)


def test_an_arc_is_drawn_along_its_way_with_the_arrow_at_its_end():
    way, arrow, *_rest = beam_lines(Arc(0, 90), ISOCENTRE, TARGET)
    assert way[0] - ISOCENTRE == pytest.approx(DRAWN_MM * np.array(ANTERIOR), abs=1e-6)
    assert way[-1] - ISOCENTRE == pytest.approx(DRAWN_MM * np.array(LEFT), abs=1e-6)
    assert arrow[1] == pytest.approx(way[-1])
    assert np.linalg.norm(way - np.array(ISOCENTRE), axis=1) == pytest.approx(np.full(len(way), DRAWN_MM))
    middle = (way - np.array(ISOCENTRE))[len(way) // 2] / DRAWN_MM
    assert middle[0] > 0.5 and middle[1] < -0.5
    back = beam_lines(Arc(0, 90, is_clockwise=False), ISOCENTRE, TARGET)[0]
    assert len(back) > 2.5 * len(way)


def test_the_centre_of_the_targets_is_told_as_the_views_tell_places(user, patient, masks):
    ready(user, patient)
    expected = target_centre(patient, masks)
    words = isocentre_ui(user).isocentreLabel.text.removesuffix(" mm").split(", ")
    for word, letters, value in zip(words, ("RL", "AP", "IS"), expected, strict=True):
        letter, number = word.split(" ")
        assert letter == letters[int(value >= 0)]
        assert float(number) == pytest.approx(abs(value), abs=0.6)
    assert isocentre_ui(user).isocentreComboBox.currentIndex == CENTRE


def test_without_targets_there_is_no_isocentre_to_choose(user):
    assert isocentre_ui(user).isocentreLabel.text == ""
    assert not isocentre_ui(user).isocentreComboBox.enabled


def test_a_point_starts_at_the_centre_is_moved_by_the_user_and_reaches_the_case(user, patient, worker, masks):
    ready(user, patient)
    choose(user, POINT)
    point = user.panel.parameters.isocentre_point
    assert point.GetNthControlPointPositionWorld(0) == pytest.approx(np.array(target_centre(patient, masks)) * (-1, -1, 1), abs=0.6)
    point.SetNthControlPointPositionWorld(0, 5.0, -8.0, -7.0)
    assert isocentre_ui(user).isocentreLabel.text == "R 5.0, P 8.0, I 7.0 mm"
    user.press()
    user.wait_for(lambda: worker.names == ["predict"])
    assert read_case(worker.calls[0][1]).isocentre == pytest.approx((-5.0, 8.0, -7.0))


def test_the_centre_is_chosen_again_or_comes_back_when_the_point_is_deleted(user, patient):
    ready(user, patient)
    for remove in (lambda: choose(user, CENTRE), lambda: slicer.mrmlScene.RemoveNode(user.panel.parameters.isocentre_point)):
        choose(user, POINT)
        assert user.panel.parameters.isocentre_mm is not None
        remove()
        assert isocentre_ui(user).isocentreComboBox.currentIndex == CENTRE
        assert user.panel.parameters.isocentre_mm is None
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") == []


def test_an_isocentre_outside_the_ct_is_refused_in_place(user, patient):
    ready(user, patient)
    choose(user, POINT)
    user.panel.parameters.isocentre_point.SetNthControlPointPositionWorld(0, 500.0, 0.0, 0.0)
    assert "outside the CT" in isocentre_ui(user).isocentreLabel.text
    assert "outside the CT" in user.reasons
    assert not user.button.enabled


def test_the_isocentre_comes_back_with_a_saved_scene(user, patient, tmp_path):
    ready(user, patient)
    choose(user, POINT)
    user.panel.parameters.isocentre_point.SetNthControlPointPositionWorld(0, 5.0, -8.0, -7.0)
    isocentre_ui(user).showBeamsCheckBox.click()
    user.wait_for(lambda: len(drawn_beams()) == 9)
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert user.panel.parameters.isocentre_mm is None
    assert drawn_beams() == []
    slicer.util.loadScene(path)
    assert user.ui is not None
    assert user.panel.parameters.isocentre_mm == pytest.approx((-5.0, 8.0, -7.0))
    user.wait_for(lambda: len(drawn_beams()) == 9)
    assert len(folders()) == 1


def folders():
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    names = [hierarchy.GetItemName(items.GetId(index)) for index in range(items.GetNumberOfIds())]
    return [name for name in names if name == "Beam directions"]


def shown(user, patient, *beams):
    """The beams drawn, on the panel's own way."""
    ready(user, patient)
    user.panel.parameters.plan_beams = all_on(beams)
    isocentre_ui(user).showBeamsCheckBox.click()
    user.wait_for(lambda: len(drawn_beams()) == len(beams))


def test_the_check_box_draws_a_model_a_beam_in_one_folder_and_removes_them(user, patient):
    before = slicer.mrmlScene.GetNumberOfNodes()
    shown(user, patient, Beam(0), Beam(90, name="left"), Arc(181, 179))
    assert [node.GetName() for node in drawn_beams()] == ["Beam: Field 1", "Beam: left", "Beam: Arc 3"]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    parents = {hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))) for node in drawn_beams()}
    assert parents == {"Beam directions"}
    isocentre_ui(user).showBeamsCheckBox.click()
    user.wait_for(lambda: drawn_beams() == [])
    assert folders() == []
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def axis_of(node):
    """Where the drawn axis begins and ends, in RAS."""
    points = vtk_to_numpy(node.GetPolyData().GetPoints().GetData())
    return points[0], points[1]


def test_the_drawing_follows_beams_and_isocentre(user, patient):
    shown(user, patient, Beam(0), Beam(90))
    begins, ends = axis_of(drawn_beams()[1])
    assert begins - ends == pytest.approx([-DRAWN_MM, 0, 0], abs=1e-3)  # RAS: the patient's left is -x
    user.panel.parameters.plan_beams = (PlanBeam(Beam(270)), PlanBeam(Beam(0), is_on=False))
    user.wait_for(lambda: len(drawn_beams()) == 1)
    begins, ends = axis_of(drawn_beams()[0])
    assert begins - ends == pytest.approx([DRAWN_MM, 0, 0], abs=1e-3)
    choose(user, POINT)
    user.panel.parameters.isocentre_point.SetNthControlPointPositionWorld(0, 5.0, -8.0, -7.0)
    user.wait_for(lambda: axis_of(drawn_beams()[0])[1] == pytest.approx([5.0, -8.0, -7.0], abs=1e-3))


def test_nothing_is_left_of_the_drawing_when_the_module_goes(user, patient):
    shown(user, patient, Beam(0))
    user.panel.clean_up()
    assert drawn_beams() == [] and folders() == []


def beam_pixels(view):
    """Where a view shows the colour of a field, as rows and columns from the top left."""
    pixels = view.rendering().image((400, 400)).astype(int)
    return np.argwhere(np.abs(pixels - (np.array(FIELD_COLOUR) * 255)).max(axis=2) < 60)


@pytest.mark.parametrize("gantry_deg, is_right, is_up", [(90, True, None), (270, False, None), (0, None, True), (45, True, True), (135, True, False)])
def test_the_axial_view_shows_a_beam_on_the_side_that_it_comes_from(user, patient, gantry_deg, is_right, is_up):
    """Slicer's axial view has the patient's left at its right, anterior at its top."""
    shown(user, patient, Beam(gantry_deg))
    slicer.util.setSliceViewerLayers(background=patient.ct, fit=True)
    widget = slicer.app.layoutManager().sliceWidget("Red")
    widget.mrmlSliceNode().SetSliceOffset(axis_of(drawn_beams()[0])[1][2])
    to_xy = vtk.vtkMatrix4x4()
    found = beam_pixels(widget)
    vtk.vtkMatrix4x4.Invert(widget.mrmlSliceNode().GetXYToRAS(), to_xy)
    x, y = to_xy.MultiplyPoint([*axis_of(drawn_beams()[0])[1], 1.0])[:2]
    assert len(found) > 100
    beyond = 60  # half the aperture, in the picture
    rows, columns = found[:, 0] - (399 - y), found[:, 1] - x
    for along, is_positive in ((columns, is_right), (-rows, is_up)):
        if is_positive is not None:
            assert (np.max(along) if is_positive else -np.min(along)) > 90
            assert (-np.min(along) if is_positive else np.max(along)) < beyond


def test_the_3d_view_shows_the_beams(user, patient):
    shown(user, patient, Beam(0), Beam(90))
    widget = slicer.app.layoutManager().threeDWidget(0)
    widget.resetCamera()
    assert len(beam_pixels(widget)) > 200
    isocentre_ui(user).showBeamsCheckBox.click()
    user.wait_for(lambda: drawn_beams() == [])
    assert len(beam_pixels(widget)) == 0
