"""`slicer.ScriptedLoadableModule` and `slicer.i18n`, and loading a scripted module as Slicer loads it."""

from __future__ import annotations

import importlib.util
import sys
import types
import unittest
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from . import pythonqt
from .qmrml_widgets import qMRMLWidget
from .widget_properties import stored

loaded: list[str] = []  # names of the scripted modules that `slicer.modules` has
entered: set[str] = set()  # names of those whose panel the user is in


class LoadableModule(QtCore.QObject):
    """What Slicer hands to the module's constructor, to be filled in; `slicer.modules.<name>` afterwards."""

    name = stored(str, "")
    title = stored(str, "")
    path = stored(str, "")
    categories = stored("QStringList", [])
    dependencies = stored("QStringList", [])
    contributors = stored("QStringList", [])
    associatedNodeTypes = stored("QStringList", [])
    helpText = stored(str, "")
    acknowledgementText = stored(str, "")
    icon = stored(QtGui.QIcon, QtGui.QIcon())
    hidden = stored(bool, False)
    index = stored(int, -1)
    widgetRepresentationCreationEnabled = stored(bool, True)

    def __init__(self, name: str, path: str) -> None:
        super().__init__()
        self.name, self.title, self.path = name, name, path
        self._representation: QtWidgets.QWidget | None = None
        self._logic = slicer.vtkSlicerScriptedLoadableModuleLogic()

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> Any:
        if self._representation is None:
            self._representation = create_widget(self.name)
        return self._representation

    def forget_representation(self) -> None:
        self._representation = None


class ScriptedLoadableModule:
    """Base of the module class: metadata goes to `parent`."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title, parent.categories, parent.dependencies = "", [], []
        parent.contributors, parent.helpText, parent.acknowledgementText = [], "", ""

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        return ""

    def runTest(self, msec: int = 100, **_kwargs: Any) -> None:
        module = sys.modules[type(self).__module__]
        test_class = getattr(module, f"{self.moduleName}Test")
        test = test_class()
        test.messageDelay = msec
        test.runTest()


class ScriptedLoadableModuleWidget:
    """Base of the panel; without a parent it makes its own, as Slicer's does."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.logic: Any = None
        if parent is None:
            parent = pythonqt.to_python(_panel())
            parent.setMRMLScene(slicer.mrmlScene)
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None:
        """The developer's section is not made on the bench."""

    def cleanup(self) -> None:
        """To be overridden."""

    def enter(self) -> None:
        """To be overridden."""

    def exit(self) -> None:
        """To be overridden."""

    def onReload(self) -> None:
        reload_module(self.moduleName)

    def onReloadAndTest(self, **kwargs: Any) -> None:
        self.onReload()
        getattr(slicer.modules, f"{self.moduleName}Instance").runTest(**kwargs)


class ScriptedLoadableModuleLogic:
    """Base of the logic, with Slicer's handling of the parameter node."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        nodes = self.getAllParameterNodes()
        return nodes[0] if nodes else self.createParameterNode()

    def getAllParameterNodes(self) -> list[Any]:
        return [node for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode") if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return slicer.mrmlScene.AddNode(node)


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of the module's self-test."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.messageDelay = 0
        self.enableScreenshots = 0

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        slicer.util.delayDisplay(message, requestedDelay or self.messageDelay)

    def takeScreenshot(self, name: str, description: str = "", type: int = -1) -> None:
        """No screenshot is kept on the bench."""

    def runTest(self) -> None:
        raise NotImplementedError(f"{self.__class__.__name__} does not say which tests it runs")


class ModulePanel(qMRMLWidget):
    """What Slicer hands to the panel's constructor."""

    isEntered = stored(bool, False)


def _panel() -> ModulePanel:
    panel = ModulePanel()
    QtWidgets.QVBoxLayout(panel)
    return panel


def load_module(path: Path) -> Any:
    """Loads the scripted module at `path` as Slicer does at its start; returns `slicer.modules.<name>`."""
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    qt_module = LoadableModule(name, str(path))
    module = pythonqt.to_python(qt_module)
    setattr(slicer.modules, name.lower(), module)
    python_module = _execute(name, path)
    instance = getattr(python_module, name)(module)
    setattr(slicer.modules, f"{name}Instance", instance)
    if name not in loaded:
        loaded.append(name)
    return module


def _execute(name: str, path: Path) -> types.ModuleType:
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no scripted module at {path}")
    python_module = importlib.util.module_from_spec(specification)
    sys.modules[name] = python_module
    specification.loader.exec_module(python_module)
    return python_module


def create_widget(name: str) -> QtWidgets.QWidget:
    """Makes the module's panel and runs its `setup`; the Python widget is `slicer.modules.<name>Widget`."""
    panel = _panel()
    panel.isEntered = name in entered
    parent = pythonqt.to_python(panel)
    parent.setMRMLScene(slicer.mrmlScene)
    widget = getattr(sys.modules[name], f"{name}Widget")(parent)
    setattr(slicer.modules, f"{name}Widget", widget)
    widget.setup()
    panel._scripted_widget = widget
    return panel


def enter_widget(name: str) -> Any:
    """Tells the module's panel that the user has come to it; returns the Python widget."""
    widget = getattr(slicer.modules, f"{name}Widget")
    entered.add(name)
    widget.parent.isEntered = True
    widget.enter()
    return widget


def close_widget(name: str) -> None:
    """Leaves and cleans up the module's panel, as Slicer does when it closes."""
    widget = getattr(slicer.modules, f"{name}Widget", None)
    if widget is not None:
        entered.discard(name)
        widget.exit()
        _remove_widget(name, widget)


def _remove_widget(name: str, widget: Any) -> None:
    module = getattr(slicer.modules, name.lower())
    widget.cleanup()
    delattr(slicer.modules, f"{name}Widget")
    panel = pythonqt.to_qt(widget.parent)
    module.forget_representation()
    for child in panel.findChildren(QtWidgets.QWidget):
        if hasattr(child, "setMRMLScene"):  # the originals let go of the scene when they are destroyed
            child.setMRMLScene(None)
    panel.deleteLater()


def reload_module(name: str) -> Any:
    """Slicer's "Reload": the module's file is executed again and its panel made anew; neither `exit` nor `enter` is called."""
    path = Path(getattr(slicer.modules, name.lower()).path)
    _remove_widget(name, getattr(slicer.modules, f"{name}Widget"))
    _execute(name, path)
    getattr(slicer.modules, name.lower()).widgetRepresentation()
    return getattr(slicer.modules, f"{name}Widget")


def modules_to_import() -> dict[str, types.ModuleType]:
    """`slicer.ScriptedLoadableModule` and `slicer.i18n` for `sys.modules`."""
    scripted = types.ModuleType("slicer.ScriptedLoadableModule")
    classes = (ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest)
    scripted.__dict__.update({cls.__name__: cls for cls in classes})
    scripted.__dict__["__all__"] = [cls.__name__ for cls in classes]
    i18n = types.ModuleType("slicer.i18n")
    i18n.__dict__.update(tr=lambda text: text, translate=lambda context, text: text, getContext=lambda source: Path(source).stem)
    return {scripted.__name__: scripted, i18n.__name__: i18n}
