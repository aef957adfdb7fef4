"""Results that are kept, and doses compared: with each other, and with any dose in the scene."""

from __future__ import annotations

import time

import numpy as np
import pytest
import qt
import slicer

from DosePredictionLib.IsocentrePoint import add_isocentre_point


def dose_of(masks, target_gy, cord_gy=20.0):
    return np.where(masks["PTV_6000"], target_gy, np.where(masks["SpinalCord"], cord_gy, np.where(masks["BODY"], 20.0, 0.0))).astype(np.float32)


def predict(user, worker, dose_gy):
    worker.calls.clear()
    user.press()
    user.wait_for(lambda: "predict" in worker.names)
    worker.answer(dose_gy)
    user.wait_until_idle()
    settle(user)
    return user.panel.parameters.dose


def settle(user):
    """Wait until every section has done its steps."""
    slicer.app.processEvents()
    user.wait_for(lambda: all(getattr(section, "_steps", None) is None for section in user.panel.sections), 120.0)
    slicer.app.processEvents()


@pytest.fixture
def two(user, patient, worker, masks):
    """A user with two results: of 60 Gy, then with the cord spared and the prescription at 66 Gy."""
    user.select(patient)
    predict(user, worker, dose_of(masks, 60.0))
    user.type_prescription("PTV_6000", "66")
    user.ui.seedSpinBox.value = 5
    predict(user, worker, dose_of(masks, 66.0, 10.0))
    return user


def rows_of(table, columns):
    return [tuple(table.item(row, column).text() for column in range(columns)) for row in range(table.rowCount)]


def test_results_are_listed_shown_by_a_click_and_renamed_in_place(two):
    table = two.find("historyTable")
    assert [name for name, _goals in rows_of(table, 2)] == ["Planning CT predicted dose", "Planning CT predicted dose 2"]
    table.cellClicked(0, 0)
    settle(two)
    first = two.panel.parameters.dose
    assert first.GetName() == "Planning CT predicted dose"
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert red.GetForegroundVolumeID() == first.GetID()
    isodoses = [slicer.util.getNode(f"Planning CT predicted dose{number}_IsodoseLevels") for number in ("", " 2")]
    assert [node.GetDisplayNode().GetVisibility() for node in isodoses] == [1, 0]
    assert slicer.app.layoutManager().plotWidget(0).rendering().chart_node() is first.GetNodeReference("chartRef")
    metrics = two.find("metricsTable")
    assert float(metrics.item(0, 1).text()) == pytest.approx(60.0, abs=8.0)
    two.find("historyTable").item(0, 0).setText("Baseline")
    assert first.GetName() == "Baseline"


def test_going_back_restores_settings_roles_and_prescriptions_and_makes_the_result_valid(two, patient):
    two.find("historyTable").cellClicked(0, 0)
    settle(two)
    two.wait_for(lambda: two.panel.staleness.is_stale)
    assert "the prescription of PTV_6000 (60 to 66 Gy)" in two.ui.staleLabel.text
    two.find("goBackButton").click()
    settle(two)
    assert two.table()[0] == ("PTV_6000", "Target", "60")
    assert two.ui.seedSpinBox.value == 0
    two.wait_for(lambda: not two.panel.staleness.is_stale)
    assert two.button.text == "Predict"


def mask_of(patient, name):
    return slicer.util.arrayFromSegmentBinaryLabelmap(patient.segmentation, patient.segment_id(name), patient.ct) > 0


def draw(patient, name, mask):
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), patient.segmentation, patient.segment_id(name), patient.ct)


def kept_contours():
    node = slicer.mrmlScene.GetFirstNodeByName("DosePredictionContours")
    return list(node.GetParameterNames()) if node is not None else []


@pytest.fixture
def edited(user, patient, worker, masks):
    """Two results: between them the target was moved and its dose raised, the cord deleted, an organ and an isocentre added."""
    user.select(patient)
    predict(user, worker, dose_of(masks, 60.0))
    draw(patient, "PTV_6000", np.roll(masks["PTV_6000"], 2, axis=2) & masks["BODY"])
    patient.segmentation.GetSegmentation().RemoveSegment(patient.segment_id("SpinalCord"))
    added = patient.segmentation.GetSegmentation().AddEmptySegment("", "Brainstem")
    assert added
    draw(patient, "Brainstem", np.roll(masks["SpinalCord"], 5, axis=1))
    user.type_prescription("PTV_6000", "66")
    user.panel.parameters.isocentre_point = add_isocentre_point((1.0, 2.0, 3.0))
    predict(user, worker, dose_of(masks, 66.0))
    return user


