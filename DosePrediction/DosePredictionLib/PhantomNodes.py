"""The head-and-neck phantom as nodes of the scene, for the self-test, the demonstration and a first try without patient data."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from dose_prediction.case_files import write_case_folder
from dose_prediction.phantom import head_and_neck_phantom

from .StudyNodes import forget_file

# Colours as planning systems have them: targets warm, organs cool, the body like skin.
COLOURS = {
    "PTV70": (0.90, 0.10, 0.15),
    "PTV63": (1.00, 0.50, 0.05),
    "PTV56": (0.95, 0.80, 0.10),
    "External": (0.90, 0.76, 0.66),
    "Brainstem": (0.20, 0.55, 0.95),
    "SpinalCord": (0.10, 0.85, 0.85),
    "Parotid_L": (0.30, 0.80, 0.30),
    "Parotid_R": (0.10, 0.55, 0.25),
    "Larynx": (0.60, 0.40, 0.90),
    "Esophagus": (0.65, 0.45, 0.30),
    "Bone_Mandible": (0.85, 0.85, 0.75),
}


def load_phantom(seed: int = 0) -> tuple[Any, Any]:
    """Draw the phantom and load it from files as a user would; returns its CT and segmentation nodes."""
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
        write_case_folder(folder, head_and_neck_phantom(seed))
        ct_node = slicer.util.loadVolume(str(Path(folder) / "ct.nrrd"), {"name": _("Phantom CT")})
        segmentation_node = slicer.util.loadSegmentation(str(Path(folder) / "segmentation.seg.nrrd"), {"name": _("Phantom structures")})
    for node in (ct_node, segmentation_node):
        forget_file(node)
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
    segmentation = segmentation_node.GetSegmentation()
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        segment.SetColor(*COLOURS.get(segment.GetName(), segment.GetColor()))
    return ct_node, segmentation_node
