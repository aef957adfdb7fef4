"""`slicer.modules`: the real logics of Slicer's own modules, and the scripted modules that the bench has loaded."""

from __future__ import annotations

import tempfile
from typing import Any

import slicer
import vtk

# Colors before Volumes and Segmentations, which look it up when they get the scene.
_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Models": "vtkSlicerModelsLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Sequences": "vtkSlicerSequencesLogic",
}


class LogicModule:
    """A module of which only the logic is there."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name, self.title, self.path = name, name, ""
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


class ModuleRegistry:
    """One attribute for each module, in lower case; a module that is not there raises AttributeError, as in Slicer."""

    def __init__(self, scene: Any, application_logic: Any) -> None:
        # Terminologies are not in slicer-core, and their logic says so at length.
        warnings_shown = vtk.vtkObject.GetGlobalWarningDisplay()
        vtk.vtkObject.GlobalWarningDisplayOff()
        for name, class_name in _LOGICS.items():
            logic = getattr(slicer, class_name)()
            application_logic.SetModuleLogic(name, logic)
            logic.SetMRMLApplicationLogic(application_logic)
            logic.SetMRMLScene(scene)
            setattr(self, name.lower(), LogicModule(name, logic))
        vtk.vtkObject.SetGlobalWarningDisplay(warnings_shown)
        self._keep = _data_io(scene, application_logic)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"module 'modules' has no attribute {name!r}")


def _data_io(scene: Any, application_logic: Any) -> tuple[Any, ...]:
    """What reading an .mrb file needs; to be kept as long as the scene."""
    cache = tempfile.TemporaryDirectory(prefix="slicer-bench-cache-")
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLScene(scene)
    remote.SetMRMLApplicationLogic(application_logic)
    remote.GetCacheManager().SetRemoteCacheDirectory(cache.name)
    manager = slicer.vtkDataIOManagerLogic()
    manager.SetMRMLScene(scene)
    manager.SetMRMLApplicationLogic(application_logic)
    manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.AddDataIOToScene()
    return remote, manager, cache
