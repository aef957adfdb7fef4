"""RTDOSE in and out, held against pydicom, dicom3tools, dcmtk and plastimatch."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicom_files import edited, tool, validation_errors
from dose_prediction.case import CaseError, CaseWarning, Grid
from dose_prediction.dicom import DicomReferences, read_dose, write_dose
from dose_prediction.dicom.instances import patient_and_study_of
from dose_prediction.output_files import OutputError
from dose_prediction.volumes import read_volume

GRID = Grid((7, 9, 8), origin_mm=(-31.5, -20.0, 12.5), spacing_mm=(2.5, 3.0, 4.0))
AXIS_GY = np.arange(0, 90, 0.5)


def references() -> DicomReferences:
    patient = Dataset()
    patient.PatientName, patient.PatientID, patient.StudyInstanceUID = "Doe^Jane", "4711", "1.2.3.4"
    patient.PatientComments = "not to be copied"
    return DicomReferences(patient_and_study_of(patient), "1.2.3.5", "1.2.3.6", "1.2.3.7", "HFS", {"PTV": 3})


def dose_on(grid: Grid, largest: float = 76.4) -> np.ndarray:
    dose = np.random.default_rng(1).random(grid.shape).astype(np.float32) * np.float32(largest)
    dose.flat[5] = largest
    dose.flat[6] = 0.0
    return dose


def written(path: Path, grid: Grid = GRID, bits: int = 16) -> Path:
    curve = np.linspace(12.5, 0, len(AXIS_GY))
    write_dose(path, dose_on(grid), grid, references(), "1.2.3.7", "ADDiff-Dose 1.0", bits, AXIS_GY, {3: curve})
    return path


@pytest.fixture
def rtdose(tmp_path: Path) -> Path:
    return written(tmp_path / "dose.dcm")


@pytest.mark.parametrize("bits", [16, 32])
def test_pydicom_reads_back_every_voxel_within_half_a_step(tmp_path, bits):
    data = pydicom.dcmread(written(tmp_path / "dose.dcm", bits=bits))
    scaling = float(data.DoseGridScaling)
    assert data.pixel_array.dtype.itemsize * 8 == bits
    assert np.abs(data.pixel_array * scaling - dose_on(GRID)).max() <= scaling / 2 + 1e-5
    assert data.pixel_array.max() < 2**bits - 1  # head-room


@pytest.mark.parametrize("bits", [16, 32])
def test_a_dose_that_was_written_is_read(tmp_path, bits):
    read = read_dose(written(tmp_path / "dose.dcm", bits=bits))
    assert np.abs(read.dose_gy - dose_on(GRID)).max() <= 76.4 * 1.001 / (2**bits - 1) / 2 + 1e-5
    assert read.grid.matches(GRID, 1e-6) and read.frame_of_reference_uid == "1.2.3.5" and read.summation_type == "PLAN"


@given(st.floats(1e-6, 900), st.sampled_from([16, 32]))
@settings(max_examples=40, deadline=None)
def test_no_dose_wraps_however_large_or_small(tmp_path_factory, largest, bits):
    path = tmp_path_factory.mktemp("dose") / "dose.dcm"
    grid = Grid((2, 2, 4))
    write_dose(path, dose_on(grid, largest), grid, references(), "1.2.3.7", "x", bits)
    assert read_dose(path).dose_gy.max() == pytest.approx(largest, rel=1e-4)


def test_a_dose_of_nothing_is_zero(tmp_path):
    write_dose(tmp_path / "dose.dcm", np.zeros(GRID.shape, np.float32), GRID, references(), "1.2.3.7", "x")
    assert read_dose(tmp_path / "dose.dcm").dose_gy.max() == 0


@pytest.mark.parametrize(
    "direction",
    [
        ((-1.0, 0, 0), (0, -1.0, 0), (0, 0, 1.0)),  # prone, as scanners store it
        ((-1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0)),  # feet first
        ((1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0)),  # left-handed
        ((0, 0, 1.0), (1.0, 0, 0), (0, -1.0, 0)),
    ],
)
def test_every_voxel_keeps_its_place_whatever_the_axes(tmp_path, direction):
    grid = Grid(GRID.shape, GRID.origin_mm, GRID.spacing_mm, direction)
    read = read_dose(written(tmp_path / "dose.dcm", grid))
    index = np.argwhere(np.ones(grid.shape, bool))
    there = np.rint(read.grid.index_from_world(grid.world_from_index(index))).astype(int)
    assert np.allclose(read.dose_gy[tuple(there.T)], dose_on(grid)[tuple(index.T)], atol=1e-3)


def test_it_says_what_it_is_and_refers_to_plan_structures_and_frame(rtdose):
    data = pydicom.dcmread(rtdose)
    assert data.SeriesDescription == "PREDICTED dose, ADDiff-Dose 1.0"
    assert data.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == "1.2.3.7"
    assert data.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == "1.2.3.6"
    assert data.FrameOfReferenceUID == "1.2.3.5" and data.StudyInstanceUID == "1.2.3.4"
    dvh = data.DVHSequence[0]
    assert dvh.DVHReferencedROISequence[0].ReferencedROINumber == 3
    assert dvh.DVHNumberOfBins == len(AXIS_GY) and len(dvh.DVHData) == 2 * len(AXIS_GY)
    assert (dvh.DVHData[0], dvh.DVHData[1]) == (0.5, 12.5)


def test_of_the_patient_only_what_the_standard_needs_is_copied(rtdose):
    data = pydicom.dcmread(rtdose)
    assert data.PatientName == "Doe^Jane" and data.PatientID == "4711"
    assert "PatientComments" not in data


def test_dicom3tools_finds_no_error(rtdose):
    assert validation_errors(rtdose) == []


def test_dcmtk_reads_back_every_voxel(rtdose, tmp_path):
    dump = tool("dcmdump", "dcmtk")
    subprocess.run([dump, "+W", str(tmp_path), str(rtdose)], check=True, capture_output=True, timeout=60)
    (raw,) = tmp_path.glob("dose.dcm.*.raw")
    scaling = float(pydicom.dcmread(rtdose).DoseGridScaling)
    values = np.frombuffer(raw.read_bytes(), "<u2").reshape(GRID.shape) * scaling
    assert np.abs(values - dose_on(GRID)).max() <= scaling / 2 + 1e-5


@pytest.mark.parametrize("bits", [16, 32])
def test_plastimatch_reads_back_every_voxel_in_its_place(tmp_path, bits):
    path = written(tmp_path / "dose.dcm", bits=bits)
    subprocess.run(
        [tool("plastimatch", "plastimatch"), "convert", "--input", str(path), "--output-dose-img", str(tmp_path / "dose.nrrd")],
        check=True,
        capture_output=True,
        timeout=60,
    )
    values, grid = read_volume(tmp_path / "dose.nrrd")
    assert grid.matches(GRID, 1e-3)
    assert np.abs(values - dose_on(GRID)).max() <= float(pydicom.dcmread(path).DoseGridScaling) / 2 + 1e-4


def test_planes_may_be_given_by_their_coordinates(rtdose):
    with edited(rtdose) as data:
        data.GridFrameOffsetVector = [12.5 + 4 * plane for plane in range(7)]
    read = read_dose(rtdose)
    assert read.grid.matches(GRID, 1e-6)


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("direction", [((-1.0, 0, 0), (0, 1.0, 0), (0, 0, -1.0)), ((1.0, 0, 0), (0, -1.0, 0), (0, 0, -1.0))])
def test_planes_given_by_their_coordinates_may_run_to_the_feet(tmp_path, direction, bits):
    """As the doses of feet-first patients do: offsets are z coordinates, which fall from plane to plane."""
    grid = Grid(GRID.shape, GRID.origin_mm, GRID.spacing_mm, direction)
    path = written(tmp_path / "dose.dcm", grid, bits)
    with edited(path) as data:
        data.GridFrameOffsetVector = [12.5 - 4 * plane for plane in range(7)]
    read = read_dose(path)
    assert read.grid.matches(grid, 1e-6) and np.allclose(read.dose_gy, dose_on(grid), atol=1e-3)


def test_planes_may_go_down(rtdose):
    with edited(rtdose) as data:
        data.GridFrameOffsetVector = [-4 * plane for plane in range(7)]
        data.ImagePositionPatient = [-31.5, -20.0, 12.5 + 24]
        data.PixelData = data.pixel_array[::-1].tobytes()
    read = read_dose(rtdose)
    assert read.grid.matches(GRID, 1e-6)
    assert np.allclose(read.dose_gy, dose_on(GRID), atol=1e-3)


@pytest.mark.parametrize(
    ("keyword", "value", "sentence"),
    [
        ("DoseUnits", "RELATIVE", "dose units 'RELATIVE'; export an absolute dose in Gy"),
        ("DoseType", "ERROR", "dose errors"),
        ("DoseGridScaling", "0", "Dose Grid Scaling of 0"),
        ("DoseGridScaling", "", "no usable Dose Grid Scaling"),
        ("GridFrameOffsetVector", [0, 4, 8], "7 planes and 3 offsets"),
        ("GridFrameOffsetVector", [0, 4, 8, 12, 16, 20, 29], "planes 4 to 9 mm apart"),
        ("GridFrameOffsetVector", [5, 9, 13, 17, 21, 25, 29], "neither 0 nor the z"),
        ("NumberOfFrames", "8", "damaged or missing pixels"),
        ("Rows", 60000, "damaged or missing pixels|promises"),
        ("ImagePositionPatient", [1, 2], "no usable Image Position Patient"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2", "is no RTDOSE"),
    ],
)
def test_mistakes_are_named(rtdose, keyword, value, sentence):
    with edited(rtdose) as data:
        setattr(data, keyword, value)
    with pytest.raises(CaseError, match=sentence):
        read_dose(rtdose)


def test_a_dose_of_one_beam_is_told_of(rtdose):
    with edited(rtdose) as data:
        data.DoseSummationType = "BEAM"
    with pytest.warns(CaseWarning, match="one beam only"):
        read_dose(rtdose)


def test_a_dose_in_cgy_is_refused(rtdose):
    with edited(rtdose) as data:
        data.DoseGridScaling = str(100 * data.DoseGridScaling)[:16]
    with pytest.raises(CaseError, match="reaches 7640.* Gy, which no plan does; give it in Gy"):
        read_dose(rtdose)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_dose_that_is_none_is_not_written(tmp_path, bad):
    dose = dose_on(GRID)
    dose[0, 0, 0] = bad
    with pytest.raises(CaseError, match="RTDOSE takes finite doses"):
        write_dose(tmp_path / "dose.dcm", dose, GRID, references(), "1.2.3.7", "x")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OutputError, match="Cannot write into"):
        written(tmp_path / "missing" / "dose.dcm")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("intact") / "dose.dcm").read_bytes()


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_altered_bytes_end_in_a_sentence_or_in_a_dose(tmp_path, intact, changes):
    content = bytearray(intact)
    for place, byte in changes:
        content[place % len(content)] = byte
    rtdose = tmp_path / "dose.dcm"
    rtdose.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CaseWarning)
        try:
            dose = read_dose(rtdose)
        except CaseError:
            return
    assert np.isfinite(dose.dose_gy).all() and dose.dose_gy.min() >= 0 and dose.dose_gy.shape == dose.grid.shape


@pytest.mark.parametrize("kept", [0, 3, 140, 400, 900, 1500])
def test_a_truncated_file_is_named(rtdose, kept):
    rtdose.write_bytes(rtdose.read_bytes()[:kept])
    with pytest.raises(CaseError, match="dose.dcm"):
        read_dose(rtdose)
