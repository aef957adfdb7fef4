"""Dose-volume histograms in the scene, laid out as SlicerRT's DoseVolumeHistogram module lays them out, so that its tools take them up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk

from dose_prediction.dosimetry import StructureDose

from .DoseNode import DOSE_UNIT
from .DvhBands import PERCENTILES, put_band, tint
from .NodeRemoval import referred, remove_nodes
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
# So that the legend stands beside the curves in a chart that is a quarter of the views.
LEGEND_ROOM, LEGEND_FONT_SIZE = 1.5, 11
TOP_PERCENT = 102.0  # so that the lines at 100 % are seen whole
D_PERCENTS = (98, 95, 50, 2)  # near-minimum, coverage, median and near-maximum (ICRU 83)
SMALL_VOLUME_CC = 0.03
D_COLUMNS = tuple(f"{name} ({DOSE_UNIT})" for name in (*(f"D{percent}%" for percent in D_PERCENTS), f"D{SMALL_VOLUME_CC:g}cc"))


@dataclass(frozen=True, eq=False)
class Histogram:
    """The DVH of one segment with the figures of its row in the metrics table.

    `band_percent`, if there are samples, are the volumes (2, doses) between which 80 % of the sampled plans lie.
    """

    row: SegmentRow
    dose_gy: NDArray[np.float64]
    volume_percent: NDArray[np.float64]
    volume_cc: float
    mean_gy: float
    min_gy: float
    max_gy: float
    d_gy: tuple[float, ...]
    band_percent: NDArray[np.float64] | None = None


def histogram(row: SegmentRow, inside: StructureDose, top_gy: float) -> Histogram:
    """The histogram of one structure: (0, 100 %), then from 0.1 Gy in steps of 0.2 Gy to `top_gy`."""
    axis = dose_axis(top_gy)
    figures = (*(inside.dose_at_volume(percent) for percent in D_PERCENTS), inside.dose_at_volume(SMALL_VOLUME_CC, "cc"))
    volumes = inside.cumulative(axis)
    volumes[0] = 100.0  # all of it, whatever the sum of the samples' volumes rounds to
    return Histogram(row, axis, volumes, inside.total_cc, inside.mean_gy, inside.min_gy, inside.max_gy, figures)


def dose_axis(max_gy: float) -> NDArray[np.float64]:
    """Doses of a histogram in SlicerRT's steps, the last at least `max_gy`."""
    count = int(np.ceil((max_gy - START_GY) / STEP_GY)) + 1
    return np.concatenate([[0.0], START_GY + STEP_GY * np.arange(max(count, 1))])


def with_band(found: Histogram, volumes_percent: Sequence[NDArray[np.float64]]) -> Histogram:
    """The histogram with the band in which 80 % of the sampled plans' volumes lie at each dose."""
    return replace(found, band_percent=np.percentile(volumes_percent, PERCENTILES, axis=0))


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
        set_axes(chart, "Dose Volume Histogram", max(found.max_gy for found in histograms))
        for found in histograms:
            _add_band(chart, found)
        for number, found in enumerate(histograms):
            table = _put_table(number, found, metrics, dose_node, segmentation_node)
            hierarchy.CreateItem(hierarchy.GetItemByDataNode(metrics), table)
            add_to_chart(chart, put_series(found.row.name, found.row.colour, table))
    _refer_for_slicerrt(metrics, chart, dose_node, segmentation_node)
    return chart


def set_axes(chart: Any, title: str, max_gy: float) -> None:
    """Titles, and room for the legend beside the curves, which end at the maximum dose."""
    chart.SetTitle(title)
    chart.SetXAxisTitle(f"Dose [{DOSE_UNIT}]")
    chart.SetYAxisTitle("Fractional volume [%]")
    chart.SetXAxisRangeAuto(False)
    chart.SetXAxisRange(0.0, LEGEND_ROOM * max_gy)
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(0.0, TOP_PERCENT)
    chart.SetLegendFontSize(LEGEND_FONT_SIZE)


