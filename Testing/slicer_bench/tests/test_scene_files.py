"""Nodes and scenes go to files and come back through `slicer.util`."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from .conftest import Patient


def test_a_volume_comes_back_with_its_voxels_and_geometry(patient: Patient, tmp_path: Path) -> None:
    import slicer

    slicer.util.saveNode(patient.dose, str(tmp_path / "dose.nrrd"))
    loaded = slicer.util.loadVolume(str(tmp_path / "dose.nrrd"))
    assert loaded is not patient.dose
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(patient.dose))
    assert loaded.GetSpacing() == patient.dose.GetSpacing()


def test_a_segmentation_comes_back_with_its_names(patient: Patient, tmp_path: Path) -> None:
    import slicer

    slicer.util.saveNode(patient.segmentation, str(tmp_path / "structures.seg.nrrd"))
    loaded = slicer.util.loadSegmentation(str(tmp_path / "structures.seg.nrrd"))
    names = [loaded.GetSegmentation().GetNthSegment(index).GetName() for index in range(loaded.GetSegmentation().GetNumberOfSegments())]
    assert names == ["PTV", "External"]


def test_a_table_goes_to_csv(patient: Patient, tmp_path: Path) -> None:
    import slicer

    slicer.util.saveNode(slicer.util.getNode("PTV_DvhTable"), str(tmp_path / "dvh.csv"))
    assert (tmp_path / "dvh.csv").read_text().splitlines()[0].replace('"', "") == "Dose,Volume"


@pytest.mark.parametrize("name", ["scene.mrb", "scene.mrml"])
def test_a_scene_comes_back_with_its_nodes_and_parameters(patient: Patient, tmp_path: Path, name: str) -> None:
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "DosePrediction")
    node.SetAttribute("ModuleName", "DosePrediction")
    node.SetParameter("beams", "0,40,80")
    if name.endswith(".mrml"):  # keeps its data in files beside it
        for kept in (patient.ct, patient.dose):
            slicer.util.saveNode(kept, str(tmp_path / f"{kept.GetName()}.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / name))
    slicer.mrmlScene.Clear(0)
    assert not slicer.util.getNodes("CT")
    slicer.util.loadScene(str(tmp_path / name))
    assert slicer.util.arrayFromVolume(slicer.util.getNode("Dose")).max() == 60
    assert slicer.util.getNode("DosePrediction").GetParameter("beams") == "0,40,80"


def test_a_file_that_is_not_there_or_is_damaged_leaves_no_node(bench: ModuleType, tmp_path: Path) -> None:
    import slicer

    (tmp_path / "damaged.nrrd").write_bytes(b"NRRD0004\ntype: float\n")
    before = slicer.mrmlScene.GetNumberOfNodes()
    for name in ("absent.nrrd", "damaged.nrrd"):
        with pytest.raises(RuntimeError, match=name):
            slicer.util.loadVolume(str(tmp_path / name))
    assert slicer.mrmlScene.GetNumberOfNodes() == before
