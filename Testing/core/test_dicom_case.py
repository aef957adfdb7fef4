"""A folder of DICOM files as a case: what is read, what is refused and in which words."""

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

from dicom_files import contour, edit_ct, edited, roi, tool, validation_errors, water_folder
from dose_prediction.case import Arc, Beam, CaseError, CaseWarning, Grid, PlanCase
from dose_prediction.case_files import PLAN_FILE, read_case
from dose_prediction.dicom import find_studies, read_dicom_case
from water_case import SHAPE, water_case

SOP_CLASSES = {"ct_001.dcm": "CTImageStorage", "structure_set.dcm": "RTStructureSetStorage", "plan.dcm": "RTPlanStorage"}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return water_folder(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "water"))


def quiet_case(path: Path, **options) -> PlanCase:
    """The case, read without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_case(path, **options)


def same_case(one: PlanCase, other: PlanCase) -> bool:
    return one.digest == other.digest and [s.name for s in one.structures] == [s.name for s in other.structures]


# What is read


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


def test_slices_are_sorted_by_where_they_lie_not_by_their_names(folder):
    names = sorted(folder.glob("ct_*.dcm"))
    for path in names:
        path.rename(path.with_suffix(".old"))
    for path, other in zip(names, np.random.default_rng(0).permutation(names), strict=True):
        path.with_suffix(".old").rename(other)
    edit_ct(folder, lambda data, index: setattr(data, "InstanceNumber", 1))
    assert same_case(quiet_case(folder), water_case())


def test_rescaling_is_applied_slice_by_slice_and_what_is_outside_the_scan_is_air(folder):
    def change(data: Dataset, index: int) -> None:
        stored = data.pixel_array.astype(np.int32)
        data.RescaleSlope, data.RescaleIntercept = "2", str(-1024 - index)
        pixels = (stored - 1024 + 1024 + index) // 2
        pixels[0, 0] = -2000
        data.PixelRepresentation = 1
        data.PixelData = pixels.astype("<i2").tobytes()

    edit_ct(folder, change)
    case = read_case(folder)
    assert np.abs(case.ct_hu - water_case().ct_hu)[:, 1:].max() <= 1
    assert case.ct_hu[:, 0, 0].max() == -1024


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


def test_what_the_author_calls_external_or_a_target_is_one_whatever_its_name(folder):
    with edited(folder / "structure_set.dcm") as data:
        data.StructureSetROISequence[0].ROIName = "Umriss"
        data.StructureSetROISequence[1].ROIName = "Boost"
    case = quiet_case(folder)
    assert case.external is not None and case.external.name == "Umriss"
    assert case.targets[0].name == "Boost" and case.targets[0].role.prescription_gy == 70


# What is told of


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: shutil.copy(folder / "ct_003.dcm", folder / "again.dcm"), "1 DICOM file is a copy of another"),
        (lambda folder: (folder / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40), "1 damaged DICOM file was left out"),
        (lambda folder: edit_ct(folder, lambda data, _: setattr(data, "SliceThickness", "5")), "slices of 5 mm overlap: they are 3 mm apart"),
        (lambda folder: edit_ct(folder, lambda data, _: setattr(data, "SliceThickness", "1")), "gaps between its slices of 1 mm"),
    ],
)
def test_harmless_mistakes_are_told_of(folder, change, sentence):
    change(folder)
    with pytest.warns(CaseWarning, match=sentence):
        assert same_case(read_case(folder), water_case())


def test_a_repeated_image_counts_once(folder):
    shutil.copy(folder / "ct_003.dcm", folder / "again.dcm")
    with edited(folder / "again.dcm") as data:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    with pytest.warns(CaseWarning, match="there twice and counted once"):
        assert same_case(read_case(folder), water_case())


def test_a_localiser_in_the_series_is_left_out(folder):
    shutil.copy(folder / "ct_001.dcm", folder / "scout.dcm")
    with edited(folder / "scout.dcm") as data:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        data.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    with pytest.warns(CaseWarning, match="1 localiser image"):
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


# What is refused


def delete(*names: str):
    return lambda folder: [(folder / name).unlink() for name in names]


def shift(folder: Path, first: int, by_mm: float) -> None:
    def change(data: Dataset, index: int) -> None:
        if index >= first:
            x, y, z = data.ImagePositionPatient
            data.ImagePositionPatient = [x, y, z + by_mm]

    edit_ct(folder, change)


def tilt(folder: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y + index * 3 * np.tan(np.radians(15)), z]
        data.GantryDetectorTilt = "15"

    edit_ct(folder, change)


def turn_one(folder: Path) -> None:
    edit_ct(folder, lambda data, index: setattr(data, "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]) if index == 4 else None)


def second_phase(folder: Path) -> None:
    shutil.copy(folder / "ct_003.dcm", folder / "phase_2.dcm")
    with edited(folder / "phase_2.dcm") as data:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.PixelData = (data.pixel_array + 1).astype("<u2").tobytes()


def other_series(folder: Path) -> None:
    edit_ct(folder, lambda data, _: setattr(data, "SeriesInstanceUID", "1.2.3"))


def other_frame(folder: Path) -> None:
    edit_ct(folder, lambda data, _: setattr(data, "FrameOfReferenceUID", "1.2.3"))


def second_structure_set(folder: Path) -> None:
    shutil.copy(folder / "structure_set.dcm", folder / "second.dcm")
    with edited(folder / "second.dcm") as data:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    (folder / "plan.dcm").unlink()


def second_plan(folder: Path) -> None:
    shutil.copy(folder / "plan.dcm", folder / "second.dcm")
    with edited(folder / "second.dcm") as data:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()


def in_plan(keyword: str, value: object, beam: bool = True):
    def change(folder: Path) -> None:
        with edited(folder / "plan.dcm") as data:
            item = data.BeamSequence[0] if beam else data
            item = (
                item.ControlPointSequence[0] if keyword in ("GantryAngle", "IsocenterPosition", "TableTopPitchAngle", "NominalBeamEnergy") else item
            )
            setattr(item, keyword, value)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (delete("structure_set.dcm"), "holds no structure set .* but CT series of 20 images, 1 plan"),
        (delete("plan.dcm"), "holds no plan"),
        (delete(*(f"ct_{index:03d}.dcm" for index in range(1, 21))), "holds no CT image, but 1 structure set, 1 plan"),
        (delete("ct_005.dcm"), "lacks 1 slice: a gap of 6 mm between z = -21 mm and z = -15 mm"),
        (delete("ct_005.dcm", "ct_006.dcm", "ct_010.dcm"), "lacks 3 slices: a gap of 9 mm between z = -21 mm .* and 1 more"),
        (lambda folder: shift(folder, 9, 1.3), "unevenly spaced: 4.3 mm between"),
        (lambda folder: shift(folder, 9, -2), "overlapping slices: 1 mm apart"),
        (tilt, "gantry tilted by 15.0 degrees; its header says 15"),
        (turn_one, "mixes orientations: 1 of 20"),
        (second_phase, "two different images at z = -24 mm"),
        (
            lambda folder: edit_ct(folder, lambda data, i: setattr(data, "PixelSpacing", [3, 3]) if i == 2 else None),
            "mixes pixel spacings from 3 to 4",
        ),
        (lambda folder: edit_ct(folder, lambda data, i: setattr(data, "Rows", 20) if i == 2 else None), "different sizes"),
        (lambda folder: edit_ct(folder, lambda data, i: setattr(data, "PixelData", b"\0" * 64)), "damaged or missing pixels"),
        (lambda folder: edit_ct(folder, lambda data, i: setattr(data, "ImagePositionPatient", None) if i == 2 else None), "Image Position Patient"),
        (
            lambda folder: edit_ct(folder, lambda data, i: setattr(data, "PatientPosition", "HFS" if i else "FFS")),
            "mixes 2 values of patient position",
        ),
        (other_series, "was drawn on the series .* which is not in"),
        (other_frame, "was drawn in the frame of reference"),
        (second_structure_set, "2 structure sets"),
        (second_plan, "2 plans of the structure set .*give beams"),
        (in_plan("FrameOfReferenceUID", "1.2.3", beam=False), "plan lies in the frame of reference 1.2.3"),
        (in_plan("RadiationType", "ELECTRON"), "Beam 'Beam 1' of the plan is of electrons"),
        (in_plan("GantryAngle", None), "Beam 'Beam 1' of the plan has no usable Gantry Angle"),
        (in_plan("IsocenterPosition", [0, 0, 50]), "several isocentres"),
        (in_plan("TableTopPitchAngle", 5), "table pitched by 5 degrees"),
        (in_plan("ControlPointSequence", []), "has no control point"),
        (in_plan("BeamSequence", [], beam=False), "no treatment beam"),
    ],
)
def test_mistakes_are_named(folder, change, sentence):
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


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"])
def test_an_enhanced_ct_is_refused_with_the_remedy(folder, sop_class):
    """One file of all slices, whose places stand in its functional groups."""
    first, *rest = sorted(folder.glob("ct_*.dcm"))
    pixels = b"".join(pydicom.dcmread(path).PixelData for path in (first, *rest))
    for path in rest:
        path.unlink()
    with edited(first) as data:
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = sop_class
        data.NumberOfFrames, data.PixelData = 20, pixels
        del data.ImagePositionPatient, data.ImageOrientationPatient
    with pytest.raises(CaseError, match="is an Enhanced CT .several slices a file.; export it as CT Image Storage, one slice a file"):
        read_case(folder)


def test_contours_on_a_ct_that_is_not_axial_are_refused(folder):
    def coronal(data: Dataset, index: int) -> None:
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-78, 3 * index, 78]

    edit_ct(folder, coronal)
    with pytest.raises(CaseError, match="slices are not axial; .* Export the structures on the axial CT"):
        read_case(folder)


def test_of_several_structure_sets_the_plans_is_taken(folder):
    (folder / "older").mkdir()
    shutil.copy(folder / "structure_set.dcm", folder / "older" / "structure_set.dcm")
    with edited(folder / "older" / "structure_set.dcm") as data:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.StructureSetROISequence[1].ROIName = "PTV_6600"
    assert same_case(quiet_case(folder), water_case())
    (folder / "plan.dcm").unlink()
    with pytest.raises(CaseError, match="2 structure sets .*'Structures' in older.structure_set.dcm.*; leave the one to plan with"):
        read_case(folder, beams=(Beam(0),))


def test_of_several_plans_that_of_the_structure_set_is_taken(folder):
    second_plan(folder)
    with edited(folder / "second.dcm") as data:
        data.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID = "1.2.3"
        data.BeamSequence[0].ControlPointSequence[0].GantryAngle = "33"
    assert same_case(quiet_case(folder), water_case())


def test_the_ct_of_a_structure_set_is_found_among_several(folder, tmp_path):
    other = water_folder(tmp_path / "other", water_case(grid=Grid(SHAPE, (0.0, 0.0, 0.0), (4.0, 4.0, 3.0))))
    for path in other.glob("ct_*.dcm"):
        shutil.move(path, folder / f"other_{path.name}")
    assert len(find_studies(folder)) == 2
    assert same_case(quiet_case(folder), water_case())


@pytest.mark.parametrize("kept", [0, 1, 200, 600, 1200, 2000])
@pytest.mark.parametrize("name", ["ct_004.dcm", "structure_set.dcm", "plan.dcm"])
def test_truncated_files_end_in_a_sentence(folder, name, kept):
    path = folder / name
    path.write_bytes(path.read_bytes()[:kept])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CaseWarning)
        with pytest.raises(CaseError):
            read_case(folder)


# Structures


def spoil(folder: Path, name: str, change) -> None:
    with edited(folder / "structure_set.dcm") as data:
        change(roi(data, name))


def circle_mm(radius: float, z: float, centre: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    return np.column_stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle), np.full(200, z)])


def cylinder(folder: Path, heights, **options) -> np.ndarray:
    """The mask of the parotid as a cylinder of 40 mm radius with a contour at each of `heights`."""
    spoil(folder, "Parotid_L", lambda item: setattr(item, "ContourSequence", [contour(circle_mm(40.0, z)) for z in heights]))
    case = read_case(folder)
    return next(structure.mask for structure in case.structures if structure.name == "Parotid_L")


def test_a_cylinder_has_its_volume(folder):
    mask = cylinder(folder, np.arange(-15, 15, 3.0))
    assert mask.sum() * 48.0 == pytest.approx(np.pi * 40**2 * 30, rel=0.01)


@pytest.mark.parametrize("offset", [0.7, 1.5, -1.5])
def test_contours_between_the_slices_go_to_the_nearest(folder, offset):
    mask = cylinder(folder, np.arange(-15, 15, 3.0) + offset)
    assert mask.sum() * 48.0 == pytest.approx(np.pi * 40**2 * 30, rel=0.01)
    assert len(set(np.flatnonzero(mask.any(axis=(1, 2))))) == 10


def test_contours_on_every_second_slice_stand_for_the_slices_between(folder):
    with pytest.warns(CaseWarning, match="contours 6 mm apart on slices 3 mm apart"):
        mask = cylinder(folder, np.arange(-15, 15, 6.0))
    assert mask.sum() * 48.0 == pytest.approx(np.pi * 40**2 * 30, rel=0.01)


def test_contours_finer_than_the_slices_count_once_a_slice(folder):
    mask = cylinder(folder, np.arange(-15, 15, 1.0))
    assert mask.sum() * 48.0 == pytest.approx(np.pi * 40**2 * 30, rel=0.01)


def test_a_slice_that_was_left_out_is_told_of(folder):
    with pytest.warns(CaseWarning, match="no contour on 1 slice between"):
        cylinder(folder, [-15, -12, -9, -3, 0, 3])


def test_an_empty_structure_is_left_out(folder):
    spoil(folder, "Parotid_L", lambda item: setattr(item, "ContourSequence", []))
    with pytest.warns(CaseWarning, match="without a contour on the CT were left out: 'Parotid_L'"):
        assert not read_case(folder).organs


def test_points_are_no_structures(folder):
    spoil(folder, "Parotid_L", lambda item: setattr(item, "ContourSequence", [contour(np.zeros((1, 3)), "POINT")]))
    assert not quiet_case(folder).organs


def test_contours_on_sagittal_planes_are_refused(folder):
    sagittal = circle_mm(15, 0)[:, ::-1]
    spoil(folder, "Parotid_L", lambda item: setattr(item, "ContourSequence", [contour(sagittal)]))
    with pytest.raises(CaseError, match="A contour of 'Parotid_L' reaches over 30.0 mm across the CT's slices"):
        read_case(folder)


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([contour(circle_mm(20, 0)), contour(circle_mm(20, 0))], "has 1 contour twice"),
        ([contour(circle_mm(20, 0)), contour(circle_mm(20, 0, (15, 0)))], "cross one another within a slice"),
        ([contour(circle_mm(20, 0) + np.linspace(0, 0.5, 200)[:, None] * [0, 0, 1])], "do not lie in one plane"),
        ([contour(circle_mm(90, 0))], "beyond the edge of the CT"),
        ([contour(circle_mm(20, z)) for z in range(15, 40, 3)], "beyond the first or last slice"),
        ([contour(circle_mm(20, 0)), contour(circle_mm(20, 3), "OPEN_PLANAR")], "1 open line"),
    ],
)
def test_doubtful_contours_are_told_of(folder, items, sentence):
    spoil(folder, "Parotid_L", lambda item: setattr(item, "ContourSequence", items))
    with pytest.warns(CaseWarning, match=sentence):
        read_case(folder)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [([1, 2, 3, 4], "4 coordinates, no multiple of 3"), ([0, 0, 0, 1, 0, 0, 1, 1, 0], "promises 5 points and has 3")],
)
def test_contradictory_contours_are_refused(folder, points, sentence):
    item = contour(np.zeros((5, 3)))
    item.ContourData = points
    spoil(folder, "Parotid_L", lambda drawn: setattr(drawn, "ContourSequence", [item]))
    with pytest.raises(CaseError, match=sentence):
        read_case(folder)


def test_two_structures_of_one_name_are_kept_apart(folder):
    with edited(folder / "structure_set.dcm") as data:
        for structure in data.StructureSetROISequence[2:]:
            structure.ROIName = "Ring"
    with pytest.warns(CaseWarning, match="Two structures are named 'Ring'"):
        names = [structure.name for structure in read_case(folder).structures]
    assert names == ["BODY", "PTV_7000", "Ring", "Ring (2)"]


# What is written


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
