"""The dose in the scene: a volume that SlicerRT takes for a dose, in a study that says Gy, with the colours of a dose wash."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from slicer.i18n import tr as _

from dose_prediction.case import Grid

from .ColourTables import DOSE, WINDOW_TOP, colour_table
from .SceneReader import ijk_to_ras

# What SlicerRT goes by.
DOSE_VOLUME_ATTRIBUTE = "DicomRtImport.DoseVolume"
DOSE_UNIT_NAME_ATTRIBUTE = "DicomRtImport.DoseUnitName"
DOSE_UNIT_VALUE_ATTRIBUTE = "DicomRtImport.DoseUnitValue"
DOSE_UNIT = "GY"

PRESCRIPTION_ATTRIBUTE = "DosePrediction.PrescriptionGy"
PROVENANCE_ATTRIBUTE = "DosePrediction.Provenance"
LOWEST_SHOWN = 0.05  # of the prescription


def put_dose(
    dose_gy: NDArray[np.float32],
    grid: Grid,
    name: str,
    prescription_gy: float,
    provenance: dict[str, Any],
    existing: Any = None,
    looks_like: Any = None,
) -> Any:
    """A volume node with the dose, or `existing` with its voxels replaced.

    A new dose is displayed as `looks_like` is, another dose of the same prescription, if there is one.  Where a dose stays, so does what the user
    made of its display, unless the prescription is another.
    """
    node = put_volume(dose_gy, grid, name, existing)
    node.SetAttribute(DOSE_VOLUME_ATTRIBUTE, "1")
    node.SetAttribute(PROVENANCE_ATTRIBUTE, json.dumps(provenance))
    if node.GetAttribute(PRESCRIPTION_ATTRIBUTE) != f"{prescription_gy:g}":
        node.SetAttribute(PRESCRIPTION_ATTRIBUTE, f"{prescription_gy:g}")
        show_as_dose(node, prescription_gy)
        if looks_like is not None and prescription_of(looks_like) == prescription_of(node):
            node.GetDisplayNode().CopyContent(looks_like.GetDisplayNode())
    return node


def put_volume(values: NDArray[np.float32], grid: Grid, name: str, existing: Any = None) -> Any:
    """A volume node with these voxels (z, y, x) on `grid`, or `existing` with them."""
    node = existing or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAndObserveTransformNodeID(None)
    node.SetIJKToRASMatrix(ijk_to_ras(grid))
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(values, dtype=np.float32))
    return node


def prescription_of(dose_node: Any) -> float | None:
    """The highest prescription in Gy that the dose was predicted for; None for a dose of other origin."""
    text = dose_node.GetAttribute(PRESCRIPTION_ATTRIBUTE)
    return float(text) if text else None


def provenance_of(dose_node: Any) -> dict[str, Any]:
    """What made the dose; empty for a dose of other origin."""
    text = dose_node.GetAttribute(PROVENANCE_ATTRIBUTE) if dose_node is not None else None
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def add_to_provenance(dose_node: Any, more: dict[str, Any]) -> None:
    """Store what became known of a predicted dose later."""
    dose_node.SetAttribute(PROVENANCE_ATTRIBUTE, json.dumps({**provenance_of(dose_node), **more}))


def place_in_study(dose_node: Any, ct_node: Any, segmentation_node: Any) -> int:
    """Put the dose beside the CT in the subject hierarchy, under a study that says Gy; returns the study's item.

    A CT without a study gets a patient and a study; a study of relative doses gets a new one beside it.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    constants = slicer.vtkMRMLSubjectHierarchyConstants
    top = hierarchy.GetSceneItemID()
    items = [hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(top, node) for node in (ct_node, segmentation_node)]
    study = hierarchy.GetItemAncestorAtLevel(items[0], constants.GetDICOMLevelStudy())
    if not study:
        patient = hierarchy.CreateSubjectItem(top, _("Patient"))
        study = hierarchy.CreateStudyItem(patient, _("Study"))
        for item in items:
            if hierarchy.GetItemParent(item) == top:
                hierarchy.SetItemParent(item, study)
    elif hierarchy.GetItemAttribute(study, DOSE_UNIT_NAME_ATTRIBUTE) == "RELATIVE":
        study = hierarchy.CreateStudyItem(hierarchy.GetItemParent(study), _("Predicted dose"))
    hierarchy.SetItemAttribute(study, DOSE_UNIT_NAME_ATTRIBUTE, DOSE_UNIT)
    if not hierarchy.GetItemAttribute(study, DOSE_UNIT_VALUE_ATTRIBUTE):
        hierarchy.SetItemAttribute(study, DOSE_UNIT_VALUE_ATTRIBUTE, "1.0")
    dose_item = hierarchy.CreateItem(study, dose_node)  # moves the item that is there
    hierarchy.RequestOwnerPluginSearch(dose_item)
    hierarchy.ItemModified(dose_item)
    return int(study)


def show_as_dose(node: Any, prescription_gy: float) -> None:
    """Give a volume in Gy the colours and the window of a dose wash of this prescription."""
    # A display node of our own making, not the default one: that would first look for a window in all voxels.
    display = node.GetDisplayNode() or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colour_table(DOSE).GetID())
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, WINDOW_TOP * prescription_gy)
        display.AutoThresholdOff()
        display.ApplyThresholdOn()
        display.SetLowerThreshold(LOWEST_SHOWN * prescription_gy)
        display.SetUpperThreshold(vtk.VTK_FLOAT_MAX)
    node.SetAndObserveDisplayNodeID(display.GetID())
