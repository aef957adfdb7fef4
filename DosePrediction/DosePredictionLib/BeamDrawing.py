"""The beams drawn in the slice and 3-D views: a model node a beam, in one folder of the subject hierarchy."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from slicer.i18n import tr as _

from dose_prediction.case import Arc, Beam

from .BeamShapes import beam_lines
from .NodeRemoval import remove_nodes

# Attribute of each model node: its number among the beams; of the folder: that it is theirs.
NUMBER_ATTRIBUTE = "DosePrediction.BeamNumber"
FOLDER_ATTRIBUTE = "DosePrediction.Beams"
FIELD_COLOUR, ARC_COLOUR = (1.0, 0.85, 0.1), (1.0, 0.55, 0.1)


def draw_beams(beams: tuple[tuple[str, Beam | Arc], ...], isocentre_mm: tuple[float, float, float], targets_mm: NDArray[np.float64]) -> None:
    """Have just these beams, each with its name, drawn in the scene."""
    nodes = drawn_beams()
    _remove(nodes[len(beams) :])
    folder = _folder()
    for number, (name, beam) in enumerate(beams):
        node = nodes[number] if number < len(nodes) else _new_model(number, folder)
        node.SetName(name)
        node.GetDisplayNode().SetColor(*(ARC_COLOUR if isinstance(beam, Arc) else FIELD_COLOUR))
        node.SetAndObservePolyData(_polydata(beam_lines(beam, isocentre_mm, targets_mm)))


def remove_drawn_beams() -> None:
    """Take the beams and their folder out of the scene, if they are in it."""
    _remove(drawn_beams())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = _existing_folder(hierarchy)
    if folder:
        hierarchy.RemoveItem(folder)


def drawn_beams() -> list[Any]:
    """The model nodes, in the order of the beams."""
    nodes = [node for node in slicer.util.getNodesByClass("vtkMRMLModelNode") if node.GetAttribute(NUMBER_ATTRIBUTE)]
    return sorted(nodes, key=lambda node: int(node.GetAttribute(NUMBER_ATTRIBUTE)))


def _remove(models: list[Any]) -> None:
    for model in models:
        remove_nodes((model.GetDisplayNode(), model))


def _new_model(number: int, folder: int) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    node.SetAttribute(NUMBER_ATTRIBUTE, str(number))
    node.SetSaveWithScene(False)  # drawn anew from the beams when the scene is loaded
    node.SetSelectable(False)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetLighting(False)
    display.SetLineWidth(2)
    display.SetVisibility2D(True)
    display.SetSliceDisplayModeToProjection()
    display.SetSliceIntersectionThickness(2)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node), folder)
    return node


def _folder() -> int:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    folder = _existing_folder(hierarchy)
    if not folder:
        folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), _("Beam directions"))
        hierarchy.SetItemAttribute(folder, FOLDER_ATTRIBUTE, "1")
    return folder


def _existing_folder(hierarchy: Any) -> int:
    """0 if there is none."""
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    found = (items.GetId(index) for index in range(items.GetNumberOfIds()))
    return next((item for item in found if hierarchy.GetItemAttribute(item, FOLDER_ATTRIBUTE)), 0)


def _polydata(lines: list[NDArray[np.float64]]) -> Any:
    """The lines (LPS) as polydata in RAS."""
    points, cells = vtk.vtkPoints(), vtk.vtkCellArray()
    for line in lines:
        cells.InsertNextCell(len(line))
        for left, posterior, superior in line:
            cells.InsertCellPoint(points.InsertNextPoint(-left, -posterior, superior))
    polydata = vtk.vtkPolyData()
    polydata.SetPoints(points)
    polydata.SetLines(cells)
    return polydata
