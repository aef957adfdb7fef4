"""Isodose lines in the slices and isodose surfaces in 3-D: one model a dose, laid out as SlicerRT's Isodose module lays it out."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from .ColourTables import COUNT, DOSE, WINDOW_TOP, Colour, fill_table, new_table
from .NodeRemoval import remove_nodes

MODEL_ATTRIBUTE = "DicomRtImport.IsodoseModel"
SCALARS = "isolevels"
COLOURS_ROLE = "colorTableRef"
MODEL_ROLE = "DosePrediction.isodoseRef"

DEFAULT_PERCENTS = (105.0, 100.0, 95.0, 80.0, 50.0, 30.0)
MOST_PERCENT = 200.0
SURFACE_OPACITY = 0.25
LINE_WIDTH = 2
# Isodoses are drawn on voxels of at least this size: the dose has no finer detail, and a CT of 512 x 512 voxels takes a quarter of the time.
FINEST_MM = 1.5


@dataclass(frozen=True)
class IsodoseLevel:
    """A level in percent of the highest prescription, and whether it is drawn."""

    percent: float
    is_shown: bool = True

    @property
    def colour(self) -> Colour:
        """The colour of the dose wash at this level, so that lines and wash agree."""
        return DOSE.at(self.percent / 100 / WINDOW_TOP)[:3]


DEFAULT_LEVELS = tuple(IsodoseLevel(percent) for percent in DEFAULT_PERCENTS)


def levels_as_text(levels: tuple[IsodoseLevel, ...]) -> str:
    """The levels as the parameter node keeps them."""
    return json.dumps([[level.percent, level.is_shown] for level in levels])


def levels_from_text(text: str) -> tuple[IsodoseLevel, ...]:
    """The levels that `levels_as_text` wrote."""
    return tuple(IsodoseLevel(float(percent), bool(is_shown)) for percent, is_shown in json.loads(text))


def isodose_model(dose_node: Any) -> Any:
    """The model with the isodoses of a dose; None if there is none."""
    return dose_node.GetNodeReference(MODEL_ROLE)


def put_isodoses(dose_node: Any, prescription_gy: float, levels: tuple[IsodoseLevel, ...]) -> Generator[float, None, Any]:
    """Draw the levels that are shown, in place of those drawn before: one level a step.  Yields the fraction done and returns the model node."""
    levels_gy = [level.percent / 100 * prescription_gy for level in levels]
    image = _sampled(dose_node)
    to_ras = vtk.vtkMatrix4x4()
    dose_node.GetIJKToRASMatrix(to_ras)
    together = vtk.vtkAppendPolyData()
    for number, (level, level_gy) in enumerate(zip(levels, levels_gy, strict=True), start=1):
        if level.is_shown:
            together.AddInputData(_surface(image, level_gy, to_ras))
        yield 0.9 * number / len(levels)
    surface = vtk.vtkPolyData()
    if together.GetNumberOfInputConnections(0):
        together.Update()
        surface.ShallowCopy(together.GetOutput())
    model = isodose_model(dose_node) or _new_model(dose_node)
    model.SetAndObservePolyData(surface)
    _colour(dose_node, levels, levels_gy)
    return model


def remove_isodoses(dose_node: Any) -> None:
    """Remove the model and its colour tables."""
    level_table = dose_node.GetNodeReference(COLOURS_ROLE)
    dose_table = level_table.GetNodeReference(COLOURS_ROLE) if level_table is not None else None
    remove_nodes((isodose_model(dose_node), level_table, dose_table))


def show_isodoses(dose_node: Any, lines: bool, surfaces: bool) -> None:
    """Lines in the slices and surfaces in 3-D, on or off."""
    model = isodose_model(dose_node)
    if model is None:
        return
    display = model.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetVisibility(lines or surfaces)
        display.SetVisibility2D(lines)
        display.SetVisibility3D(surfaces)


def _sampled(dose_node: Any) -> Any:
    """The dose at every n-th voxel of an axis, so that voxels are no finer than `FINEST_MM`, in the coordinates of the volume's indices."""
    every = [max(1, int(FINEST_MM / spacing)) for spacing in dose_node.GetSpacing()]
    sampler = vtk.vtkExtractVOI()
    sampler.SetInputData(dose_node.GetImageData())
    sampler.SetVOI(dose_node.GetImageData().GetExtent())
    sampler.SetSampleRate(every)
    sampler.Update()
    return sampler.GetOutput()