def chart_of(dose_node: Any) -> Any:
    """The chart with the DVHs of a predicted dose; None if there is none."""
    return dose_node.GetNodeReference(CHART_ROLE) if dose_node is not None else None


def metrics_of(dose_node: Any) -> Any:
    """The table with the DVH metrics of a predicted dose; None if there is none."""
    return dose_node.GetNodeReference(METRICS_ROLE) if dose_node is not None else None


def remove_histograms(dose_node: Any) -> None:
    """Remove the tables, series and chart that belong to the dose."""
    chart = chart_of(dose_node)
    if chart is not None:
        remove_chart(chart)
    remove_nodes((metrics_of(dose_node), *referred(dose_node, CREATED_ROLE)))
    dose_node.RemoveNodeReferenceIDs(CREATED_ROLE)


def remove_chart(chart: Any) -> None:
    """Remove a chart with its lines and the tables that these are drawn from."""
    series = [one for one in referred(chart, SERIES_ROLE) if one is not None]
    remove_nodes((*(one.GetTableNode() for one in series), *series, chart))


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
    for number, name in enumerate(D_COLUMNS):
        figures[name] = [found.d_gy[number] for found in histograms]
    columns += [(name, numpy_to_vtk(np.array(values, dtype=np.float64), deep=True)) for name, values in figures.items()]
    set_columns(metrics, columns)


def _put_table(number: int, found: Histogram, metrics: Any, dose_node: Any, segmentation_node: Any) -> Any:
    segment_id, scene = found.row.segment_id, slicer.mrmlScene
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(f"{segment_id}_DvhTable"))
    set_columns(table, [("Dose", numpy_to_vtk(found.dose_gy, deep=True)), ("Volume", numpy_to_vtk(found.volume_percent, deep=True))])
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


def add_to_chart(chart: Any, series: Any) -> None:
    """Show a series in the chart and file it under the chart in the hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.CreateItem(hierarchy.GetItemByDataNode(chart), series)
    chart.AddAndObserveNodeReferenceID(SERIES_ROLE, series.GetID())
    chart.AddAndObservePlotSeriesNodeID(series.GetID())


def _add_band(chart: Any, found: Histogram) -> None:
    """The band behind the lines, in which 80 % of the sampled plans lie; nothing where none were drawn."""
    if found.band_percent is not None:
        series = put_series(found.row.name, found.row.colour, put_band(found.row.segment_id, found.dose_gy, found.band_percent))
        add_to_chart(chart, series)
        tint(series)


def put_series(name: str, colour: tuple[float, float, float], table: Any) -> Any:
    """A solid line of volumes over doses from a DVH table."""
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    series.SetAttribute(DVH_ATTRIBUTE, "1")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("Dose")
    series.SetYColumnName("Volume")
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleSolid)
    series.SetLineWidth(2.0)
    series.SetColor(*colour)
    return series


def _refer_for_slicerrt(metrics: Any, chart: Any, dose_node: Any, segmentation_node: Any) -> None:
    """Where SlicerRT is installed, the node that its DVH module works from."""
    if not hasattr(slicer, "vtkMRMLDoseVolumeHistogramNode"):
        return
    scene, class_name = slicer.mrmlScene, "vtkMRMLDoseVolumeHistogramNode"
    node = scene.GetFirstNodeByClass(class_name) or scene.AddNewNodeByClass(class_name)
    for role, referred_node in ((DOSE_ROLE, dose_node), (SEGMENTATION_ROLE, segmentation_node), (METRICS_ROLE, metrics), (CHART_ROLE, chart)):
        node.SetNodeReferenceID(role, referred_node.GetID())


def set_columns(table_node: Any, columns: list[tuple[str, Any]]) -> None:
    """Give a table node these columns and no others."""
    with slicer.util.NodeModify(table_node):
        table_node.RemoveAllColumns()
        for name, values in columns:
            values.SetName(name)
            table_node.AddColumn(values)
