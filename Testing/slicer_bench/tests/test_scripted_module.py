"""Scripted modules are loaded, opened, reloaded and closed as Slicer does."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

MODULE = """
import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import *

calls = []

class Small(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Small")
        self.parent.categories = ["Testing"]

class SmallWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.button = qt.QPushButton("Go")
        self.layout.addWidget(self.button)
        self.logic = SmallLogic()
        calls.append("setup")

    def enter(self):
        calls.append("enter")

    def exit(self):
        calls.append("exit")

    def cleanup(self):
        calls.append("cleanup")

class SmallLogic(ScriptedLoadableModuleLogic):
    pass
"""


@pytest.fixture
def small_module(bench: ModuleType, tmp_path: Path) -> ModuleType:
    (tmp_path / "Small.py").write_text(MODULE)
    bench.load_module("Small", tmp_path)
    return bench


def test_a_module_is_found_under_slicer_modules_with_its_title(small_module: ModuleType) -> None:
    import slicer

    assert slicer.modules.small.title == "Small"
    assert slicer.modules.SmallInstance.moduleName == "Small"
    assert slicer.util.modulePath("Small").endswith("Small.py")


def test_a_panel_is_set_up_entered_left_and_cleaned_up_in_this_order(small_module: ModuleType) -> None:
    import sys

    widget = small_module.show_module("Small")
    assert widget.button.visible
    small_module.close_modules()
    assert sys.modules["Small"].calls == ["setup", "enter", "exit", "cleanup"]


def test_reload_executes_the_file_again_and_makes_a_new_panel(small_module: ModuleType) -> None:
    import slicer

    before = small_module.show_module("Small")
    before.onReload()
    assert slicer.modules.SmallWidget is not before
    assert type(slicer.modules.SmallWidget).__name__ == "SmallWidget"


def test_the_parameter_node_is_one_and_is_found_again(small_module: ModuleType) -> None:
    logic = small_module.show_module("Small").logic
    node = logic.getParameterNode()
    node.SetParameter("seed", "3")
    assert logic.getParameterNode() is node
    assert node.GetAttribute("ModuleName") == "Small"


def test_a_missing_module_is_named(bench: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Absent"):
        bench.load_module("Absent", tmp_path)
