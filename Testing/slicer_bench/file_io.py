"""`slicer.app.coreIOManager()`: reads and writes nodes and scenes with the real storage nodes."""

from __future__ import annotations

import os
from typing import Any

import slicer
from PySide6 import QtCore

_BY_EXTENSION = {
    "SegmentationFile": (".seg.nrrd", ".seg.nhdr"),
    "SceneFile": (".mrb", ".mrml"),
    "VolumeFile": (".nrrd", ".nhdr", ".mha", ".mhd", ".nii", ".nii.gz", ".dcm"),
    "MarkupsFile": (".mrk.json",),
    "ModelFile": (".vtk", ".vtp", ".stl", ".ply", ".obj"),
    "TransformFile": (".h5", ".tfm"),
    "TableFile": (".csv", ".tsv"),
    "ColorTableFile": (".ctbl",),
    "TextFile": (".txt",),
}
_NODE_CLASS = {
    "SegmentationFile": "vtkMRMLSegmentationNode",
    "MarkupsFile": "vtkMRMLMarkupsFiducialNode",
    "ModelFile": "vtkMRMLModelNode",
    "TransformFile": "vtkMRMLTransformNode",
    "TableFile": "vtkMRMLTableNode",
    "ColorTableFile": "vtkMRMLColorTableNode",
    "TextFile": "vtkMRMLTextNode",
}


class FileIO(QtCore.QObject):
    """Stand-in of qSlicerCoreIOManager."""

    def fileType(self, path: str) -> str:
        name = os.path.basename(path).lower()
        for kind, extensions in _BY_EXTENSION.items():
            if name.endswith(extensions):
                return kind
        return "NoFile"

    def fileWriterFileType(self, node: Any, extension: str = "") -> str:
        return next(
            (kind for kind, class_name in _NODE_CLASS.items() if node.IsA(class_name)), "VolumeFile" if node.IsA("vtkMRMLVolumeNode") else "NoFile"
        )

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any = None, messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if not os.path.isfile(path):
            return False
        if kind == "SceneFile":
            return self._load_scene(path, bool(properties.get("clear", False)))
        name = properties.get("name") or os.path.basename(path).split(".")[0]
        if kind == "VolumeFile":
            options = 1 if properties.get("labelmap") else 0
            node = slicer.modules.volumes.logic().AddArchetypeVolume(path, name, options)
        elif kind in _NODE_CLASS:
            node = self._read(_NODE_CLASS[kind], path, name)
        else:
            return False
        if node is not None and loaded is not None:
            loaded.AddItem(node)
        return node is not None

    def _read(self, node_class: str, path: str, name: str) -> Any:
        scene = slicer.mrmlScene
        node = scene.AddNewNodeByClass(node_class, name)
        storage = node.CreateDefaultStorageNode()
        storage.UnRegister(None)
        scene.AddNode(storage)
        storage.SetFileName(path)
        if not storage.ReadData(node):
            scene.RemoveNode(node)
            scene.RemoveNode(storage)
            return None
        node.SetAndObserveStorageNodeID(storage.GetID())
        if hasattr(node, "CreateDefaultDisplayNodes"):
            node.CreateDefaultDisplayNodes()
        return node

    def _load_scene(self, path: str, clear: bool) -> bool:
        scene = slicer.mrmlScene
        if path.lower().endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear))
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())

    def saveNodes(self, kind: str, properties: dict[str, Any], messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile" or path.lower().endswith(_BY_EXTENSION["SceneFile"]):
            return self.saveScene(path)
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(int(properties["useCompression"]))
        return bool(storage.WriteData(node))

    def saveScene(self, path: str, screenshot: Any = None) -> bool:
        if path.lower().endswith(".mrb"):
            return bool(slicer.mrmlScene.WriteToMRB(path))
        slicer.mrmlScene.SetURL(path)
        return bool(slicer.mrmlScene.Commit())
