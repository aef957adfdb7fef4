"""Dose, histograms, metrics and chart as SlicerRT's modules look for them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import slicer

from dose_prediction.case import Grid
from dose_prediction.dosimetry import dose_in_mask
from DosePredictionLib.DoseNode import place_in_study, put_dose
from DosePredictionLib.DvhTables import histogram, put_histograms
from DosePredictionLib.SceneReader import grid_of_volume
from DosePredictionLib.SegmentRoles import segment_rows
from DosePredictionLib.SliceDisplay import show_overlay

PRESCRIPTION_GY = 60.0


@pytest.fixture
def dose_gy(masks):
    """A dose that falls off linearly with the distance from the target's centre, in Gy."""
    distance = np.linalg.norm(np.moveaxis(np.indices((24, 40, 40)), 0, -1) - np.array((12, 18, 22)), axis=-1)
    return np.where(masks["BODY"], np.maximum(66.0 - 2.0 * distance, 0.0), 0.0).astype(np.float32)


def hierarchy():
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def doses_within(mask):
    """The dose of the fixture at 1000 places in each voxel of a mask, from its own formula."""
    places = (np.indices((10, 10, 10)).reshape(3, -1).T + 0.5) / 10 - 0.5
    points = (np.argwhere(mask)[:, None] + places).reshape(-1, 3)
    return 66.0 - 2.0 * np.linalg.norm(points - np.array((12, 18, 22)), axis=1)


def show(patient, dose_gy, masks):
    """The dose node with its histograms, and the study that it is in."""
    node = put_dose(dose_gy, grid_of_volume(patient.ct), "Dose", PRESCRIPTION_GY, {})
    study = place_in_study(node, patient.ct, patient.segmentation)
    rows = [row for row in segment_rows(patient.segmentation) if row.name in ("PTV_6000", "SpinalCord")]
    return node, study, put_histograms([histogram_of(row, dose_gy, masks) for row in rows], node, patient.segmentation, study)


def histogram_of(row, dose_gy, masks):
    return histogram(row, dose_in_mask(dose_gy, Grid(dose_gy.shape, spacing_mm=(3.0, 3.0, 3.0)), masks[row.name]), float(dose_gy.max()))


def column(table_node, name):
    return [table_node.GetTable().GetColumnByName(name).GetValue(row) for row in range(table_node.GetNumberOfRows())]


def test_the_volume_is_a_dose_in_gy_on_the_cts_grid(patient, dose_gy, masks):
    node, _study, _chart = show(patient, dose_gy, masks)
    assert node.GetAttribute("DicomRtImport.DoseVolume") == "1"
    assert slicer.util.arrayFromVolume(node).dtype == np.float32
    assert np.array_equal(slicer.util.arrayFromVolume(node), dose_gy)
    assert grid_of_volume(node).matches(grid_of_volume(patient.ct))


def test_a_ct_without_a_study_gets_a_patient_and_a_study_that_says_gy(patient, dose_gy, masks):
    node, study, _chart = show(patient, dose_gy, masks)
    items = hierarchy()
    assert items.IsItemLevel(study, "Study")
    assert items.IsItemLevel(items.GetItemParent(study), "Patient")
    for member in (node, patient.ct, patient.segmentation):
        assert items.GetItemParent(items.GetItemByDataNode(member)) == study
    assert items.GetItemAttribute(study, "DicomRtImport.DoseUnitName") == "GY"
    assert items.GetItemAttribute(study, "DicomRtImport.DoseUnitValue") == "1.0"


def test_a_ct_in_a_study_keeps_it_and_its_dose_unit_value(patient, dose_gy, masks):
    items = hierarchy()
    study = items.CreateStudyItem(items.CreateSubjectItem(items.GetSceneItemID(), "Jane"), "Planning")
    items.CreateItem(study, patient.ct)
    items.SetItemAttribute(study, "DicomRtImport.DoseUnitValue", "5.3e-05")
    _node, found, _chart = show(patient, dose_gy, masks)
    assert found == study
    assert items.GetItemAttribute(study, "DicomRtImport.DoseUnitValue") == "5.3e-05"


