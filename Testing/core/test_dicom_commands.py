"""The command line on DICOM folders: what it writes, and what it keeps to itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_files import edit_ct, edited, tool, validation_errors, water_folder
from dose_prediction.case import Grid
from dose_prediction.case_files import read_case
from dose_prediction.command_line import main
from dose_prediction.dicom import read_dose
from dose_prediction.phantom import head_and_neck_phantom
from dose_prediction.volumes import read_volume, write_volume
from instant_model import InstantModel
from water_case import water_case


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return water_folder(tmp_path / "water")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture(scope="module")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "phantom"
    assert main(["phantom", "--dicom", "--output", str(folder)]) == 0
    return folder


def predicted(folder: Path, output: Path, *options: str) -> set[str]:
    assert main(["predict", str(folder), "--output", str(output), *options], InstantModel()) == 0
    return {path.name for path in output.iterdir()}


def test_the_phantom_as_dicom_is_the_phantom(phantom_folder):
    assert read_case(phantom_folder).digest == head_and_neck_phantom().digest


@pytest.mark.parametrize("name", ["ct_001.dcm", "structure_set.dcm", "plan.dcm"])
def test_dicom3tools_finds_no_error_in_the_phantom(phantom_folder, name):
    assert validation_errors(phantom_folder / name) == []


def test_plastimatch_finds_the_phantoms_structures_where_they_are(phantom_folder, tmp_path):
    """Its rasteriser is another one, so surfaces may differ by a part of a voxel; volume and place may not."""
    program = tool("plastimatch", "plastimatch")
    given = ["--input", str(phantom_folder), "--xor-contours"]
    wanted = ["--output-img", str(tmp_path / "ct.nrrd"), "--output-prefix", str(tmp_path), "--prefix-format", "nrrd"]
    subprocess.run([program, "convert", *given, *wanted], check=True, capture_output=True, timeout=300)
    phantom = head_and_neck_phantom()
    ct, grid = read_volume(tmp_path / "ct.nrrd")
    assert grid.matches(phantom.grid, 1e-3) and np.array_equal(ct, phantom.ct_hu)
    for structure in phantom.structures:
        mask, _ = read_volume(tmp_path / f"{structure.name}.nrrd")
        assert mask.sum() == pytest.approx(structure.mask.sum(), rel=0.01), structure.name
        dice = 2 * np.count_nonzero(structure.mask & (mask > 0)) / (mask.sum() + structure.mask.sum())
        assert dice > 0.98, structure.name


def test_predict_writes_the_dose_as_rtdose_beside_the_nrrd(folder, output):
    assert {"water_dose.dcm", "water_dose.nrrd"} <= predicted(folder, output)
    assert "water_plan.dcm" not in {path.name for path in output.iterdir()}
    dose = read_dose(output / "water_dose.dcm")
    nrrd, grid = read_volume(output / "water_dose.nrrd")
    assert dose.grid.matches(grid) and np.abs(dose.dose_gy - nrrd).max() < 70 / 65535
    data, ct, plan, structures = (
        pydicom.dcmread(path) for path in [output / "water_dose.dcm", *(folder / f"{n}.dcm" for n in ("ct_001", "plan", "structure_set"))]
    )
    assert data.FrameOfReferenceUID == ct.FrameOfReferenceUID and data.StudyInstanceUID == ct.StudyInstanceUID
    assert data.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert data.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures.SOPInstanceUID
    assert "PREDICTED" in data.SeriesDescription and "test" in data.SeriesDescription
    numbers = {item.ROINumber: item.ROIName for item in structures.StructureSetROISequence}
    volumes = {numbers[dvh.DVHReferencedROISequence[0].ReferencedROINumber]: dvh.DVHData[1] for dvh in data.DVHSequence}
    assert volumes == pytest.approx({s.name: s.mask.sum() * 0.048 for s in water_case().structures if s.name != "BODY"})
    assert validation_errors(output / "water_dose.dcm") == []


def test_other_beams_than_the_plans_come_as_a_plan_of_their_own(folder, output):
    assert "water_plan.dcm" in predicted(folder, output, "--beams", "10,130,250")
    plan, dose = pydicom.dcmread(output / "water_plan.dcm"), pydicom.dcmread(output / "water_dose.dcm")
    assert [float(beam.ControlPointSequence[0].GantryAngle) for beam in plan.BeamSequence] == [10, 130, 250]
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    assert plan.ApprovalStatus == "UNAPPROVED" and plan.PlanIntent == "RESEARCH"
    assert validation_errors(output / "water_plan.dcm") == []


def test_a_folder_without_a_plan_needs_beams(folder, output, capsys):
    (folder / "plan.dcm").unlink()
    assert main(["predict", str(folder), "--output", str(output)], InstantModel()) == 2
    assert "holds no plan of photon beams (RTPLAN); give beams" in capsys.readouterr().err
    assert "water_plan.dcm" in predicted(folder, output, "--beams", "0,90")


def test_harmless_mistakes_are_printed_as_notes(folder, output, capsys):
    edit_ct(folder, lambda data, _: setattr(data, "SliceThickness", "5"))
    predicted(folder, output)
    notes = capsys.readouterr().err.splitlines()
    assert "Note: The CT's slices of 5 mm overlap: they are 3 mm apart." in notes


def test_goals_judges_an_rtdose_on_a_grid_of_its_own(folder, tmp_path, capsys):
    """A dose of 20 Gy everywhere, on a grid that is coarser and lies between the voxels of the CT."""
    output = tmp_path / "output"
    predicted(folder, output)
    grid = Grid((14, 30, 28), (-80.0, -81.0, -33.0), (6.0, 6.0, 5.0))
    write_volume(tmp_path / "twenty.nrrd", np.full(grid.shape, 20.0, np.float32), grid)
    capsys.readouterr()
    assert main(["goals", str(folder), "--dose", str(tmp_path / "twenty.nrrd")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Parotid_L"))
    assert "20.0 Gy" in line
    assert main(["goals", str(folder), "--dose", str(output / "water_dose.dcm")]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Parotid_L"))
    assert "10.0 Gy" in line


def test_a_dose_of_another_frame_of_reference_is_refused(folder, tmp_path, capsys):
    """It may lie on the same grid in numbers and yet in another scan."""
    output = tmp_path / "output"
    predicted(folder, output)
    own, other = output / "water_dose.dcm", tmp_path / "other.dcm"
    other.write_bytes(own.read_bytes())
    with edited(other) as data:
        data.FrameOfReferenceUID = "1.2.3"
    capsys.readouterr()
    for command in (["goals", "--dose", other], ["dvh", "--dose", other], ["compare", "--reference", own, "--dose", other]):
        assert main([command[0], str(folder), *map(str, command[1:])]) == 2
        assert "other.dcm lies in another frame of reference than the CT" in capsys.readouterr().err
    assert main(["gamma", str(own), str(other)]) == 0
    said = capsys.readouterr()
    assert "Note:" in said.err and "check that they are of one scan" in said.err and "100.00 %" in said.out


def test_a_dose_that_covers_an_organ_in_part_is_told_of_and_one_that_misses_a_target_refused(folder, tmp_path, capsys):
    case = water_case()
    for cut, width, said in (("organ", 31, "Note: The dose covers 50% of 'Parotid_L'"), ("target", 20, "covers 50% of 'PTV_7000'")):
        part = case.grid.cropped((0, 0, 0), (20, 40, width))
        write_volume(tmp_path / f"{cut}.nrrd", np.ones(part.shape, np.float32), part)
        assert main(["goals", str(folder), "--dose", str(tmp_path / f"{cut}.nrrd")]) == (0 if cut == "organ" else 2)
        assert said in capsys.readouterr().err
