"""A result on the screen: isodoses, metrics, where a structure fails most, and what lies over the CT."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import qt
import slicer
from PIL import Image

from dose_prediction.dosimetry import dose_in_slices
from DosePredictionLib import ResultsSection
from DosePredictionLib.DvhBands import bands_in
from DosePredictionLib.Report import report_html
from DosePredictionLib.SceneReader import grid_of_volume
from DosePredictionLib.ViewPictures import BAND_OPACITY, dvh_picture
from run_steps import result_of

CENTRE = np.array((12, 18, 22))  # of the target, in voxels (z, y, x)
SHOWN, COLOUR, PERCENT, DOSE = range(4)


@pytest.fixture
def dose_gy(masks):
    """63 Gy in the target's middle, falling by 2 Gy a voxel of 3 mm in every direction."""
    distance = np.linalg.norm(np.moveaxis(np.indices((24, 40, 40)), 0, -1) - CENTRE, axis=-1)
    return np.where(masks["BODY"], np.maximum(63.0 - 2.0 * distance, 0.0), 0.0).astype(np.float32)


@pytest.fixture
def seen(user, patient, worker, dose_gy):
    """A user who sees the dose."""
    user.select(patient)
    user.press()
    user.wait_for(lambda: "predict" in worker.names)
    worker.answer(dose_gy)
    user.wait_until_idle()
    return user


def settle(user):
    """Wait until the display has followed what the user did."""
    section = next(section for section in user.panel.sections if hasattr(section, "isodoses"))
    slicer.app.processEvents()
    user.wait_for(lambda: section._steps is None)


def model():
    return next(node for node in slicer.util.getNodesByClass("vtkMRMLModelNode") if node.GetAttribute("DicomRtImport.IsodoseModel") == "1")


def levels_drawn():
    scalars = model().GetPolyData().GetPointData().GetArray("isolevels")
    return sorted({round(scalars.GetValue(index), 3) for index in range(scalars.GetNumberOfTuples())})


def red_picture():
    view = slicer.app.layoutManager().sliceWidget("Red")
    view.fitSliceToBackground()
    return view.rendering().image((300, 300)).astype(int)


def voxel_of_views():
    """The voxel (z, y, x) of the CT that the slice views are centred on."""
    matrices = [node.GetSliceToRAS() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")]
    (centre,) = {tuple(round(matrix.GetElement(row, 3), 3) for row in range(3)) for matrix in matrices}
    return round((centre[2] + 40) / 3), round((55 - centre[1]) / 3), round((60 - centre[0]) / 3)


def test_isodoses_are_at_percents_of_the_prescription_and_each_lies_where_the_dose_has_its_value(seen):
    assert levels_drawn() == [18.0, 30.0, 48.0, 57.0, 60.0, 63.0][: len(levels_drawn())]
    points = slicer.util.arrayFromModelPoints(model())
    scalars = np.array([model().GetPolyData().GetPointData().GetArray("isolevels").GetValue(i) for i in range(len(points))])
    centre_ras = np.array((60.0 - 3 * CENTRE[2], 55.0 - 3 * CENTRE[1], -40.0 + 3 * CENTRE[0]))
    at_57 = np.linalg.norm(points[scalars == 57.0] - centre_ras, axis=1)
    assert at_57.mean() == pytest.approx(9.0, abs=0.3)  # 63 - 2/3 Gy a mm


def test_the_isodose_model_is_laid_out_as_slicerrts(seen):
    dose = seen.panel.parameters.dose
    assert model().GetName() == f"{dose.GetName()}_IsodoseLevels"
    levels = dose.GetNodeReference("colorTableRef")
    assert [float(levels.GetColorName(index)) for index in range(levels.GetNumberOfColors())] == [18, 30, 48, 57, 60, 63]
    assert levels.GetNodeReference("colorTableRef").GetName() == f"{dose.GetName()}_DoseColorTable"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(model())) == hierarchy.GetItemByDataNode(dose)
    assert model().GetDisplayNode().GetVisibility2D()