def test_a_study_of_relative_doses_gets_a_new_study_beside_it(patient, dose_gy, masks):
    items = hierarchy()
    person = items.CreateSubjectItem(items.GetSceneItemID(), "Jane")
    study = items.CreateStudyItem(person, "Planning")
    items.CreateItem(study, patient.ct)
    items.SetItemAttribute(study, "DicomRtImport.DoseUnitName", "RELATIVE")
    _node, found, _chart = show(patient, dose_gy, masks)
    assert found != study
    assert items.GetItemParent(found) == person
    assert items.GetItemAttribute(study, "DicomRtImport.DoseUnitName") == "RELATIVE"


def test_the_display_spans_the_prescription_and_hides_the_lowest_doses(patient, dose_gy, masks):
    node, _study, _chart = show(patient, dose_gy, masks)
    display = node.GetDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx((0.0, 66.0))
    assert display.GetApplyThreshold()
    assert display.GetLowerThreshold() == pytest.approx(3.0)


def test_the_doses_item_asks_for_the_plugin_that_owns_volumes_and_a_second_dose_joins_the_study(patient, dose_gy, masks):
    node, study, _chart = show(patient, dose_gy, masks)
    second, found, _chart = show(patient, dose_gy, masks)
    items = hierarchy()
    assert items.GetItemOwnerPluginName(items.GetItemByDataNode(node)) == "Volumes"
    assert second is not node and found == study


def test_a_dose_is_never_negative_and_none_of_its_voxels_is_rounded(patient, dose_gy, masks):
    node, _study, _chart = show(patient, dose_gy, masks)
    low, high = node.GetImageData().GetScalarRange()
    assert low >= 0 and high == dose_gy.max()


def test_the_wash_takes_half_of_an_overlay_that_was_off_and_leaves_what_the_user_chose(patient, dose_gy, masks):
    node, _study, _chart = show(patient, dose_gy, masks)
    red, green, *_others = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    red.SetForegroundOpacity(0.0)
    green.SetForegroundOpacity(0.3)
    show_overlay(patient.ct, node)
    assert (red.GetForegroundOpacity(), green.GetForegroundOpacity()) == (0.5, 0.3)
    for composite in (red, green):
        assert (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()) == (patient.ct.GetID(), node.GetID())


def test_the_chart_is_shown_in_a_layout_with_slices_and_3d(patient, dose_gy, masks):
    _node, _study, chart = show(patient, dose_gy, masks)
    slicer.modules.plots.logic().ShowChartInLayout(chart)
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView


def test_the_metrics_table_has_slicerrts_columns_and_the_figures_of_the_dose(patient, dose_gy, masks):
    node, study, _chart = show(patient, dose_gy, masks)
    metrics = node.GetNodeReference("dvhMetricsTableRef")
    table = metrics.GetTable()
    names = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    assert names[:7] == ["Show", "Structure", "Volume name", "Volume (cc)", "Mean dose (GY)", "Min dose (GY)", "Max dose (GY)"]
    assert names[7:] == ["D98% (GY)", "D95% (GY)", "D50% (GY)", "D2% (GY)", "D0.03cc (GY)"]
    assert column(metrics, "Structure") == ["PTV_6000", "SpinalCord"]
    assert column(metrics, "Show") == [1, 1]
    inside = doses_within(masks["PTV_6000"])
    assert column(metrics, "Volume (cc)")[0] == pytest.approx(masks["PTV_6000"].sum() * 0.027)
    assert column(metrics, "Mean dose (GY)")[0] == pytest.approx(inside.mean(), abs=0.1)
    assert column(metrics, "Min dose (GY)")[0] == pytest.approx(inside.min(), abs=0.3)
    assert column(metrics, "Max dose (GY)")[0] == pytest.approx(inside.max(), abs=0.3)
    assert column(metrics, "D95% (GY)")[0] == pytest.approx(np.percentile(inside, 5), abs=0.1)
    assert hierarchy().GetItemParent(hierarchy().GetItemByDataNode(metrics)) == study


