"""Keeps the subject hierarchy in step with the scene, as the plugins of Slicer's Subject Hierarchy module do.

The items of single segments are not made.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk

_PLUGIN_BY_CLASS = {
    "vtkMRMLLabelMapVolumeNode": "LabelMaps",
    "vtkMRMLVolumeNode": "Volumes",
    "vtkMRMLSegmentationNode": "Segmentations",
    "vtkMRMLModelNode": "Models",
    "vtkMRMLMarkupsNode": "Markups",
    "vtkMRMLTableNode": "Tables",
    "vtkMRMLTextNode": "Texts",
    "vtkMRMLTransformNode": "Transforms",
    "vtkMRMLPlotChartNode": "Plots",
    "vtkMRMLPlotSeriesNode": "Plots",
}


class SubjectHierarchyPlugins:
    """Makes an item for each data node that is added, removes it with its node, and names the owner that an item asks for."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._observed: Any = None
        scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._node_added)
        scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._node_removed)
        scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, self._import_ended)
        scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, lambda *_: self._hierarchy())
        self._hierarchy()

    def _hierarchy(self) -> Any:
        """The one hierarchy of the scene, made anew after the scene was closed, merged with the one of an imported scene."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self._scene)
        if hierarchy is not self._observed:
            self._observed = hierarchy
            hierarchy.AddObserver(hierarchy.SubjectHierarchyItemOwnerPluginSearchRequested, self._owner_wanted)
        return hierarchy

    def _add(self, node: Any) -> None:
        plugin = _plugin_of(node)
        if not plugin or node.GetHideFromEditors():
            return
        hierarchy = self._hierarchy()
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.SetItemOwnerPluginName(hierarchy.CreateItem(hierarchy.GetSceneItemID(), node), plugin)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_added(self, scene: Any, event: str, node: Any) -> None:
        if node.IsA("vtkMRMLSubjectHierarchyNode"):
            self._hierarchy()
        elif not scene.IsImporting():
            self._add(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _node_removed(self, scene: Any, event: str, node: Any) -> None:
        if scene.IsClosing() or not _plugin_of(node):
            return
        hierarchy = self._hierarchy()
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _import_ended(self, scene: Any, event: str) -> None:
        for index in range(scene.GetNumberOfNodes()):
            self._add(scene.GetNthNode(index))

    @vtk.calldata_type(vtk.VTK_LONG)
    def _owner_wanted(self, hierarchy: Any, event: str, item: int) -> None:
        node = hierarchy.GetItemDataNode(item)
        plugin = _plugin_of(node) if node is not None else ""
        if plugin:
            hierarchy.SetItemOwnerPluginName(item, plugin)


def _plugin_of(node: Any) -> str:
    return next((plugin for class_name, plugin in _PLUGIN_BY_CLASS.items() if node.IsA(class_name)), "")
