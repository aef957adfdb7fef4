"""Volumes that lie over the CT in place of the dose: the spread of the sampled plans, and the difference of two doses."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from dose_prediction.case import Grid

from .ColourTables import DIFFERENCE, SPREAD, Palette, colour_table
from .DoseNode import put_volume

# The window ends where all but so many percent of the shown values lie below it, and not below so many Gy.
OUTSIDE_PERCENT = 0.5
SMALLEST_WINDOW_GY = 1.0
LOWEST_SPREAD_SHOWN = 0.05  # of the window


def put_spread(spread_gy: NDArray[np.float32], grid: Grid, name: str, existing: Any = None) -> Any:
    """The standard deviation of the sampled plans as a volume, or `existing` with it."""
    node = put_volume(spread_gy, grid, name, existing)
    top = _window(spread_gy)
    display = _display(node, SPREAD)
    with slicer.util.NodeModify(display):
        display.SetWindowLevelMinMax(0.0, top)
        display.AutoThresholdOff()
        display.ApplyThresholdOn()
        display.SetThreshold(LOWEST_SPREAD_SHOWN * top, vtk.VTK_FLOAT_MAX)
    return node


def put_difference(difference_gy: NDArray[np.float32], grid: Grid, name: str, existing: Any = None) -> Any:
    """The dose less the one that it is compared with as a volume, or `existing` with it; the colours of small differences are clear."""
    node = put_volume(difference_gy, grid, name, existing)
    top = _window(np.abs(difference_gy))
    display = _display(node, DIFFERENCE)
    with slicer.util.NodeModify(display):
        display.SetWindowLevelMinMax(-top, top)
    return node


def _window(values: NDArray[np.float32]) -> float:
    """A round number of Gy that takes in nearly all values, the many zeros outside the patient aside."""
    shown = values[values > 0]
    found = float(np.percentile(shown, 100 - OUTSIDE_PERCENT)) if shown.size else 0.0
    return max(SMALLEST_WINDOW_GY, float(np.ceil(found)))


def _display(node: Any, palette: Palette) -> Any:
    display = node.GetDisplayNode() or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    display.SetAndObserveColorNodeID(colour_table(palette).GetID())
    display.AutoWindowLevelOff()
    node.SetAndObserveDisplayNodeID(display.GetID())
    return display
