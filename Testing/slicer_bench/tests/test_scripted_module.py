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


def test_a_picture_shows_a_panel_whose_widgets_have_the_room_that_they_need(small_module: ModuleType, tmp_path: Path) -> None:
    import qt

    layout = small_module.show_module("Small").layout
    for _ in range(3):  # boxes within each other
        box = qt.QGroupBox()
        layout.addWidget(box)
        layout = qt.QVBoxLayout(box)
    large, below = qt.QWidget(), qt.QLabel("below")
    layout.addWidget(large)
    layout.addWidget(below)
    for height, width in ((100, 100), (900, 700)):
        large.setMinimumSize(width, height)
        small_module.picture(tmp_path / "window.png")
        assert below.y >= large.y + height
        assert not large.visibleRegion().isEmpty()
        assert large.visibleRegion().boundingRect().width() == large.width >= width
