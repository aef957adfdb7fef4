"""The ctk and qMRML widgets behave as their originals do."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from .conftest import Patient


def test_a_closed_section_hides_its_contents_and_remembers_what_was_hidden(bench: ModuleType) -> None:
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    layout = qt.QVBoxLayout(section)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    layout.addWidget(shown)
    layout.addWidget(hidden)
    section.show()
    hidden.hide()
    folded: list[bool] = []
    section.connect("contentsCollapsed(bool)", folded.append)
    section.collapsed = True
    assert not shown.visible
    section.collapsed = False
    assert shown.visible and not hidden.visible
    assert folded == [True, False]


def test_what_is_shown_in_a_closed_section_appears_when_it_opens(bench: ModuleType) -> None:
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    label = qt.QLabel("late", section)
    label.hide()
    section.show()
    section.setCollapsed(True)
    label.show()
    assert not label.visible
    section.setCollapsed(False)
    assert label.visible


def test_a_slider_without_tracking_waits_until_it_is_let_go(bench: ModuleType) -> None:
    import ctk

    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum, slider.singleStep, slider.tracking = 0, 360, 0.5, False
    changed: list[float] = []
    slider.connect("valueChanged(double)", changed.append)
    handle = next(child for child in slider.children() if child.className() == "QSlider")
    handle.setSliderDown(True)
    handle.setValue(40)
    assert (slider.value, changed) == (20.0, [])
    handle.setSliderDown(False)
    assert changed == [20.0]


def test_a_range_stays_within_its_limits(bench: ModuleType) -> None:
    import ctk

    for widget in (ctk.ctkRangeWidget(), ctk.ctkDoubleRangeSlider()):
        seen: list[tuple[float, float]] = []
        widget.connect("valuesChanged(double,double)", lambda lower, upper, seen=seen: seen.append((lower, upper)))
        widget.setRange(0, 80)
        widget.setValues(10, 200)
        assert (widget.minimumValue, widget.maximumValue) == (10, 80)
        assert seen[-1] == (10, 80)


def test_a_spin_box_a_path_and_a_colour_say_when_they_change(bench: ModuleType) -> None:
    import ctk
    import qt

    spin_box, path, color = ctk.ctkDoubleSpinBox(), ctk.ctkPathLineEdit(), ctk.ctkColorPickerButton()
    seen: list[Any] = []
    spin_box.connect("valueChanged(double)", seen.append)
    path.connect("currentPathChanged(QString)", seen.append)
    color.connect("colorChanged(QColor)", lambda chosen: seen.append(chosen.name()))
    spin_box.setRange(0, 100)
    spin_box.value = 66.5
    path.currentPath = "/data"
    color.color = qt.QColor(255, 0, 0)
    assert seen == [66.5, "/data", "#ff0000"]


def test_a_widget_that_the_bench_has_not_is_missing(bench: ModuleType) -> None:
    import ctk
    import slicer

    assert not hasattr(ctk, "ctkRangeMapper")
    assert not hasattr(slicer, "qMRMLMarkupsToolBar")


def selector(**properties: Any) -> Any:
    import slicer

    widget = slicer.qMRMLNodeComboBox()
    widget.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    for name, value in properties.items():
        setattr(widget, name, value)
    widget.setMRMLScene(slicer.mrmlScene)
    return widget


def test_a_selector_takes_the_first_node_unless_none_is_a_choice(patient: Patient) -> None:
    assert selector().currentNode() is patient.ct
    assert selector(noneEnabled=True).currentNode() is None


def test_a_selector_follows_nodes_that_come_go_and_change_their_names(patient: Patient) -> None:
    import slicer

    widget, names = selector(noneEnabled=True), []
    widget.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: names.append(node and node.GetName()))
    late = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Late")
    assert widget.nodeCount() == 3
    widget.setCurrentNode(late)
    late.SetName("Renamed")
    assert widget.children()[0].findChildren  # the widget is still whole
    slicer.mrmlScene.RemoveNode(late)
    assert names == ["Late", None]
    assert widget.currentNodeID == ""


def test_a_selector_offers_only_nodes_with_the_attribute(patient: Patient) -> None:
    widget = selector(noneEnabled=True)
    widget.addAttribute("vtkMRMLScalarVolumeNode", "DicomRtImport.DoseVolume", "1")
    assert widget.nodeCount() == 0
    patient.dose.SetAttribute("DicomRtImport.DoseVolume", "1")
    assert [widget.nodeFromIndex(0), widget.nodeCount()] == [patient.dose, 1]


def test_a_selector_can_leave_out_derived_classes(patient: Patient) -> None:
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    assert selector(showChildNodeTypes=True).nodeCount() == 3
    assert selector(showChildNodeTypes=False).nodeCount() == 2


def test_a_selector_is_empty_once_the_scene_is_closed(patient: Patient) -> None:
    import slicer

    widget = selector(noneEnabled=True)
    widget.setCurrentNode(patient.ct)
    slicer.mrmlScene.Clear(0)
    assert (widget.currentNode(), widget.nodeCount()) == (None, 0)


def test_the_users_create_new_makes_and_selects_a_node(patient: Patient) -> None:
    widget, added = selector(noneEnabled=True, baseName="Dose of plan"), []
    widget.connect("nodeAddedByUser(vtkMRMLNode*)", added.append)
    node = widget.addNode()
    assert added == [node] and widget.currentNode() is node
    assert node.GetName().startswith("Dose of plan")


def test_a_selector_that_is_gone_no_longer_hears_the_scene(patient: Patient) -> None:
    import slicer

    widget = selector()
    widget.delete()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "After")


def test_the_segments_table_follows_the_segmentation(patient: Patient) -> None:
    import slicer

    table = slicer.qMRMLSegmentsTableView()
    table.setMRMLScene(slicer.mrmlScene)
    table.setSegmentationNode(patient.segmentation)
    patient.segmentation.GetSegmentation().AddEmptySegment("Cord", "SpinalCord")
    table.setSelectedSegmentIDs(["Cord", "PTV"])
    assert sorted(table.selectedSegmentIDs()) == ["Cord", "PTV"]
    patient.segmentation.GetSegmentation().RemoveSegment("Cord")
    assert table.selectedSegmentIDs() == ["PTV"]


def test_a_table_view_shows_the_table_node(patient: Patient) -> None:
    import slicer

    view = slicer.qMRMLTableView()
    view.setMRMLTableNode(slicer.util.getNode("PTV_DvhTable"))
    assert (view.rowCount, view.columnCount, view.item(1, 0).text()) == (3, 2, "59")


def test_the_hierarchy_tree_shows_patient_study_and_volume(patient: Patient) -> None:
    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    tree = slicer.qMRMLSubjectHierarchyTreeView()
    tree.setMRMLScene(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Plan study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(patient.ct), study)
    seen: list[int] = []
    tree.connect("currentItemChanged(vtkIdType)", seen.append)
    tree.setCurrentItem(hierarchy.GetItemByDataNode(patient.ct))
    assert seen == [hierarchy.GetItemByDataNode(patient.ct)]


UI = """<ui version="4.0"><class>Panel</class>
<widget class="{root}" name="Panel"><layout class="QVBoxLayout" name="rows">
<item><widget class="qMRMLNodeComboBox" name="ctSelector">
<property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
<property name="{property}"><bool>true</bool></property></widget></item>
<item><widget class="ctkSliderWidget" name="angle"><property name="maximum"><double>359.5</double></property></widget></item>
</layout></widget>
<connections><connection><sender>Panel</sender><signal>{signal}</signal>
<receiver>ctSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