def go_back_to_the_first(user):
    user.find("historyTable").cellClicked(0, 0)
    settle(user)
    user.find("goBackButton").click()
    settle(user)


def test_going_back_restores_contours_voxel_for_voxel_and_is_undone_by_a_click(edited, patient, masks):
    drawn = mask_of(patient, "PTV_6000")
    assert not edited.find("undoButton").enabled
    go_back_to_the_first(edited)
    assert np.array_equal(mask_of(patient, "PTV_6000"), masks["PTV_6000"])
    assert np.array_equal(mask_of(patient, "SpinalCord"), masks["SpinalCord"])  # which was deleted
    roles = {name: (role, dose) for name, role, dose in edited.table()}
    assert roles["PTV_6000"] == ("Target", "60")
    assert roles["Brainstem"][0] == "Not used"  # which was not there
    assert mask_of(patient, "Brainstem").any()
    assert edited.panel.parameters.isocentre_mm is None
    edited.wait_for(lambda: not edited.panel.staleness.is_stale)
    edited.find("undoButton").click()
    settle(edited)
    assert np.array_equal(mask_of(patient, "PTV_6000"), drawn)
    assert [name for name, _role, _dose in edited.table()] == ["PTV_6000", "LT PAROTID", "BODY", "couch marker", "Brainstem"]
    assert edited.table()[0] == ("PTV_6000", "Target", "66")
    assert edited.table()[4][1] == "Organ: Brainstem"
    assert edited.panel.parameters.isocentre_mm == pytest.approx((1.0, 2.0, 3.0))
    assert not edited.find("undoButton").enabled


def test_segments_that_share_a_labelmap_go_back_without_touching_each_other(edited, patient, masks):
    patient.segmentation.GetSegmentation().CollapseBinaryLabelmaps(False)
    go_back_to_the_first(edited)
    for name in ("PTV_6000", "SpinalCord", "LT PAROTID", "BODY"):
        assert np.array_equal(mask_of(patient, name), masks[name]), name


def test_each_contour_is_kept_once_and_forgotten_with_the_last_result_that_it_is_in(edited, worker, masks):
    assert len(kept_contours()) == 6  # four of the first result; the smaller target and the new organ of the second
    edited.find("deleteResultButton").click()
    settle(edited)
    assert len(kept_contours()) == 4
    edited.find("deleteResultButton").click()
    settle(edited)
    assert kept_contours() == []
    assert slicer.mrmlScene.GetFirstNodeByName("DosePredictionContours") is None


def test_contours_go_back_in_a_scene_that_was_saved_and_a_closed_one_keeps_none(edited, patient, masks, tmp_path):
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert kept_contours() == []
    assert not edited.find("undoButton").enabled
    slicer.util.loadScene(path)
    slicer.app.processEvents()
    patient.ct, patient.segmentation = edited.panel.parameters.ct, edited.panel.parameters.segmentation
    go_back_to_the_first(edited)
    for name in ("PTV_6000", "SpinalCord"):
        assert np.array_equal(mask_of(patient, name), masks[name]), name
    edited.wait_for(lambda: not edited.panel.staleness.is_stale)


def test_a_deleted_result_leaves_nothing_behind_and_the_one_before_is_shown(two, patient, worker, masks):
    def census():
        return sorted(slicer.mrmlScene.GetNthNode(index).GetClassName() for index in range(slicer.mrmlScene.GetNumberOfNodes()))

    before = census()
    predict(two, worker, dose_of(masks, 67.0))
    two.find("deleteResultButton").click()
    settle(two)
    assert census() == before
    assert two.panel.parameters.dose.GetName() == "Planning CT predicted dose 2"
    assert len(rows_of(two.find("historyTable"), 2)) == 2


