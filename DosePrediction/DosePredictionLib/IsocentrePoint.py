"""The isocentre as a point that the user moves in the views, in place of the centre of the targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from .SceneReader import grid_of_volume

ISOCENTRE_ROLE = "Isocentre"
COLOUR = (1.0, 0.3, 0.9)
Point = tuple[float, float, float]


def add_isocentre_point(at_mm: Point) -> Any:
    """A markups node with one point at `at_mm` (LPS)."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", slicer.mrmlScene.GenerateUniqueName(_("Isocentre")))
    node.CreateDefaultDisplayNodes()
    node.SetMaximumNumberOfControlPoints(1)
    node.GetDisplayNode().SetColor(*COLOUR)
    node.GetDisplayNode().SetSelectedColor(*COLOUR)
    left, posterior, superior = at_mm
    node.AddControlPointWorld(-left, -posterior, superior)
    node.SetNthControlPointLabel(0, _("Isocentre"))
    return node


def point_mm(node: Any) -> Point | None:
    """Where the point is in the world (LPS mm); None if it was removed or not placed."""
    if node is None or node.GetNumberOfDefinedControlPoints() < 1:
        return None
    right, anterior, superior = node.GetNthControlPointPositionWorld(0)
    return -right, -anterior, superior


def isocentre_problem(at_mm: Point | None, ct: Any) -> str:
    """Why no plan on this CT can have its isocentre there, as a sentence; empty if one can."""
    if at_mm is None:
        return ""
    grid = grid_of_volume(ct)
    index = grid.index_from_world(at_mm)
    if np.all(index >= -0.5) and np.all(index <= np.array(grid.shape) - 0.5):
        return ""
    return _("The isocentre lies outside the CT; move its point into the patient, or choose the centre of the targets.")


def point_in_words(at_mm: Point) -> str:
    """The point as Slicer's views tell places: towards right or left, anterior or posterior, superior or inferior."""
    letters = (("R", "L"), ("A", "P"), ("I", "S"))
    return ", ".join(f"{pair[value >= 0]} {abs(value):.1f}" for pair, value in zip(letters, at_mm, strict=True)) + " mm"