def test_the_table_gives_levels_in_percent_and_gy_and_a_level_without_its_tick_is_not_drawn(seen):
    table = seen.find("isodoseTable")
    assert [(table.item(row, PERCENT).text(), table.item(row, DOSE).text()) for row in range(2)] == [("105", "63.00"), ("100", "60.00")]
    table.item(2, SHOWN).setCheckState(qt.Qt.Unchecked)
    settle(seen)
    assert 57.0 not in levels_drawn()
    seen.find("isodoseTable").item(2, SHOWN).setCheckState(qt.Qt.Checked)
    settle(seen)
    assert 57.0 in levels_drawn()


def test_a_level_is_typed_in_percent_or_in_gy_added_and_removed(seen):
    seen.find("isodoseTable").item(3, PERCENT).setText("90")
    settle(seen)
    assert 54.0 in levels_drawn() and 48.0 not in levels_drawn()
    seen.find("isodoseTable").item(3, DOSE).setText("51")
    settle(seen)
    assert 51.0 in levels_drawn() and 54.0 not in levels_drawn()
    assert seen.find("isodoseTable").item(3, PERCENT).text() == "85"
    seen.find("addLevelButton").click()
    settle(seen)
    assert 15.0 in levels_drawn()
    seen.find("isodoseTable").setCurrentCell(0, PERCENT)
    seen.find("removeLevelButton").click()
    settle(seen)
    assert 63.0 not in levels_drawn()


def test_what_is_no_level_is_put_back(seen):
    seen.find("isodoseTable").item(1, PERCENT).setText("abc")
    assert seen.find("isodoseTable").item(1, PERCENT).text() == "100"


def test_lines_are_seen_in_the_slice_in_the_colours_of_the_table_and_go_with_their_box(seen, patient):
    patient.segmentation.GetDisplayNode().SetVisibility(False)
    seen.find("overlayComboBox").currentIndex = 3  # nothing over the CT: only lines have colour
    settle(seen)
    picture = red_picture()
    colour = seen.find("isodoseTable").item(4, COLOUR).background().color()  # 50 %
    near = np.abs(picture - (colour.red(), colour.green(), colour.blue())).max(axis=-1) < 40
    assert near.sum() > 30
    seen.find("linesCheckBox").checked = False
    settle(seen)
    near = np.abs(red_picture() - (colour.red(), colour.green(), colour.blue())).max(axis=-1) < 40
    assert near.sum() == 0


def test_the_legend_stands_on_the_right_above_the_names_of_the_volumes(seen):
    at_the_edge = red_picture()[:, 280:]  # the patient does not reach there
    coloured = np.flatnonzero((at_the_edge.max(axis=-1) - at_the_edge.min(axis=-1) > 60).any(axis=1))
    assert len(coloured) > 100
    assert coloured[0] > 60 and coloured[-1] < 300 - 35  # two lines of names are 30 pixels high


def test_surfaces_are_drawn_in_3d_where_they_are_wanted(seen):
    assert not model().GetDisplayNode().GetVisibility3D()
    seen.find("surfacesCheckBox").checked = True
    settle(seen)
    assert model().GetDisplayNode().GetVisibility3D()


def near(picture, colour, tolerance=40):
    """How many pixels have about this colour (red, green and blue from 0 to 1)."""
    return int((np.abs(picture.astype(int) - 255 * np.array(colour)).max(axis=-1) < tolerance).sum())


def test_surfaces_are_seen_in_3d(seen, patient):
    patient.segmentation.GetDisplayNode().SetVisibility(False)
    view = slicer.app.layoutManager().threeDWidget(0)
    view.threeDView().resetFocalPoint()
    without = view.rendering().image((300, 300)).astype(int)
    seen.find("surfacesCheckBox").checked = True
    settle(seen)
    with_surfaces = view.rendering().image((300, 300)).astype(int)
    assert (np.abs(with_surfaces - without).max(axis=-1) > 20).mean() > 0.01


def test_the_chart_has_a_line_in_the_colour_of_every_structure(seen):
    picture = slicer.app.layoutManager().plotWidget(0).rendering().image((500, 400))
    judged = [row for row in seen.panel._rows if row.name in ("PTV_6000", "SpinalCord", "LT PAROTID")]
    assert {row.name: near(picture, row.colour) > 50 for row in judged} == {"PTV_6000": True, "SpinalCord": True, "LT PAROTID": True}