def test_two_results_are_compared_by_difference_paired_histograms_and_changes(two, masks):
    first, second = (slicer.util.getNode(name) for name in ("Planning CT predicted dose", "Planning CT predicted dose 2"))
    two.find("referenceSelector").setCurrentNode(first)
    two.find("compareButton").click()
    settle(two)
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    difference = slicer.util.arrayFromVolume(slicer.mrmlScene.GetNodeByID(red.GetForegroundVolumeID()))
    assert np.array_equal(difference, slicer.util.arrayFromVolume(second) - slicer.util.arrayFromVolume(first))
    chart = slicer.app.layoutManager().plotWidget(0).rendering().chart_node()
    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    styles = [one.GetLineStyleAsString(one.GetLineStyle()) for one in series]
    assert styles == ["solid"] * 3 + ["dash"] * 3
    assert [one.GetColor() for one in series[:3]] == [one.GetColor() for one in series[3:]]
    changes = {(structure, metric): change for structure, metric, _before, _after, change in rows_of(two.find("changesTable"), 5)}
    assert float(changes["SpinalCord", "Dmean"].split()[0]) == pytest.approx(-10.0, abs=3.0)
    assert float(changes["PTV_6000", "D2%"].split()[0]) == pytest.approx(6.0, abs=0.2)
    colour = np.array(slicer_pixels()).reshape(-1, 3).astype(int)
    assert (colour[:, 0] - colour[:, 2] > 60).sum() > 50  # red where the target has more
    assert (colour[:, 2] - colour[:, 0] > 60).sum() > 5  # blue where the cord has less


def slicer_pixels():
    view = slicer.app.layoutManager().sliceWidget("Red")
    for segmentation in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        segmentation.GetDisplayNode().SetVisibility(False)
    view.fitSliceToBackground()
    return view.rendering().image((300, 300))


@pytest.fixture
def reference(two, masks):
    """The second result's dose 2 % higher, as an RTDOSE of 6 mm voxels loaded into the scene beside it."""
    voxels = dose_of(masks, 66.0, 10.0)[::2, ::2, ::2] * np.float32(1.02)
    ijk_to_ras = np.diag([-6.0, -6.0, 6.0, 1.0])
    ijk_to_ras[:3, 3] = (60.0, 55.0, -40.0)
    node = slicer.util.addVolumeFromArray(voxels, ijk_to_ras, "RTDOSE")
    node.SetAttribute("DicomRtImport.DoseVolume", "1")
    return node


def test_a_dose_of_other_origin_on_another_grid_is_the_reference_with_gamma(two, reference):
    two.find("referenceSelector").setCurrentNode(reference)
    two.find("gammaCheckBox").checked = True
    two.find("compareButton").click()
    settle(two)
    assert "gamma 3 %/3 mm" in two.find("comparedLabel").text
    gamma = next(node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetAttribute("DoseComparison.GammaVolume") == "1")
    # In the target's middle both doses are flat and 2 % apart, of a criterion of 3 % of the maximum: gamma is 2/3 (1.96 % of the higher dose).
    assert slicer.util.arrayFromVolume(gamma)[12, 18, 22] == pytest.approx(2 / 3 / 1.02, abs=0.02)
    dmean = next(row for row in rows_of(two.find("changesTable"), 5) if row[:2] == ("PTV_6000", "D2%"))
    assert float(dmean[4].split()[0]) == pytest.approx(-1.32, abs=0.1)


def test_comparing_can_be_stopped_and_holds_up_the_window_for_no_longer_than_a_moment(two, reference):
    two.find("referenceSelector").setCurrentNode(reference)
    two.find("gammaCheckBox").checked = True
    two.find("compareButton").click()
    assert two.find("compareButton").text == "Stop comparing"
    two.find("compareButton").click()
    assert two.find("comparedLabel").text == "Stopped."
    beats, timer = [], qt.QTimer()
    timer.setInterval(5)
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start()
    two.find("compareButton").click()
    settle(two)
    timer.stop()
    assert np.median(np.diff(beats)) < 0.15


def test_a_reference_that_is_no_dose_is_told_and_the_scene_stays(two, reference):
    slicer.util.updateVolumeFromArray(reference, slicer.util.arrayFromVolume(reference) - 100)
    count = slicer.mrmlScene.GetNumberOfNodes()
    two.find("referenceSelector").setCurrentNode(reference)
    two.find("compareButton").click()
    settle(two)
    assert "RTDOSE is no dose in Gy" in two.find("comparedLabel").text
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_history_and_comparison_are_back_with_a_saved_scene(two, tmp_path):
    two.find("referenceSelector").setCurrentNode(slicer.util.getNode("Planning CT predicted dose"))
    two.find("compareButton").click()
    settle(two)
    rows, words = rows_of(two.find("changesTable"), 5), two.find("comparedLabel").text
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert two.find("historyTable").rowCount == 0
    slicer.util.loadScene(path)
    assert len(rows_of(two.find("historyTable"), 2)) == 2
    assert rows_of(two.find("changesTable"), 5) == rows
    assert two.find("comparedLabel").text == words
    two.find("historyTable").cellClicked(0, 0)
    settle(two)
    two.find("goBackButton").click()
    settle(two)
    assert two.table()[0] == ("PTV_6000", "Target", "60")
