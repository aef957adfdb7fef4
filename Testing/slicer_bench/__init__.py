"""A bench for the Slicer module without Slicer: `start()`, then `slicer`, `qt` and `ctk` can be imported.

The scene, its nodes and logics, `slicer.util` and all drawing are Slicer's own (slicer-core), the widgets are Qt's own (PySide6);
what is missing between them - PythonQt, ctk and qMRML widgets, the application - is stood in for by the files here, each named for it.
"""

from __future__ import annotations

import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["close_modules", "load_module", "new_scene", "picture", "show_module", "start", "wait_until"]

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "DosePrediction"
_started = False
_main_window: Any = None
_subject_hierarchy: Any = None


def start() -> None:
    """Makes `slicer`, `qt` and `ctk` usable in this process; a second call does nothing."""
    global _main_window, _started, _subject_hierarchy
    if _started:
        return
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    if "PySide6" in sys.modules:
        raise RuntimeError("PySide6 is already imported: start the bench first, it sets how enumerators behave")
    os.environ["PYSIDE6_OPTION_PYTHON_ENUM"] = "3"  # integers, as in PythonQt
    slicer = _import_slicer()
    from . import application, message_recorder, pythonqt, pythonqt_signals, scripted_module
    from .ctk_widgets import CTK_WIDGETS
    from .module_registry import ModuleRegistry
    from .qmrml_plot_view import qMRMLPlotView
    from .qmrml_subject_hierarchy import qMRMLSubjectHierarchyTreeView
    from .qmrml_widgets import QMRML_WIDGETS
    from .subject_hierarchy import SubjectHierarchyPlugins
    from .ui_files import UiLoader
    from .window import MainWindow

    qmrml_widgets = QMRML_WIDGETS | {widget.__name__: widget for widget in (qMRMLPlotView, qMRMLSubjectHierarchyTreeView)}
    custom_widgets = CTK_WIDGETS | qmrml_widgets

    class QUiLoader(UiLoader):
        def __init__(self, parent: Any = None) -> None:
            super().__init__(custom_widgets, parent)

    qt_module = pythonqt.QtModule("qt")
    qt_module.__dict__["QUiLoader"] = pythonqt.wrapped_class(QUiLoader)
    ctk_module = types.ModuleType("ctk")
    ctk_module.__dict__.update({name: pythonqt.wrapped_class(widget) for name, widget in CTK_WIDGETS.items()})
    sys.modules.update({"qt": qt_module, "ctk": ctk_module})
    for name, widget in qmrml_widgets.items():
        setattr(slicer, name, pythonqt.wrapped_class(widget))
    for name, module in scripted_module.modules_to_import().items():
        sys.modules[name] = module
        setattr(slicer, name.split(".")[1], module)

    qt_application = application.SlicerApplication()
    scene, logic = application.new_scene(qt_application.home)
    slicer.mrmlScene, slicer.app = scene, pythonqt.to_python(qt_application)
    slicer.modules = ModuleRegistry(scene, logic)
    qt_application.set_up(scene, logic)
    _subject_hierarchy = SubjectHierarchyPlugins(scene)
    _main_window = MainWindow(qt_application.layoutManager())
    message_recorder.install()
    sys.excepthook = pythonqt_signals.report_exception
    _started = True


def _import_slicer() -> Any:
    # slicer-core imports every module it finds in folders named "slicer" on the path: a folder of tests of that name is none of them.
    path = list(sys.path)
    sys.path[:] = [
        entry for entry in path if not (Path(entry or ".") / "slicer").is_dir() or (Path(entry or ".") / "slicer" / "__init__.py").is_file()
    ]
    import slicer

    sys.path[:] = path
    return slicer


def new_scene() -> None:
    """Closes the scene, parameter nodes of scripted modules and the layout included, and forgets messages and slot errors."""
    import slicer

    from . import message_recorder, pythonqt_signals

    slicer.mrmlScene.Clear(0)
    for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        slicer.mrmlScene.RemoveNode(node)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    slicer.app.processEvents()
    _delete_what_waits_for_it()
    message_recorder.clear()
    pythonqt_signals.slot_errors.clear()


def _delete_what_waits_for_it() -> None:
    """Qt deletes what `deleteLater` was called for when its event loop is back in control, which never happens here."""
    from PySide6 import QtCore

    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)


def load_module(name: str = "DosePrediction", folder: Path = MODULE_FOLDER) -> Any:
    """Loads the scripted module `name`, as Slicer does at its start; returns `slicer.modules.<name>`."""
    start()
    from . import scripted_module

    return scripted_module.load_module(folder / f"{name}.py")


def picture(path: Path, layout: int | None = None, size: tuple[int, int] = (1600, 1000)) -> None:
    """Writes a picture of the whole window as PNG; without `layout`, with the 3-D view, the chart and the three slice views."""
    from . import window

    window.picture(path, layout, size)


def show_module(name: str = "DosePrediction") -> Any:
    """Opens the module's panel and enters it, as a user does; returns the scripted widget."""
    import slicer

    from . import pythonqt, scripted_module

    if not hasattr(slicer.modules, name.lower()):
        load_module(name)
    module = getattr(slicer.modules, name.lower())
    _main_window.show_panel(name, module.title, pythonqt.to_qt(module.widgetRepresentation()))
    widget = scripted_module.enter_widget(name)
    slicer.app.processEvents()
    return widget


def close_modules() -> None:
    """Closes the panel of every module that `load_module` has loaded, as Slicer does when it ends."""
    import slicer

    from . import scripted_module

    for name in scripted_module.loaded:
        scripted_module.close_widget(name)
    slicer.app.processEvents()


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Runs the event loop until `condition()` holds; raises TimeoutError after `timeout_s`."""
    from PySide6 import QtCore

    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{condition!r} did not hold within {timeout_s} s")
        QtCore.QCoreApplication.processEvents(QtCore.QEventLoop.AllEvents, 20)
        time.sleep(0.002)
