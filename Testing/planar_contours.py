"""Segmentations of planar contours as a reader of RTSTRUCT leaves them: closed lines in real segments, and no other representation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from dose_prediction.case import Grid
from dose_prediction.contours import outlines


def contours_of_mask(mask: NDArray[np.bool_], grid: Grid) -> list[NDArray[np.float64]]:
    """The outlines of a mask (z, y, x) in LPS mm."""
    found = []
    for index in np.flatnonzero(mask.any(axis=(1, 2))):
        for polygon in outlines(mask[index]):
            found.append(grid.world_from_index(np.column_stack([np.full(len(polygon), index), polygon[:, ::-1]])))
    return found


def contour_segmentation(contours: Mapping[str, list[NDArray[np.float64]]]) -> Any:
    """A segmentation node whose segments have these contours, each (n, 3) in LPS mm."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RTSTRUCT")
    node.CreateDefaultDisplayNodes()
    node.GetSegmentation().SetSourceRepresentationName("Planar contour")
    for name, loops in contours.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.AddRepresentation("Planar contour", _closed_lines(loops))
        node.GetSegmentation().AddSegment(segment)
    return node


def _closed_lines(loops: list[NDArray[np.float64]]) -> vtk.vtkPolyData:
    """The loops in RAS, the first corner of each repeated at its end, as SlicerRT has them."""
    points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
    for loop in loops:
        ids = [points.InsertNextPoint(-x, -y, z) for x, y, z in loop]
        lines.InsertNextCell(len(ids) + 1, [*ids, ids[0]])
    outlines_of_segment = vtk.vtkPolyData()
    outlines_of_segment.SetPoints(points)
    outlines_of_segment.SetLines(lines)
    return outlines_of_segment
