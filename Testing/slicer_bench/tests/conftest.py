"""A small patient for the tests of the bench: a CT with a bright rod, a dose and two structures."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Patient:
    """Nodes of the scene; the dose is 60 Gy in a ball left of the centre and nothing elsewhere."""

    ct: Any
    dose: Any
    segmentation: Any
    chart: Any


@pytest.fixture
def patient(bench: ModuleType) -> Patient:
    import slicer

    z, y, x = np.indices((30, 40, 40))
    ct = np.where((x - 20) ** 2 + (y - 20) ** 2 < 15**2, 0, -1000).astype(np.int16)
    ball = (x - 26) ** 2 + (y - 20) ** 2 + (z - 15) ** 2 < 6**2
    ct_node = _volume("CT", ct)
    ct_node.GetDisplayNode().AutoWindowLevelOff()
    ct_node.GetDisplayNode().SetWindowLevel(2000, 0)
    dose_node = _volume("Dose", np.where(ball, 60, 0).astype(np.float32))
    display = dose_node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeRed")
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0, 60)
    display.SetThreshold(3, 100)
    display.ApplyThresholdOn()
    segmentation_node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Structures")
    segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
    for name, mask, color in (("PTV", ball, (0, 1, 0)), ("External", ct > -500, (0, 0, 1))):
        segment_id = segmentation_node.GetSegmentation().AddEmptySegment(name, name, color)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation_node, segment_id, ct_node)
    return Patient(ct_node, dose_node, segmentation_node, _chart())


def _volume(name: str, array: Any) -> Any:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array)
    node.SetSpacing(5, 5, 5)
    node.SetOrigin(100, 100, -75)
    node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    node.CreateDefaultDisplayNodes()
    return node


def _chart() -> Any:
    import slicer

    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "PTV_DvhTable")
    slicer.util.updateTableFromArray(table, (np.array([0.0, 59.0, 61.0]), np.array([100.0, 100.0, 0.0])), ["Dose", "Volume"])
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", "PTV")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("Dose")
    series.SetYColumnName("Volume")
    series.SetPlotType(series.PlotTypeScatter)
    series.SetMarkerStyle(series.MarkerStyleNone)
    series.SetLineWidth(3)
    series.SetColor(1, 0, 0)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "DvhChart")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetXAxisTitle("Dose [GY]")
    chart.SetYAxisTitle("Fractional volume [%]")
    return chart
