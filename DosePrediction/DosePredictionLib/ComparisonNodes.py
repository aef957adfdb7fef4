"""A comparison in the scene: the difference as a volume, both doses' histograms in one chart, the changes as a table, and gamma as a volume."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import numpy_to_vtk

from dose_prediction.dosimetry import passing_percent

from .DoseComparison import ComparedDoses, ComparisonRequest
from .DoseNode import put_volume
from .DvhTables import Histogram, add_to_chart, put_series, remove_chart, set_axes, set_columns
from .NodeRemoval import remove_nodes
from .OverlayVolumes import put_difference
from .ResultDisplay import DIFFERENCE_ROLE

CHANGES_ROLE, CHART_ROLE, GAMMA_ROLE = "Changes", "PairedChart", "Gamma"
GAMMA_ATTRIBUTE = "DoseComparison.GammaVolume"
PASSING_ATTRIBUTE = "DosePrediction.GammaPassing"
REFERENCE_ROLE, SHOWN_ROLE = "DosePrediction.referenceRef", "DosePrediction.shownRef"
COLUMNS = ("Structure", "Metric", "Reference", "Shown", "Change")


def put_comparison(parameter_node: Any, request: ComparisonRequest, found: ComparedDoses) -> Generator[float, None, None]:
    """Put the comparison into the scene in place of the one before; the parameter node refers to its parts.  Yields the fraction done."""
    remove_comparison(parameter_node)
    yield 0.2
    title = _("{dose} minus {reference}").format(dose=request.dose.GetName(), reference=request.reference.GetName())
    difference = put_difference(found.difference_gy, found.grid, title)
    changes = _put_changes(found, title)
    for node in (difference, changes):
        node.SetNodeReferenceID(SHOWN_ROLE, request.dose.GetID())
        node.SetNodeReferenceID(REFERENCE_ROLE, request.reference.GetID())
        _file_beside(request.dose, node)
    parameter_node.SetNodeReferenceID(DIFFERENCE_ROLE, difference.GetID())
    yield 0.5
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", slicer.mrmlScene.GenerateUniqueName(_("DvhComparison")))
    _file_beside(request.dose, chart)
    with slicer.util.NodeModify(chart):
        set_axes(chart, _("Solid: shown, dashed: reference"), max(one.max_gy for one in (*found.shown, *found.reference)))
        for line_style, histograms in (("Solid", found.shown), ("Dash", found.reference)):
            for one in histograms:
                add_to_chart(chart, _put_line(one, line_style))
    parameter_node.SetNodeReferenceID(CHART_ROLE, chart.GetID())
    yield 0.8
    if found.gamma is not None:
        gamma = put_volume(np.nan_to_num(found.gamma), found.grid, _("{title}: gamma").format(title=title))
        gamma.SetAttribute(GAMMA_ATTRIBUTE, "1")
        sentence = _("{percent} % of the points within the body pass {criteria}.")
        changes.SetAttribute(PASSING_ATTRIBUTE, sentence.format(criteria=found.criteria, percent=f"{passing_percent(found.gamma):.1f}"))
        _file_beside(request.dose, gamma)
        parameter_node.SetNodeReferenceID(GAMMA_ROLE, gamma.GetID())
    parameter_node.SetNodeReferenceID(CHANGES_ROLE, changes.GetID())


def remove_comparison(parameter_node: Any) -> None:
    """Remove all parts of the comparison that the parameter node refers to."""
    chart = parameter_node.GetNodeReference(CHART_ROLE)
    if chart is not None:
        remove_chart(chart)
    remove_nodes(parameter_node.GetNodeReference(role) for role in (DIFFERENCE_ROLE, CHANGES_ROLE, GAMMA_ROLE))


def _put_changes(found: ComparedDoses, name: str) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(name))
    columns = [vtk.vtkStringArray() for _column in COLUMNS]
    for change in found.changes:
        difference = round(change.difference, 1) + 0.0  # no -0.0
        figures = (f"{change.reference:.1f} {change.unit}", f"{change.evaluated:.1f} {change.unit}", f"{difference:+.1f} {change.unit}")
        for column, cell in zip(columns, (change.where, change.metric, *figures), strict=True):
            column.InsertNextValue(cell)
    set_columns(node, list(zip(COLUMNS, columns, strict=True)))
    return node


def _put_line(found: Histogram, line_style: str) -> Any:
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(f"{found.row.segment_id}_DvhComparison"))
    columns = (("Dose", found.dose_gy), ("Volume", found.volume_percent))
    set_columns(table, [(name, numpy_to_vtk(values, deep=True)) for name, values in columns])
    line = put_series(found.row.name, found.row.colour, table)
    if line_style == "Dash":
        line.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleDash)
        line.SetName("")  # each structure is named once in the legend, for the dose that is shown
    return line


def _file_beside(dose_node: Any, node: Any) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.CreateItem(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(dose_node)), node)
