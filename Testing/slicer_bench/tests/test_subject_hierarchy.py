"""The subject hierarchy follows the scene as it does in Slicer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conftest import Patient


def hierarchy() -> Any:
    import slicer

    return slicer.mrmlScene.GetSubjectHierarchyNode()


def names() -> list[str]:
    ids: list[int] = []
    hierarchy().GetItemChildren(hierarchy().GetSceneItemID(), ids, True)
    return [hierarchy().GetItemName(item) for item in ids]


def test_a_node_has_an_item_as_soon_as_it_is_added(patient: Patient) -> None:
    assert hierarchy().GetItemOwnerPluginName(hierarchy().GetItemByDataNode(patient.ct)) == "Volumes"
    assert {"CT", "Dose", "Structures", "DvhChart", "PTV_DvhTable"} <= set(names())


def test_the_item_goes_with_its_node(patient: Patient) -> None:
    import slicer

    slicer.mrmlScene.RemoveNode(patient.dose)
    assert "Dose" not in names()


def test_hidden_nodes_have_no_item(patient: Patient) -> None:
    import slicer

    node = slicer.vtkMRMLModelNode()
    node.SetName("Hidden")
    node.SetHideFromEditors(True)
    slicer.mrmlScene.AddNode(node)
    assert "Hidden" not in names()


def test_a_closed_scene_has_an_empty_hierarchy_and_a_loaded_one_its_own(patient: Patient, tmp_path: Path) -> None:
    import slicer

    study = hierarchy().CreateStudyItem(hierarchy().GetSceneItemID(), "Plan study")
    hierarchy().SetItemAttribute(study, "DicomRtImport.DoseUnitName", "GY")
    hierarchy().SetItemParent(hierarchy().GetItemByDataNode(patient.dose), study)
    before = sorted(names())
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert names() == []
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert sorted(names()) == before
    parent = hierarchy().GetItemParent(hierarchy().GetItemByDataNode(slicer.util.getNode("Dose")))
    assert hierarchy().GetItemAttribute(parent, "DicomRtImport.DoseUnitName") == "GY"