def _surface(image: Any, level_gy: float, to_ras: Any) -> Any:
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, level_gy)
    edges.ComputeScalarsOff()
    transform = vtk.vtkTransform()
    transform.SetMatrix(to_ras)
    placed = vtk.vtkTransformPolyDataFilter()
    placed.SetInputConnection(edges.GetOutputPort())
    placed.SetTransform(transform)
    placed.Update()
    surface = placed.GetOutput()
    scalars = numpy_to_vtk(np.full(surface.GetNumberOfPoints(), level_gy, np.float32), deep=True)
    scalars.SetName(SCALARS)
    surface.GetPointData().SetScalars(scalars)
    return surface


def _new_model(dose_node: Any) -> Any:
    """The model, child of the dose in the hierarchy, with its two colour tables: the names of the first are the levels, the second colours by Gy."""
    scene, name = slicer.mrmlScene, dose_node.GetName()
    model = scene.AddNewNodeByClass("vtkMRMLModelNode", scene.GenerateUniqueName(f"{name}_IsodoseLevels"))
    model.SetAttribute(MODEL_ATTRIBUTE, "1")
    level_table = new_table(scene.GenerateUniqueName(f"{name}_IsodoseColorTable"), [])
    dose_table = new_table(scene.GenerateUniqueName(f"{name}_DoseColorTable"), [])
    level_table.SetNodeReferenceID(COLOURS_ROLE, dose_table.GetID())
    dose_node.SetNodeReferenceID(COLOURS_ROLE, level_table.GetID())
    dose_node.SetNodeReferenceID(MODEL_ROLE, model.GetID())
    model.CreateDefaultDisplayNodes()
    display = model.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(dose_table.GetID())
        display.SetActiveScalarName(SCALARS)
        display.SetScalarVisibility(True)
        display.SetScalarRangeFlag(display.UseColorNodeScalarRange)
        display.SetSliceIntersectionThickness(LINE_WIDTH)
        display.SetOpacity(SURFACE_OPACITY)
        display.SetBackfaceCulling(False)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    hierarchy.CreateItem(hierarchy.GetItemByDataNode(dose_node), model)
    if hasattr(slicer, "vtkMRMLIsodoseNode"):
        node = scene.GetFirstNodeByClass("vtkMRMLIsodoseNode") or scene.AddNewNodeByClass("vtkMRMLIsodoseNode")
        node.SetNodeReferenceID("doseVolumeRef", dose_node.GetID())
        node.SetNodeReferenceID("isosurfacesModelRef", model.GetID())
    return model


def _colour(dose_node: Any, levels: tuple[IsodoseLevel, ...], levels_gy: list[float]) -> None:
    """Fill both colour tables."""
    shown = sorted((gy, level.colour) for level, gy in zip(levels, levels_gy, strict=True) if level.is_shown)
    level_table = dose_node.GetNodeReference(COLOURS_ROLE)
    fill_table(level_table, [(f"{gy:g}", (*colour, 1.0)) for gy, colour in shown])
    if not shown:
        return
    dose_table = level_table.GetNodeReference(COLOURS_ROLE)
    doses, top = np.array([gy for gy, _colour in shown]), shown[-1][0]
    nearest = [shown[int(np.argmin(np.abs(doses - top * index / (COUNT - 1))))][1] for index in range(COUNT)]
    fill_table(dose_table, [(f"{top * index / (COUNT - 1):.1f}", (*colour, 1.0)) for index, colour in enumerate(nearest)])
    dose_table.GetLookupTable().SetRange(0.0, top)