def load_ui(tmp_path: Any, root: str = "qMRMLWidget", prop: str = "noneEnabled", signal: str = "mrmlSceneChanged(vtkMRMLScene*)") -> Any:
    import slicer

    path = tmp_path / "Panel.ui"
    path.write_text(UI.format(root=root, property=prop, signal=signal))
    return slicer.util.loadUI(str(path))


def test_a_designer_file_gives_the_scene_to_its_selectors(patient: Patient, tmp_path: Any) -> None:
    import slicer

    panel = load_ui(tmp_path)
    ui = slicer.util.childWidgetVariables(panel)
    assert ui.ctSelector.nodeCount() == 0
    panel.setMRMLScene(slicer.mrmlScene)
    assert ui.ctSelector.nodeCount() == 2
    assert (ui.ctSelector.noneEnabled, ui.angle.maximum) == (True, 359.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"root": "qMRMLUnheardOf"}, "qMRMLUnheardOf"),
        ({"prop": "noneEnable"}, "no property 'noneEnable'"),
        ({"signal": "sceneChanged(vtkMRMLScene*)"}, "no signal"),
    ],
)
def test_a_designer_file_that_slicer_could_not_load_is_refused(bench: ModuleType, tmp_path: Any, change: dict[str, str], message: str) -> None:
    with pytest.raises((RuntimeError, ValueError), match=message):
        load_ui(tmp_path, **change)


def test_a_panel_that_is_deleted_later_is_gone_with_its_scene_and_can_be_loaded_again(bench: ModuleType, tmp_path: Any) -> None:
    import slicer
    from PySide6 import QtWidgets

    shown_before = len(QtWidgets.QApplication.allWidgets())
    for _ in range(2):
        panel = load_ui(tmp_path)
        assert slicer.util.childWidgetVariables(panel).ctSelector.noneEnabled
        panel.deleteLater()
        bench.new_scene()
        assert len(QtWidgets.QApplication.allWidgets()) == shown_before
