"""`slicer.app`: a real QApplication with the parts of qSlicerApplication that modules ask for."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from .file_io import FileIO
from .layout_manager import LayoutManager


class CommandOptions(QtCore.QObject):
    """What Slicer was started with: nothing, in testing mode."""

    testingEnabled = Property(bool, lambda self: True)
    noMainWindow = Property(bool, lambda self: False)
    noSplash = Property(bool, lambda self: True)


class SlicerApplication(QtWidgets.QApplication):
    """The application object; its folder for settings and temporary files goes when the process ends."""

    startupCompleted = Signal()
    mrmlSceneChanged = Signal(object, arguments=["vtkMRMLScene*"])

    def __init__(self) -> None:
        QtCore.qInstallMessageHandler(_show_message)
        super().__init__(["Slicer"])
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-bench-")
        self.home = Path(self._folder.name)
        self.setApplicationName("Slicer")
        self.setOrganizationName("slicer-bench")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        for scope in (QtCore.QSettings.UserScope, QtCore.QSettings.SystemScope):
            QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, scope, str(self.home / "settings"))
        _use_readable_font(self)
        self._add_python_slicer()
        self._scene: Any = None
        self._logic: Any = None
        self._layout_manager: LayoutManager | None = None
        self._file_io = FileIO(self)
        self._render_pauses = 0
        self._options = CommandOptions(self)

    def _add_python_slicer(self) -> None:
        # Slicer has its interpreter, PythonSlicer, on the PATH; a virtual environment's must keep its own name to find its packages.
        programs = self.home / "bin"
        programs.mkdir()
        launcher = programs / "PythonSlicer"
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        launcher.chmod(0o755)
        os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"

    def set_up(self, scene: Any, logic: Any) -> None:
        self._scene, self._logic = scene, logic
        self._layout_manager = LayoutManager(scene, logic, self)

    slicerHome = Property(str, lambda self: str(self.home))
    temporaryPath = Property(str, lambda self: self._folder.name)
    slicerUserSettingsFilePath = Property(str, lambda self: self.userSettings().fileName())
    applicationVersion = Property(str, lambda self: "5.12.0")
    revision = Property(str, lambda self: "0")
    majorVersion = Property(int, lambda self: 5)
    minorVersion = Property(int, lambda self: 12)
    os = Property(str, lambda self: {"darwin": "macosx", "win32": "win"}.get(sys.platform, "linux"))
    isRelease = Property(bool, lambda self: True)

    def mrmlScene(self) -> Any:
        return self._scene

    def applicationLogic(self) -> Any:
        return self._logic

    def layoutManager(self) -> LayoutManager | None:
        return self._layout_manager

    def coreIOManager(self) -> FileIO:
        return self._file_io

    def ioManager(self) -> FileIO:
        return self._file_io

    def commandOptions(self) -> CommandOptions:
        return self._options

    def testingEnabled(self) -> bool:
        return True

    def userSettings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    def settings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def pauseRender(self) -> None:
        self._render_pauses += 1

    def resumeRender(self) -> None:
        if self._render_pauses == 0:
            logging.warning("resumeRender without pauseRender")
            return
        self._render_pauses -= 1


def _show_message(kind: QtCore.QtMsgType, context: QtCore.QMessageLogContext, message: str) -> None:
    if "propagateSizeHints" not in message:  # the offscreen platform says so of every window
        sys.stderr.write(f"{message}\n")


def _use_readable_font(application: QtWidgets.QApplication) -> None:
    if not QtGui.QFontDatabase.families():  # a bare machine: matplotlib brings DejaVu along
        import matplotlib

        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
            QtGui.QFontDatabase.addApplicationFont(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name))
    application.setFont(QtGui.QFont("DejaVu Sans", 9))
    application.setStyle("Fusion")
    application.setPalette(_light_palette())


def _light_palette() -> QtGui.QPalette:
    palette = QtGui.QPalette(QtGui.QColor(240, 240, 240), QtGui.QColor(240, 240, 240))
    palette.setColor(QtGui.QPalette.Highlight, QtGui.QColor(48, 140, 198))
    return palette


def new_scene(home: Path) -> tuple[Any, Any]:
    """An empty scene and its application logic, with what Slicer always has in them."""
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerApplicationLogic()
    logic.SetMRMLScene(scene)
    logic.SetHomeDirectory(str(home))
    logic.SetShareDirectory("share")
    _write_generic_colors(home / "share" / "ColorFiles")
    crosshair = slicer.vtkMRMLCrosshairNode()
    crosshair.SetCrosshairName("default")
    scene.AddNode(crosshair)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return scene, logic


def _write_generic_colors(folder: Path) -> None:
    """The colour table that every labelmap starts with; slicer-core comes without it."""
    folder.mkdir(parents=True)
    lines = ["0 Background 0 0 0 0"]
    for label in range(1, 256):
        color = QtGui.QColor.fromHsv(label * 47 % 360, 140, 220)
        lines.append(f"{label} Label_{label} {color.red()} {color.green()} {color.blue()} 255")
    (folder / "GenericColors.txt").write_text("\n".join(lines) + "\n")