def test_goals_are_met_or_missed_in_sign_word_and_colour(seen):
    table = seen.ui.goalsTable
    outcomes = {table.item(row, 3).text(): table.item(row, 3).foreground().color() for row in range(table.rowCount)}
    assert set(outcomes) <= {"✓ met", "≈ close", "✗ missed"} and len(outcomes) > 1
    assert outcomes["✓ met"].green() > outcomes["✓ met"].red()
    assert outcomes["✗ missed"].red() > outcomes["✗ missed"].green()


def test_metrics_of_every_structure_stand_beside_the_goals(seen, masks, dose_gy):
    table = seen.find("metricsTable")
    cells = {table.item(row, 0).text(): [float(table.item(row, column).text()) for column in range(1, 6)] for row in range(table.rowCount)}
    assert set(cells) == {"PTV_6000", "SpinalCord", "LT PAROTID"}
    assert cells["SpinalCord"][0] == pytest.approx(dose_gy[masks["SpinalCord"]].mean(), abs=0.3)
    assert cells["PTV_6000"][3] == pytest.approx(np.percentile(dose_gy[masks["PTV_6000"]], 98), abs=0.6)


def test_a_click_on_an_organ_centres_the_views_on_its_hottest_point_and_on_a_target_on_its_coldest(seen, masks, dose_gy):
    table = seen.find("metricsTable")
    rows = {table.item(row, 0).text(): row for row in range(table.rowCount)}
    for name, extreme in (("SpinalCord", np.argmax), ("PTV_6000", np.argmin)):
        table.cellClicked(rows[name], 0)
        settle(seen)
        voxels = np.argwhere(masks[name])
        worst = dose_gy[tuple(voxels.T)][extreme(dose_gy[tuple(voxels.T)])]
        assert dose_gy[voxel_of_views()] == pytest.approx(worst, abs=1e-3)
        assert masks[name][voxel_of_views()]
        assert f"{worst:.1f} Gy" in seen.find("pointLabel").text


def test_a_fault_is_told_as_such_and_goes_into_the_error_log(seen, monkeypatch, caplog):
    def lost(*_arguments):
        raise RuntimeError("the voxels are lost")
        yield 0.0

    monkeypatch.setattr(ResultsSection, "worst_point", lost)
    seen.find("metricsTable").cellClicked(0, 0)
    seen.wait_for(lambda: seen.find("pointLabel").text != "")
    assert seen.find("pointLabel").text == "Something went wrong: the voxels are lost. See the error log."
    assert "the voxels are lost" in caplog.text


def test_a_click_on_a_goal_that_limits_a_target_goes_to_its_hottest_point(seen):
    table = seen.ui.goalsTable
    row = next(row for row in range(table.rowCount) if table.item(row, 1).text().startswith("D2%"))
    table.cellClicked(row, 1)
    settle(seen)
    assert voxel_of_views() == tuple(CENTRE)


