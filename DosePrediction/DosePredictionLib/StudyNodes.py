"""A DICOM study that our own reader has turned into files, as nodes of the scene under one patient and one study."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from dose_prediction.case import Role, RoleKind, recognise

from .DoseNode import DOSE_UNIT, DOSE_UNIT_NAME_ATTRIBUTE, DOSE_VOLUME_ATTRIBUTE, place_in_study, show_as_dose
from .SegmentRoles import correct_role, segment_rows
from .SliceDisplay import show_dose_legend, show_overlay

# Attribute of the CT node: what a dose that goes back to its DICOM study refers to, and the beams that the study came with.
REFERENCES_ATTRIBUTE = "DosePrediction.DicomReferences"


@dataclass(frozen=True, eq=False)
class StudyNodes:
    """The nodes of a study."""

    ct: Any
    segmentation: Any
    doses: tuple[Any, ...]


def read_table(folder: Path) -> dict[str, Any]:
    """What `dose_prediction.dicom_import` has written beside the volumes."""
    found: dict[str, Any] = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    return found


def load_study(folder: Path, table: dict[str, Any]) -> Generator[float, None, StudyNodes]:
    """Load the files of `folder`, one a step, and file them with patient and study; yields the fraction done."""
    patient = table["patient"]["name"].replace("^", " ").strip() or table["patient"]["id"] or _("Patient")
    ct = slicer.util.loadVolume(str(folder / "ct.nrrd"), {"name": _("{patient} CT").format(patient=patient)})
    yield 0.4
    segmentation = slicer.util.loadSegmentation(str(folder / "segmentation.seg.nrrd"), {"name": _("{patient} structures").format(patient=patient)})
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    yield 0.8
    doses = []
    for entry in table["doses"]:
        dose = slicer.util.loadVolume(str(folder / entry["file"]), {"name": entry["name"], "show": False})
        dose.SetAttribute(DOSE_VOLUME_ATTRIBUTE, "1")
        doses.append(dose)
        yield 0.8 + 0.15 * len(doses) / len(table["doses"])
    for node in (ct, segmentation, *doses):
        forget_file(node)
    _file_under_study(table, patient, ct, segmentation)
    for dose in doses:
        place_in_study(dose, ct, segmentation)
        show_as_dose(dose, _prescription_gy(table, dose))
    if doses:
        show_overlay(ct, doses[0])
        show_dose_legend(doses[0])
    describe(table, ct, segmentation)
    return StudyNodes(ct, segmentation, tuple(doses))


def _prescription_gy(table: dict[str, Any], dose: Any) -> float:
    """The highest prescription of the study; the maximum of the dose where none is known."""
    told = [structure["prescription_gy"] for structure in table["structures"] if structure["prescription_gy"]]
    return max(told, default=0.0) or float(slicer.util.arrayFromVolume(dose).max()) or 1.0


def describe(table: dict[str, Any], ct: Any, segmentation: Any) -> None:
    """Give the nodes of a study what the files of DICOM say beyond voxels: roles, prescriptions and colours, and what a dose will refer to."""
    ct.SetAttribute(REFERENCES_ATTRIBUTE, json.dumps({"references": table["references"], "beams": table["beams"]}))
    told = {structure["name"]: structure for structure in table["structures"]}
    for row in segment_rows(segmentation):
        structure = told.get(row.name)
        if structure is None:
            continue
        dose_gy = structure["prescription_gy"]
        role = Role(RoleKind(structure["kind"]), structure["standard_name"], dose_gy)
        if role != recognise(row.name):
            told_row = replace(row, kind=role.kind, standard_name=role.standard_name, prescription="" if dose_gy is None else f"{dose_gy:g}")
            correct_role(segmentation, told_row)
        if structure["colour"] is not None:
            segmentation.GetSegmentation().GetSegment(row.segment_id).SetColor(*structure["colour"])


def forget_file(node: Any) -> None:
    """The node was read from a file that will not stay: a saved scene has to write it anew, not to look for that file."""
    storage = node.GetStorageNode()
    if storage is not None:
        node.SetAndObserveStorageNodeID(None)
        slicer.mrmlScene.RemoveNode(storage)


def _file_under_study(table: dict[str, Any], patient_name: str, ct: Any, segmentation: Any) -> None:
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    names = slicer.vtkMRMLSubjectHierarchyConstants
    uid_name = names.GetDICOMUIDName()
    patient = hierarchy.GetItemByUID(uid_name, table["patient"]["id"]) if table["patient"]["id"] else 0
    if not patient:
        patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), patient_name)
        hierarchy.SetItemUID(patient, uid_name, table["patient"]["id"])
        hierarchy.SetItemAttribute(patient, names.GetDICOMPatientNameAttributeName(), table["patient"]["name"])
        hierarchy.SetItemAttribute(patient, names.GetDICOMPatientIDAttributeName(), table["patient"]["id"])
    study = hierarchy.GetItemByUID(uid_name, table["study"]["uid"])
    if not study:
        study = hierarchy.CreateStudyItem(patient, table["study"]["id"] or _("Study"))
        hierarchy.SetItemUID(study, uid_name, table["study"]["uid"])
        hierarchy.SetItemAttribute(study, names.GetDICOMStudyInstanceUIDAttributeName(), table["study"]["uid"])
        hierarchy.SetItemAttribute(study, names.GetDICOMStudyDateAttributeName(), table["study"]["date"])
        hierarchy.SetItemAttribute(study, DOSE_UNIT_NAME_ATTRIBUTE, DOSE_UNIT)
    for node in (ct, segmentation):
        hierarchy.CreateItem(study, node)  # moves the item that is there
