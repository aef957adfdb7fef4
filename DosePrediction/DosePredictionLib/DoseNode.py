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

from .SceneReader import ijk_to_ras

# What SlicerRT goes by.
DOSE_VOLUME_ATTRIBUTE = "DicomRtImport.DoseVolume"
DOSE_UNIT_NAME_ATTRIBUTE = "DicomRtImport.DoseUnitName"
DOSE_UNIT_VALUE_ATTRIBUTE = "DicomRtImport.DoseUnitValue"
DOSE_UNIT = "GY"

PRESCRIPTION_ATTRIBUTE = "DosePrediction.PrescriptionGy"
PROVENANCE_ATTRIBUTE = "DosePrediction.Provenance"
COLOURS_ATTRIBUTE = "DosePrediction.DoseColours"

WINDOW_TOP = 1.1  # of the prescription
LOWEST_SHOWN = 0.05  # of the prescription
# Fraction of the window, red, green, blue: the order that planning systems taught everyone.
COLOUR_STOPS = (
    (0.0, 0.10, 0.10, 0.55),
    (0.2, 0.05, 0.35, 0.95),
    (0.4, 0.0, 0.8, 0.9),
    (0.55, 0.1, 0.8, 0.25),
    (0.72, 0.95, 0.9, 0.1),
    (0.87, 1.0, 0.5, 0.0),
    (1.0, 0.85, 0.0, 0.1),
)


def put_dose(dose_gy: NDArray[np.float32], grid: Grid, name: str, prescription_gy: float, provenance: dict[str, Any], existing: Any = None) -> Any:
    """A volume node with the dose, or `existing` with its voxels replaced.

    The display is set where the node is new or the prescription another; otherwise it stays as the user left it.
    """
    node = existing or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetAndObserveTransformNodeID(None)
    node.SetIJKToRASMatrix(ijk_to_ras(grid))
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(dose_gy, dtype=np.float32))
    node.SetAttribute(DOSE_VOLUME_ATTRIBUTE, "1")
    node.SetAttribute(PROVENANCE_ATTRIBUTE, json.dumps(provenance))
    if node.GetAttribute(PRESCRIPTION_ATTRIBUTE) != f"{prescription_gy:g}":
        node.SetAttribute(PRESCRIPTION_ATTRIBUTE, f"{prescription_gy:g}")
        _set_display(node, prescription_gy)
    return node


def provenance_of(dose_node: Any) -> dict[str, Any]:
    """What made the dose; empty for a dose of other origin."""
    text = dose_node.GetAttribute(PROVENANCE_ATTRIBUTE) if dose_node is not None else None
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


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


def _set_display(node: Any, prescription_gy: float) -> None:
    # A display node of our own making, not the default one: that would first look for a window in all voxels.
    display = node.GetDisplayNode() or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(_dose_colours().GetID())
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, WINDOW_TOP * prescription_gy)
        display.AutoThresholdOff()
        display.ApplyThresholdOn()
        display.SetLowerThreshold(LOWEST_SHOWN * prescription_gy)
        display.SetUpperThreshold(vtk.VTK_FLOAT_MAX)
    node.SetAndObserveDisplayNodeID(display.GetID())


def _dose_colours() -> Any:
    """The colour table of dose washes, one in the scene."""
    for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
        if node.GetAttribute(COLOURS_ATTRIBUTE):
            return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetName("DosePredictionColours")
    node.SetAttribute(COLOURS_ATTRIBUTE, "1")
    node.HideFromEditorsOff()
    count = 256
    node.SetNumberOfColors(count)
    stops = np.array(COLOUR_STOPS)
    for index in range(count):
        at = index / (count - 1)
        red, green, blue = (float(np.interp(at, stops[:, 0], stops[:, channel])) for channel in (1, 2, 3))
        node.SetColor(index, f"{100 * at * WINDOW_TOP:.0f} %", red, green, blue, 1.0)
    node.GetLookupTable().SetRange(0, count - 1)
    return slicer.mrmlScene.AddNode(node)
