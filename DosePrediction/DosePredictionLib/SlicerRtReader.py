"""A folder of DICOM files through Slicer's own DICOM readers, where SlicerRT adds its to them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import slicer

from .DoseNode import DOSE_VOLUME_ATTRIBUTE
from .StudyNodes import StudyNodes


def is_installed() -> bool:
    """True where SlicerRT is."""
    return hasattr(slicer.modules, "dicomrtimportexport")


def load_folder(folder: Path) -> StudyNodes | None:
    """Load all of the folder by way of a temporary DICOM database; None if no CT with a segmentation came of it.

    Slicer's readers work on the window's own thread, which waits for them.
    """
    dicom = importlib.import_module("DICOMLib.DICOMUtils")
    loaded: list[str] = []
    with dicom.TemporaryDICOMDatabase() as database:
        dicom.importDicom(str(folder), database)
        for patient in database.patients():
            loaded += dicom.loadPatientByUID(patient)
    nodes = [node for node in map(slicer.mrmlScene.GetNodeByID, loaded) if node is not None]
    segmentation = next((node for node in nodes if node.IsA("vtkMRMLSegmentationNode")), None)
    volumes = [node for node in nodes if node.IsA("vtkMRMLScalarVolumeNode")]
    doses = tuple(node for node in volumes if node.GetAttribute(DOSE_VOLUME_ATTRIBUTE))
    ct = _ct_of(segmentation, [node for node in volumes if node not in doses]) if segmentation is not None else None
    return None if ct is None else StudyNodes(ct, segmentation, doses)


def _ct_of(segmentation: Any, volumes: list[Any]) -> Any:
    """The volume that the segmentation was drawn on, else the one with the most voxels."""
    drawn_on = segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())
    with_voxels = [node for node in volumes if node.GetImageData() is not None]
    return drawn_on or max(with_voxels, key=lambda node: node.GetImageData().GetNumberOfPoints(), default=None)