def test_the_metrics_table_refers_to_the_table_of_every_segment(patient, dose_gy, masks):
    node, _study, _chart = show(patient, dose_gy, masks)
    metrics = node.GetNodeReference("dvhMetricsTableRef")
    for row, name in enumerate(("PTV_6000", "SpinalCord")):
        segment_id = patient.segment_id(name)
        table = metrics.GetNodeReference(f"DoseVolumeHistogram.{node.GetID()}_{patient.segmentation.GetID()}_{segment_id}")
        assert table.GetName() == f"{segment_id}_DvhTable"
        assert table.GetAttribute("DoseVolumeHistogram.DVH") == "1"
        assert table.GetAttribute("DoseVolumeHistogram.TableRow") == str(row)
        assert table.GetAttribute("DoseVolumeHistogram.SegmentID") == segment_id
        assert float(table.GetAttribute("DoseVolumeHistogram.DoseVolumeOversamplingFactor")) >= 1
        assert float(table.GetAttribute("DoseVolumeHistogram.Volume (cc)")) == pytest.approx(column(metrics, "Volume (cc)")[row], rel=1e-4)
        assert table.GetNodeReference("doseVolumeRef") is node
        assert table.GetNodeReference("segmentationRef") is patient.segmentation


def test_a_histogram_starts_at_all_of_the_volume_and_steps_as_slicerrts_does(patient, dose_gy, masks):
    _node, _study, chart = show(patient, dose_gy, masks)
    table = chart.GetNthPlotSeriesNode(0).GetTableNode()
    doses, volumes = column(table, "Dose"), column(table, "Volume")
    assert (doses[0], volumes[0]) == (0.0, 100.0)
    assert np.diff(doses[1:]) == pytest.approx(0.2)
    assert doses[1] == pytest.approx(0.1)
    assert doses[-1] >= dose_gy.max()
    inside = doses_within(masks["PTV_6000"])
    for dose, volume in zip(doses[::10], volumes[::10], strict=True):
        assert volume == pytest.approx(100 * (inside >= dose).mean(), abs=2.0)


def test_the_chart_has_one_solid_line_a_structure_in_the_segments_name_and_colour(patient, dose_gy, masks):
    _node, study, chart = show(patient, dose_gy, masks)
    assert (chart.GetXAxisTitle(), chart.GetYAxisTitle()) == ("Dose [GY]", "Fractional volume [%]")
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    series = chart.GetNthPlotSeriesNode(1)
    segment = patient.segmentation.GetSegmentation().GetSegment(patient.segment_id("SpinalCord"))
    assert series.GetName() == "SpinalCord"
    assert series.GetColor() == pytest.approx(segment.GetColor())
    assert series.GetLineStyle() == series.LineStyleSolid
    assert chart.GetNthNodeReference("DoseVolumeHistogram.dvhPlotSeries", 1) is series
    assert hierarchy().GetItemParent(hierarchy().GetItemByDataNode(chart)) == study


def node_classes():
    return Counter(slicer.mrmlScene.GetNthNode(index).GetClassName() for index in range(slicer.mrmlScene.GetNumberOfNodes()))


def test_histograms_made_again_replace_those_before(patient, dose_gy, masks):
    node, study, _chart = show(patient, dose_gy, masks)
    before = node_classes()
    rows = [row for row in segment_rows(patient.segmentation) if row.name == "PTV_6000"]
    put_histograms([histogram_of(rows[0], dose_gy, masks)], node, patient.segmentation, study)
    assert before - node_classes() == Counter({"vtkMRMLTableNode": 1, "vtkMRMLPlotSeriesNode": 1})  # those of the cord
    assert not node_classes() - before
    assert node.GetNumberOfNodeReferences("DoseVolumeHistogram.createdDvhArrayRef") == 1
