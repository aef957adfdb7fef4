"""The panel by keyboard and by eye: the Tab key, mnemonics, tooltips, and both light and dark."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest

import slicer_bench
from slicer_bench.pythonqt import QtCore, QtGui, QtWidgets, to_qt

UI_FILES = sorted((slicer_bench.MODULE_FOLDER / "Resources" / "UI").glob("*.ui"))
INPUTS = {
    *("QCheckBox", "QComboBox", "QDoubleSpinBox", "QLineEdit", "QListWidget", "QPushButton", "QRadioButton", "QSlider", "QSpinBox", "QTableWidget"),
    *("QToolButton", "ctkDoubleSpinBox", "ctkPathLineEdit", "ctkSliderWidget", "qMRMLNodeComboBox", "qMRMLSliderWidget"),
}
# Their tooltips, the reasons why they are disabled, are given while the panel runs.
TOLD_LATER = {"predictButton", "importButton", "exportButton"}


@pytest.fixture
def panel(patient):
    """The panel as Qt's own widget, open in the window with every section unfolded and the patient selected."""
    widget = slicer_bench.show_module()
    root = to_qt(widget.parent)
    for button in root.findChildren(QtWidgets.QAbstractButton):
        if button.metaObject().className() == "ctkCollapsibleButton":
            button.setChecked(True)
    widget.panel.ui.ctSelector.setCurrentNode(patient.ct)
    widget.panel.ui.segmentationSelector.setCurrentNode(patient.segmentation)
    root.resize(root.width(), root.sizeHint().height())
    for _turn in range(20):
        QtWidgets.QApplication.processEvents()
    yield root
    slicer_bench.close_modules()
    slicer_bench.load_module()


def tab_stops(root):
    """The named widgets that the Tab key stops at, in its order, with where they are in the panel."""
    stops, widget = [], root.nextInFocusChain()
    while widget is not root:
        takes_tab = widget.focusPolicy() & QtCore.Qt.TabFocus and widget.isVisible() and root.isAncestorOf(widget)
        owner = widget if widget.objectName() else widget.parentWidget()
        if takes_tab and owner.objectName() and not owner.objectName().startswith("qt_") and not _in_a_table(widget):
            stops.append((owner.objectName(), QtCore.QRect(owner.mapTo(root, QtCore.QPoint(0, 0)), owner.size())))
        widget = widget.nextInFocusChain()
    return stops


def _in_a_table(widget):
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QtWidgets.QAbstractItemView):
        parent = parent.parentWidget()
    return parent is not None


def test_the_tab_key_goes_through_the_panel_as_it_is_read(panel):
    stops = tab_stops(panel)
    names = [name for name, _place in stops]
    first = names.index("ctSelector")
    stops = stops[first:] + stops[:first]
    for (name, place), (next_name, next_place) in itertools.pairwise(stops):
        if name.endswith("CollapsibleButton") or next_name.endswith("CollapsibleButton"):
            continue
        assert next_place.bottom() >= place.top(), f"Tab goes up from {name} to {next_name}"
        is_same_row = next_place.center().y() < place.bottom()
        assert not is_same_row or next_place.left() >= place.left(), f"Tab goes back from {name} to {next_name}"
    assert {"ctSelector", "structuresTable", "beamsTable", "isocentreComboBox", "fractionsSpinBox", "goalSetComboBox", "predictButton"} <= set(names)


def mnemonics(root):
    """The letters that Alt reaches a widget by, each with the texts that claim it."""
    texts = [label.text() for label in root.findChildren(QtWidgets.QLabel) if label.buddy() is not None]
    texts += [button.text() for button in root.findChildren(QtWidgets.QAbstractButton)]
    claims = [(found.group(1).lower(), text) for text in texts if (found := re.search(r"&([^&])", text))]
    return {letter: [text for claimed, text in claims if claimed == letter] for letter, _text in claims}


def test_no_two_mnemonics_are_the_same(panel):
    assert {letter: texts for letter, texts in mnemonics(panel).items() if len(texts) > 1} == {}


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_every_input_has_a_tooltip(path):
    bare = [
        widget.get("name")
        for widget in ElementTree.parse(path).getroot().iter("widget")
        if widget.get("class") in INPUTS and not any(entry.get("name") == "toolTip" for entry in widget.findall("property"))
    ]
    assert [name for name in bare if name not in TOLD_LATER] == []


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_the_tooltip_of_every_number_with_a_unit_names_the_unit(path):
    words = {"°": "degrees", "Gy": "Gy", "%": "percent", "mm": "mm", "s": "second"}
    for widget in ElementTree.parse(path).getroot().iter("widget"):
        texts = {entry.get("name"): entry.findtext("string") or "" for entry in widget.findall("property")}
        unit = texts.get("suffix", "").strip()
        if unit in words:
            assert words[unit] in texts["toolTip"] or unit in texts["toolTip"], widget.get("name")


@pytest.mark.parametrize("path", UI_FILES, ids=lambda path: path.stem)
def test_every_widget_of_slicers_own_gets_the_scene(path):
    root = ElementTree.parse(path).getroot()
    connected = {entry.findtext("receiver") for entry in root.iter("connection") if "mrmlSceneChanged" in entry.findtext("signal", "")}
    names = Counter(widget.get("name") for widget in root.iter("widget"))
    assert not [name for name, count in names.items() if count > 1]
    for widget in root.iter("widget"):
        if widget.get("class", "").startswith("qMRML") and widget.get("class") != "qMRMLWidget":
            assert widget.get("name") in connected, widget.get("name")


def dark_palette():
    """Colours as of Slicer's dark style."""
    palette = QtGui.QPalette(QtGui.QColor(60, 60, 60), QtGui.QColor(50, 50, 50))
    for role in (QtGui.QPalette.WindowText, QtGui.QPalette.Text, QtGui.QPalette.ButtonText):
        palette.setColor(role, QtGui.QColor(230, 230, 230))
    palette.setColor(QtGui.QPalette.Base, QtGui.QColor(40, 40, 40))
    return palette


def luminance(colour):
    """Relative luminance of a colour (WCAG 2.1)."""
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in (colour.redF(), colour.greenF(), colour.blueF())]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Contrast ratio (WCAG 2.1); 3 is asked for signs and large text."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("style", ["light", "dark"])
def test_what_the_tables_write_is_readable_in_both_styles(panel, user, patient, style):
    user.select(patient)
    user.type_prescription("PTV_6000", "abc")
    application = QtWidgets.QApplication.instance()
    before = application.palette()
    if style == "dark":
        application.setPalette(dark_palette())
    try:
        for table in to_qt(user.ui.structuresTable), *panel.findChildren(QtWidgets.QTableWidget):
            base, text = table.palette().color(QtGui.QPalette.Base), table.palette().color(QtGui.QPalette.Text)
            for row in range(table.rowCount()):
                for column in range(table.columnCount()):
                    item = table.item(row, column)
                    if item is None or not item.text():
                        continue
                    written = item.foreground().color() if item.foreground().style() else text
                    ground = item.background().color() if item.background().style() else base
                    assert contrast(written, ground) >= 3, (table.objectName(), item.text(), written.name(), ground.name())
    finally:
        application.setPalette(before)