def test_sampled_plans_give_a_spread_to_lay_over_the_ct_and_bands_in_the_chart(seen, patient, worker, dose_gy, masks):
    plans = [dose_gy * factor for factor in np.linspace(0.9, 1.1, 11, dtype=np.float32)]
    worker.calls.clear()
    seen.press()
    seen.wait_for(lambda: "predict" in worker.names)
    worker.answer(dose_gy, plans)
    seen.wait_until_idle()
    dose = seen.panel.parameters.dose
    chart = dose.GetNodeReference("chartRef")
    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [one.GetName() for one in series] == [""] * 3 + ["PTV_6000", "SpinalCord", "LT PAROTID"]
    assert [one.GetColor() for one in series[:3]] == [one.GetColor() for one in series[3:]]
    # 80 % of the plans scale the dose by 0.92 to 1.08, so half of the target gets at least D50 times that.
    median = np.median(dose_gy[masks["PTV_6000"]])
    doses, limits = bands_in(chart)[series[3].GetTableNode().GetAttribute("DoseVolumeHistogram.SegmentID")]
    for volumes, factor in zip(limits, (0.92, 1.08), strict=True):
        assert np.interp(50.0, volumes[::-1], doses[::-1]) == pytest.approx(median * factor, abs=1.0)
    seen.find("overlayComboBox").currentIndex = 1
    settle(seen)
    spread = slicer.mrmlScene.GetNodeByID(slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode().GetForegroundVolumeID())
    assert slicer.util.arrayFromVolume(spread).max() == pytest.approx(63.0 * np.std(np.linspace(0.9, 1.1, 11)), rel=1e-3)
    assert spread.GetAttribute("DicomRtImport.DoseVolume") is None
    legends = {node.GetTitleText(): node.GetVisibility() for node in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")}
    assert legends == {"Dose": 0, "Spread": 1}
    seen.find("linesCheckBox").checked = False
    settle(seen)
    patient.segmentation.GetDisplayNode().SetVisibility(False)
    picture = red_picture()
    assert (picture[..., 0] - picture[..., 2] > 30).sum() > 30  # yellow where the plans differ most
    assert (picture[..., 2] - picture[..., 1] > 30).sum() > 30  # violet where they hardly do


def test_goals_and_metrics_are_read_off_one_histogram_which_is_that_of_the_commands(seen, patient, masks, dose_gy):
    """0.03 cc is one voxel and a tenth of this patient; of whole voxels it would be the hottest one's dose."""
    metrics, goals = (seen.panel.parameters.dose.GetNodeReference(role) for role in ("dvhMetricsTableRef", "DosePrediction.goalsRef"))
    table = metrics.GetTable()
    figures = {
        (table.GetColumnByName("Structure").GetValue(row), name): table.GetColumnByName(f"{column} (GY)").GetValue(row)
        for row in range(table.GetNumberOfRows())
        for name, column in (("Dmean", "Mean dose"), ("D0.03cc", "D0.03cc"), ("D95%", "D95%"), ("D2%", "D2%"))
    }
    cells = [[goals.GetCellText(row, column) for column in range(3)] for row in range(goals.GetNumberOfRows())]
    told = {(structure, goal.split()[0]): reached for structure, goal, reached in cells}
    compared = figures.keys() & told.keys()
    assert len(compared) >= 4 and ("SpinalCord", "D0.03cc") in compared
    for key in compared:
        assert float(told[key].split()[0]) == pytest.approx(figures[key], abs=0.051), key
    inside = dose_in_slices(dose_gy, grid_of_volume(patient.ct), masks["SpinalCord"])
    assert figures["SpinalCord", "D0.03cc"] == pytest.approx(inside.dose_at_volume(0.03, "cc"))
    assert figures["SpinalCord", "Dmean"] == pytest.approx(inside.mean_gy)


def tinted(picture, colour, opacity):
    """How many pixels have the colour as it is on white."""
    wanted = 255 * (1 - opacity * (1 - np.array(colour)))
    return int((np.abs(picture.astype(float) - wanted).max(axis=-1) < 12).sum())


def test_bands_are_tinted_areas_that_the_legend_does_not_name_in_the_chart_and_in_the_report(seen, worker, dose_gy, tmp_path):
    worker.calls.clear()
    seen.press()
    seen.wait_for(lambda: "predict" in worker.names)
    worker.answer(dose_gy, [dose_gy * factor for factor in np.linspace(0.7, 1.3, 5, dtype=np.float32)])
    seen.wait_until_idle()
    dose = seen.panel.parameters.dose
    colour = seen.panel._rows[0].colour
    picture = np.array(Image.open(BytesIO(dvh_picture(dose))).convert("RGB"))
    assert tinted(picture, colour, BAND_OPACITY) > 5000
    assert "80 % of the sampled plans" in result_of(report_html(dose, seen.panel.parameters.goals))
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(path)
    chart = seen.panel.parameters.dose.GetNodeReference("chartRef")
    assert [chart.GetNthPlotSeriesNode(index).GetName() for index in range(6)] == [""] * 3 + ["PTV_6000", "SpinalCord", "LT PAROTID"]


def test_results_and_their_display_are_back_with_a_saved_scene(seen, tmp_path):
    seen.find("isodoseTable").item(3, PERCENT).setText("90")
    settle(seen)
    path = str(tmp_path / "plan.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(0)
    assert not seen.find("displayWidget").enabled
    slicer.util.loadScene(path)
    assert seen.find("isodoseTable").item(3, PERCENT).text() == "90"
    assert 54.0 in levels_drawn()
    assert seen.find("metricsTable").rowCount == 3
