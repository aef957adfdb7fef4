"""A folder of DICOM files as a case: which files make it up, what the plan says of it, and the files that are written of a case."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.uid import generate_uid

from dicom_files import copied, delete, edit_ct, edited, quiet_case, same_case, tool, validation_errors, water_folder
from dose_prediction.case import Arc, Beam, CaseError, CaseWarning, Grid
from dose_prediction.case_files import PLAN_FILE, read_case
from dose_prediction.dicom import find_studies, read_dicom_case
from water_case import SHAPE, water_case

SOP_CLASSES = {"ct_001.dcm": "CTImageStorage", "structure_set.dcm": "RTStructureSetStorage", "plan.dcm": "RTPlanStorage"}


def test_a_case_comes_back_as_it_was_written(folder):
    case = quiet_case(folder)
    assert same_case(case, water_case())
    assert case.name == "water" and [role.prescription_gy for role in (target.role for target in case.targets)] == [70, 56]


def test_nested_folders_and_foreign_files_do_not_matter(folder):
    (folder / "deep" / "er").mkdir(parents=True)
    for path in sorted(folder.glob("ct_*.dcm"))[::2]:
        shutil.move(path, folder / "deep" / "er" / f"IM{path.stem}")
    (folder / "notes.txt").write_text("DICOM? no")
    (folder / "empty.dcm").write_bytes(b"")
    with edited(folder / "plan.dcm") as data:
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        data.Modality, data.SOPInstanceUID = "MR", generate_uid()
    assert same_case(quiet_case(folder, beams=water_case().beams), water_case())
    (study,) = find_studies(folder)
    assert str(study) == "CT series of 20 images, 1 structure set, 1 MR"


def test_a_study_is_found_among_thousands_of_other_files(folder):
    """3,000 images of another modality, and as many files that are no DICOM, in folders within folders."""
    with edited(copied(folder, "ct_001.dcm", "image.dcm")) as data:
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1000"
        data.Modality = "MR"
    image = (folder / "image.dcm").read_bytes()
    for number in range(1, 3000):
        place = folder / f"patient {number % 7}" / f"series {number % 50}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"image {number}.dcm").write_bytes(image.replace(b"1.2.3.1000", b"1.2.3.%d" % (1000 + number)))
        (place / f"note {number}.txt").write_text("nothing")
    (study,) = find_studies(folder)
    assert str(study) == "CT series of 20 images, 1 structure set, 1 plan, 3000 MR"
    assert same_case(quiet_case(folder), water_case())


def test_files_without_prefix_and_header_are_read(folder):
    for path in folder.glob("*.dcm"):
        data = pydicom.dcmread(path)
        bare = Dataset()
        bare.update(data)
        with path.open("wb") as file:
            write_dataset(bare, file)
    assert same_case(quiet_case(folder), water_case())


def write_dataset(data: Dataset, file: BinaryIO) -> None:
    """The elements alone, little-endian with implicit value representations."""
    buffer = DicomFileLike(file)
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    pydicom.filewriter.write_dataset(buffer, data)


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_a_patient_in_any_position_is_the_same_case(tmp_path, position):
    """The CT is stored as a scanner stores it, its beams by the angles of the machine; patient and dose do not change with them."""
    directions = {
        "HFS": ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)),
        "HFP": ((-1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0)),
        "FFS": ((-1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0)),
        "FFP": ((1.0, 0, 0), (0, -1.0, 0), (0, 0, -1.0)),
    }
    grid = Grid(SHAPE, (5.0, -7.0, 11.0), (4.0, 4.0, 3.0), directions[position])
    given = water_case(grid=grid).with_beams((Beam(90), Beam(200, 15, 10), Arc(300, 40, True, 15, 10)))
    folder = water_folder(tmp_path / "water", given, position)
    first = [beam.ControlPointSequence[0] for beam in pydicom.dcmread(folder / "plan.dcm").BeamSequence]
    angles = {"HFS": [90, 200, 300], "HFP": [270, 20, 120], "FFS": [270, 160, 60], "FFP": [90, 340, 240]}
    assert [float(point.GantryAngle) for point in first] == angles[position]
    assert first[-1].GantryRotationDirection == ("CW" if position.startswith("HF") else "CC")
    with warnings.catch_warnings():
        warnings.simplefilter("error" if position == "HFS" else "ignore", CaseWarning)
        case = read_case(folder)
    assert case.beams == given.beams and case.grid.matches(grid, 1e-4)
    assert same_case(case, given)


def test_beams_that_are_given_are_those_of_the_machine_for_the_patient_as_positioned(tmp_path):
    folder = water_folder(tmp_path / "water", position="FFS")
    with pytest.warns(CaseWarning, match="feet first, supine"):
        assert read_case(folder, beams=(Beam(30),)).beams == (Beam(330, 0, 180),)


def test_a_plan_file_corrects_roles_prescriptions_and_beams(folder):
    (folder / PLAN_FILE).write_text(
        '{"targets": {"PTV_7000": 66}, "roles": {"Parotid_L": "SpinalCord"}, "beams": "10,20", "isocentre_mm": [0, 0, 0]}'
    )
    case = quiet_case(folder)
    assert [target.role.prescription_gy for target in case.targets] == [66]
    assert case.organs[0].role.standard_name == "SpinalCord"
    assert [beam.gantry_deg for beam in case.beams] == [10, 20] and case.isocentre == (0, 0, 0)


def test_prescriptions_come_from_the_plan_before_the_name(folder):
    with edited(folder / "plan.dcm") as data:
        data.DoseReferenceSequence[0].TargetPrescriptionDose = "66"
    assert [target.role.prescription_gy for target in quiet_case(folder).targets] == [66, 56]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: shutil.copy(folder / "ct_003.dcm", folder / "again.dcm"), "1 DICOM file is a copy of another"),
        (lambda folder: (folder / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40), "1 damaged DICOM file was left out, broken.dcm"),
    ],
)
def test_files_that_are_left_out_are_told_of(folder, change, sentence):
    change(folder)
    with pytest.warns(CaseWarning, match=sentence):
        assert same_case(read_case(folder), water_case())


def test_a_position_that_nothing_states_is_assumed_and_told_of(folder):
    edit_ct(folder, lambda data, _: setattr(data, "PatientPosition", ""))
    with edited(folder / "plan.dcm") as data:
        del data.PatientSetupSequence
    with pytest.warns(CaseWarning, match="Nothing says how the patient lies"):
        assert same_case(read_case(folder), water_case())


def test_a_ct_without_a_frame_of_reference_gets_the_same_one_at_every_reading(folder):
    edit_ct(folder, lambda data, _: delattr(data, "FrameOfReferenceUID"))
    first, second = (read_dicom_case(folder).references.frame_of_reference_uid for _ in range(2))
    assert first == second != ""


def test_another_patients_structures_are_told_of(folder):
    with edited(folder / "structure_set.dcm") as data:
        data.PatientID = "someone else"
    with pytest.warns(CaseWarning, match="CT and structure set have different patient IDs") as caught:
        read_case(folder)
    assert not [warning for warning in caught if "someone" in str(warning.message)]


def other_series(folder: Path) -> None:
    edit_ct(folder, lambda data, _: setattr(data, "SeriesInstanceUID", "1.2.3"))


def other_frame(folder: Path) -> None:
    edit_ct(folder, lambda data, _: setattr(data, "FrameOfReferenceUID", "1.2.3"))


def second_structure_set(folder: Path) -> None:
    copied(folder, "structure_set.dcm")
    (folder / "plan.dcm").unlink()


def other_plan_frame(folder: Path) -> None:
    with edited(folder / "plan.dcm") as data:
        data.FrameOfReferenceUID = "1.2.3"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (delete("structure_set.dcm"), "holds no structure set .* but CT series of 20 images, 1 plan"),
        (delete("plan.dcm"), "holds no plan"),
        (delete(*(f"ct_{index:03d}.dcm" for index in range(1, 21))), "holds no CT image, but 1 structure set, 1 plan"),
        (other_series, "structure_set.dcm was drawn on a series that is not in the folder; there: CT series of 20 images"),
        (other_frame, "'BODY' was drawn in another frame of reference than the CT's"),
        (second_structure_set, r"2 structure sets \(second.dcm, structure_set.dcm\)"),
        (lambda folder: copied(folder, "plan.dcm"), r"2 plans of the structure set \(plan.dcm, second.dcm\).*give beams"),
        (other_plan_frame, "plan lies in another frame of reference than the CT"),
    ],
)
def test_what_is_missing_or_does_not_belong_together_is_named(folder, change, sentence):
    change(folder)
    with pytest.raises(CaseError, match=sentence):
        read_case(folder)


def test_a_lateral_position_is_refused(folder):
    with edited(folder / "plan.dcm") as data:
        data.PatientSetupSequence[0].PatientPosition = "HFDL"
    refused = "patient position 'HFDL'; beams can be placed for HFS.*Save CT and structures as NRRD"
    with pytest.raises(CaseError, match=refused):
        read_case(folder)
    edit_ct(folder, lambda data, _: setattr(data, "PatientPosition", "HFDL"))
    with edited(folder / "plan.dcm") as data:
        del data.PatientSetupSequence
    for beams in (None, (Beam(0),)):
        with pytest.raises(CaseError, match=refused):
            read_case(folder, beams=beams)


def test_of_several_structure_sets_the_plans_is_taken(folder):
    with edited(copied(folder, "structure_set.dcm", "older/structure_set.dcm")) as data:
        data.StructureSetROISequence[1].ROIName = "PTV_6600"
    assert same_case(quiet_case(folder), water_case())
    (folder / "plan.dcm").unlink()
    with pytest.raises(CaseError, match="2 structure sets .*older.structure_set.dcm.*; leave the one to plan with"):
        read_case(folder, beams=(Beam(0),))


def test_of_several_plans_that_of_the_structure_set_is_taken(folder):
    with edited(copied(folder, "plan.dcm")) as data:
        data.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID = "1.2.3"
        data.BeamSequence[0].ControlPointSequence[0].GantryAngle = "33"
    assert same_case(quiet_case(folder), water_case())


def test_the_ct_of_a_structure_set_is_found_among_several(folder, tmp_path):
    other = water_folder(tmp_path / "other", water_case(grid=Grid(SHAPE, (0.0, 0.0, 0.0), (4.0, 4.0, 3.0))))
    for path in other.glob("ct_*.dcm"):
        shutil.move(path, folder / f"other_{path.name}")
    assert len(find_studies(folder)) == 2
    assert same_case(quiet_case(folder), water_case())


@pytest.mark.parametrize("name", ["ct_001.dcm", "structure_set.dcm", "plan.dcm"])
def test_dicom3tools_finds_no_error(folder, name):
    assert validation_errors(folder / name) == []


@pytest.mark.parametrize("name", ["ct_001.dcm", "structure_set.dcm", "plan.dcm"])
def test_dcmtk_reads_what_was_written(folder, tmp_path, name):
    """Without a complaint, and the pixels of the CT as they were."""
    command = [tool("dcmdump", "dcmtk"), "+W", str(tmp_path), str(folder / name)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert not [line for line in result.stderr.splitlines() if line.startswith(("E:", "W:", "F:"))]
    assert f"UI ={SOP_CLASSES[name]}" in result.stdout
    for raw in tmp_path.glob("ct_001.dcm.*.raw"):
        assert np.array_equal(np.frombuffer(raw.read_bytes(), "<u2").reshape(SHAPE[1:]) - 1024.0, water_case().ct_hu[0])
    assert (name == "ct_001.dcm") == bool(list(tmp_path.glob("*.raw")))


def test_the_same_case_gives_the_same_files(folder, tmp_path):
    other = water_folder(tmp_path / "other")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {path.name: path.read_bytes() for path in other.iterdir()}
