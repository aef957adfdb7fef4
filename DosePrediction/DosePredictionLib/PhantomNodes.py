"""The head-and-neck phantom as nodes of the scene, for the self-test, the demonstration and a first try without patient data."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

import slicer
from dose_prediction.case_files import write_case_folder
from dose_prediction.phantom import head_and_neck_phantom


def load_phantom(seed: int = 0) -> tuple[Any, Any]:
    """Draw the phantom and load it from files as a user would; returns its CT and segmentation nodes."""
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
        write_case_folder(folder, head_and_neck_phantom(seed))
        ct_node = slicer.util.loadVolume(str(Path(folder) / "ct.nrrd"), {"name": _("Phantom CT")})
        segmentation_node = slicer.util.loadSegmentation(str(Path(folder) / "segmentation.seg.nrrd"), {"name": _("Phantom structures")})
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
    return ct_node, segmentation_node
