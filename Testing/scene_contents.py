"""All that a scene holds, as values that can be compared: whatever node a part of the panel may add is covered without being named here."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import slicer

# Nodes of the application, not of the user: views, layout, cameras and the like stay through a scene's close.
OF_THE_APPLICATION = (
    "vtkMRMLAbstractViewNode",
    "vtkMRMLSliceCompositeNode",
    "vtkMRMLSliceDisplayNode",
    "vtkMRMLCameraNode",
    "vtkMRMLLayoutNode",
    "vtkMRMLSelectionNode",
    "vtkMRMLInteractionNode",
    "vtkMRMLCrosshairNode",
    "vtkMRMLClipNode",
    "vtkMRMLSubjectHierarchyNode",
    "vtkMRMLStorageNode",
    "vtkMRMLUnitNode",
)
MOST_TAGS = 100_000


def nodes() -> list[Any]:
    """The nodes that the user would miss."""
    scene = slicer.mrmlScene
    found = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [
        node for node in found if not any(node.IsA(kind) for kind in OF_THE_APPLICATION) and (node.GetSaveWithScene() or node.IsA("vtkMRMLTableNode"))
    ]


def contents() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Attributes, references, parameters, voxels and cells of every node, by its class and name."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for node in nodes():
        told = {"attributes": _attributes(node), "references": _references(node), "content": _digest(node), "place": _place(node)}
        found.setdefault(_key(node), []).append(told)
    return found


def classes() -> Counter[str]:
    """How many nodes there are of each class, the application's own included."""
    scene = slicer.mrmlScene
    return Counter(scene.GetNthNode(index).GetClassName() for index in range(scene.GetNumberOfNodes()))


def observers(vtk_object: Any) -> int:
    """How many observers an object has: each has a tag of its own, counted up from 1."""
    last = vtk_object.AddObserver("UserEvent", lambda *_: None)
    count = sum(vtk_object.GetCommand(tag) is not None for tag in range(max(1, last - MOST_TAGS), last))
    vtk_object.RemoveObserver(last)
    return count


def _key(node: Any) -> tuple[str, str]:
    return node.GetClassName(), node.GetName() or ""


def _attributes(node: Any) -> dict[str, str]:
    names = node.GetAttributeNames() or ()
    return {name: node.GetAttribute(name) for name in names}


def _references(node: Any) -> dict[str, list[tuple[str, str]]]:
    roles: list[str] = []
    node.GetNodeReferenceRoles(roles)
    found = {}
    for role in roles:
        if role == "storage":
            continue
        referred = [node.GetNthNodeReference(role, number) for number in range(node.GetNumberOfNodeReferences(role))]
        found[role] = [_key(one) for one in referred if one is not None]
    return {role: keys for role, keys in found.items() if keys}


def _place(node: Any) -> tuple[str, ...]:
    """The names of the items above the node in the subject hierarchy."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item, names = hierarchy.GetItemByDataNode(node), []
    while item and item != hierarchy.GetSceneItemID():
        item = hierarchy.GetItemParent(item)
        names.append(hierarchy.GetItemName(item))
    return tuple(names)


def _digest(node: Any) -> Any:
    if node.IsA("vtkMRMLScriptedModuleNode"):
        return {name: node.GetParameter(name) for name in node.GetParameterNames()}
    if node.IsA("vtkMRMLVolumeNode"):
        return hashlib.sha256(slicer.util.arrayFromVolume(node).tobytes()).hexdigest()
    if node.IsA("vtkMRMLTableNode"):
        table = node.GetTable()
        names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
        return [names, *([_cell(table.GetValue(row, column)) for column in range(len(names))] for row in range(table.GetNumberOfRows()))]
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        segments = [segmentation.GetSegment(segment_id) for segment_id in segmentation.GetSegmentIDs()]
        return [(segment.GetName(), tuple(round(part, 3) for part in segment.GetColor())) for segment in segments]
    if node.IsA("vtkMRMLPlotSeriesNode"):
        return node.GetXColumnName(), node.GetYColumnName(), node.GetLineStyle(), tuple(round(part, 3) for part in node.GetColor())
    if node.IsA("vtkMRMLModelNode"):
        return node.GetPolyData().GetNumberOfPoints() if node.GetPolyData() is not None else 0
    if node.IsA("vtkMRMLMarkupsNode"):
        return [tuple(round(value, 3) for value in node.GetNthControlPointPosition(number)) for number in range(node.GetNumberOfControlPoints())]
    return None


def _cell(value: Any) -> Any:
    return round(value.ToDouble(), 4) if value.IsNumeric() else value.ToString()
