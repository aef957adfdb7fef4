"""Dose-volume histograms in the scene, laid out as SlicerRT's DoseVolumeHistogram module lays them out, so that its tools take them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk

from dose_prediction.case import Structure
from dose_prediction.dosimetry import cumulative_dvh, dose_at_volume, volume_cc

from .DoseNode import DOSE_UNIT
from .SegmentRoles import SegmentRow

PREFIX = "DoseVolumeHistogram."
DVH_ATTRIBUTE = PREFIX + "DVH"
CREATED_ROLE = PREFIX + "createdDvhArrayRef"
SERIES_ROLE = PREFIX + "dvhPlotSeries"
DOSE_ROLE = "doseVolumeRef"
SEGMENTATION_ROLE = "segmentationRef"
METRICS_ROLE = "dvhMetricsTableRef"
CHART_ROLE = "chartRef"

START_GY = 0.1
STEP_GY = 0.2
LEGEND_ROOM = 1.35
D_PERCENTS = (98, 95, 50, 2)  # near-minimum, coverage, median and near-maximum (ICRU 83)


@dataclass(frozen=True, eq=False)
class Histogram:
    """The DVH of one segment with the figures of its row in the metrics table."""

    row: SegmentRow
    dose_gy: NDArray[np.float64]
    volume_percent: NDArray[np.float64]
    volume_cc: float
    mean_gy: float
    min_gy: float
    max_gy: float
    d_percent_gy: tuple[float, ...]


def histogram(row: SegmentRow, structure: Structure, dose_gy: NDArray[np.float32], voxel_volume_mm3: float) -> Histogram:
    """The histogram of one structure: (0, 100 %), then from 0.1 Gy in steps of 0.2 Gy to the maximum of the whole dose."""
    inside = dose_gy[structure.mask].astype(np.float64)
    everywhere = np.ones(inside.shape, dtype=bool)
    count = int(np.ceil((float(dose_gy.max()) - START_GY) / STEP_GY)) + 1
    axis = np.concatenate([[0.0], START_GY + STEP_GY * np.arange(max(count, 1))])
    return Histogram(
        row,
        axis,
        cumulative_dvh(inside, everywhere, axis),
        volume_cc(structure.mask, voxel_volume_mm3),
        float(inside.mean()),
        float(inside.min()),
        float(inside.max()),
        tuple(dose_at_volume(inside, everywhere, percent) for percent in D_PERCENTS),
    )


def put_histograms(histograms: tuple[Histogram, ...], dose_node: Any, segmentation_node: Any, study_item: int) -> Any:
    """Metrics table, one table and one plot series a structure, and the chart, all under the study; returns the chart node.

    What an earlier call made for the same dose is replaced.
    """
    remove_histograms(dose_node)
    scene = slicer.mrmlScene
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    metrics = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName("DvhMetrics"))
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", scene.GenerateUniqueName("DvhChart"))
    for node in (metrics, chart):
        node.SetNodeReferenceID(DOSE_ROLE, dose_node.GetID())
        hierarchy.CreateItem(study_item, node)
    _fill_metrics(metrics, histograms, dose_node.GetName())
    dose_node.SetNodeReferenceID(METRICS_ROLE, metrics.GetID())
    dose_node.SetNodeReferenceID(CHART_ROLE, chart.GetID())
    with slicer.util.NodeModify(chart):
        chart.SetTitle("Dose Volume Histogram")
        chart.SetXAxisTitle(f"Dose [{DOSE_UNIT}]")
        chart.SetYAxisTitle("Fractional volume [%]")
        # Room for the legend beside the curves, which end at the maximum dose.
        chart.SetXAxisRangeAuto(False)
        chart.SetXAxisRange(0.0, LEGEND_ROOM * max(found.max_gy for found in histograms))
        chart.SetLegendFontSize(14)
        for number, found in enumerate(histograms):
            table = _put_table(number, found, metrics, dose_node, segmentation_node)
            hierarchy.CreateItem(hierarchy.GetItemByDataNode(metrics), table)
            series = _put_series(found, table)
            hierarchy.CreateItem(hierarchy.GetItemByDataNode(chart), series)
            chart.AddAndObserveNodeReferenceID(SERIES_ROLE, series.GetID())
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
    _refer_for_slicerrt(metrics, chart, dose_node, segmentation_node)
    return chart


def chart_of(dose_node: Any) -> Any:
    """The chart with the DVHs of a predicted dose; None if there is none."""
    return dose_node.GetNodeReference(CHART_ROLE) if dose_node is not None else None


def metrics_of(dose_node: Any) -> Any:
    """The table with the DVH metrics of a predicted dose; None if there is none."""
    return dose_node.GetNodeReference(METRICS_ROLE) if dose_node is not None else None


def remove_histograms(dose_node: Any) -> None:
    """Remove the tables, series and chart that belong to the dose."""
    nodes = [chart_of(dose_node), metrics_of(dose_node)]
    if nodes[0] is not None:
        nodes += [nodes[0].GetNthNodeReference(SERIES_ROLE, n) for n in range(nodes[0].GetNumberOfNodeReferences(SERIES_ROLE))]
    nodes += [dose_node.GetNthNodeReference(CREATED_ROLE, n) for n in range(dose_node.GetNumberOfNodeReferences(CREATED_ROLE))]
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for node in [node for node in nodes if node is not None]:
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)
        slicer.mrmlScene.RemoveNode(node)
    dose_node.RemoveNodeReferenceIDs(CREATED_ROLE)


def _fill_metrics(metrics: Any, histograms: tuple[Histogram, ...], dose_name: str) -> None:
    show, structure, volume_name = vtk.vtkBitArray(), vtk.vtkStringArray(), vtk.vtkStringArray()
    for found in histograms:
        show.InsertNextValue(1)
        structure.InsertNextValue(found.row.name)
        volume_name.InsertNextValue(dose_name)
    columns = [("Show", show), ("Structure", structure), ("Volume name", volume_name)]
    figures = {
        "Volume (cc)": [found.volume_cc for found in histograms],
        f"Mean dose ({DOSE_UNIT})": [found.mean_gy for found in histograms],
        f"Min dose ({DOSE_UNIT})": [found.min_gy for found in histograms],
        f"Max dose ({DOSE_UNIT})": [found.max_gy for found in histograms],
    }
    for number, percent in enumerate(D_PERCENTS):
        figures[f"D{percent}% ({DOSE_UNIT})"] = [found.d_percent_gy[number] for found in histograms]
    columns += [(name, numpy_to_vtk(np.array(values, dtype=np.float64), deep=True)) for name, values in figures.items()]
    _set_columns(metrics, columns)


def _put_table(number: int, found: Histogram, metrics: Any, dose_node: Any, segmentation_node: Any) -> Any:
    segment_id, scene = found.row.segment_id, slicer.mrmlScene
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(f"{segment_id}_DvhTable"))
    _set_columns(table, [("Dose", numpy_to_vtk(found.dose_gy, deep=True)), ("Volume", numpy_to_vtk(found.volume_percent, deep=True))])
    table.SetAttribute(DVH_ATTRIBUTE, "1")
    table.SetAttribute(PREFIX + "TableRow", str(number))
    table.SetAttribute(PREFIX + "SegmentID", segment_id)
    table.SetAttribute(PREFIX + "DoseVolumeOversamplingFactor", "1")
    table.SetAttribute(PREFIX + "Volume (cc)", f"{found.volume_cc:g}")
    table.SetNodeReferenceID(DOSE_ROLE, dose_node.GetID())
    table.SetNodeReferenceID(SEGMENTATION_ROLE, segmentation_node.GetID())
    metrics.SetNodeReferenceID(f"{PREFIX}{dose_node.GetID()}_{segmentation_node.GetID()}_{segment_id}", table.GetID())
    for node in (dose_node, segmentation_node):
        node.AddNodeReferenceID(CREATED_ROLE, table.GetID())
    return table


def _put_series(found: Histogram, table: Any) -> Any:
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", found.row.name)
    series.SetAttribute(DVH_ATTRIBUTE, "1")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("Dose")
    series.SetYColumnName("Volume")
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleSolid)
    series.SetLineWidth(2.0)
    series.SetColor(*found.row.colour)
    return series


def _refer_for_slicerrt(metrics: Any, chart: Any, dose_node: Any, segmentation_node: Any) -> None:
    """Where SlicerRT is installed, the node that its DVH module works from."""
    if not hasattr(slicer, "vtkMRMLDoseVolumeHistogramNode"):
        return
    scene, class_name = slicer.mrmlScene, "vtkMRMLDoseVolumeHistogramNode"
    node = scene.GetFirstNodeByClass(class_name) or scene.AddNewNodeByClass(class_name)
    for role, referred in ((DOSE_ROLE, dose_node), (SEGMENTATION_ROLE, segmentation_node), (METRICS_ROLE, metrics), (CHART_ROLE, chart)):
        node.SetNodeReferenceID(role, referred.GetID())


def _set_columns(table_node: Any, columns: list[tuple[str, Any]]) -> None:
    with slicer.util.NodeModify(table_node):
        table_node.RemoveAllColumns()
        for name, values in columns:
            values.SetName(name)
            table_node.AddColumn(values)
