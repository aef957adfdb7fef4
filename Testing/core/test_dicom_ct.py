"""CT series as volumes: sorted by where slices lie, rescaled, and refused where they would be a wrong volume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_files import copied, delete, edit_ct, edited, quiet_case, same_case
from dose_prediction.case import CaseError, CaseWarning
from dose_prediction.case_files import read_case
from water_case import water_case


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


@pytest.mark.parametrize(
    ("thickness", "sentence"), [("5", "slices of 5 mm overlap: they are 3 mm apart"), ("1", "gaps between its slices of 1 mm: they are 3 mm apart")]
)
def test_slices_thicker_or_thinner_than_they_are_apart_are_told_of(folder, thickness, sentence):
    edit_ct(folder, lambda data, _: setattr(data, "SliceThickness", thickness))
    with pytest.warns(CaseWarning, match=sentence):
        assert same_case(read_case(folder), water_case())


def test_a_repeated_image_counts_once(folder):
    copied(folder, "ct_003.dcm")
    with pytest.warns(CaseWarning, match="there twice and counted once"):
        assert same_case(read_case(folder), water_case())


def test_a_localiser_in_the_series_is_left_out(folder):
    with edited(copied(folder, "ct_001.dcm")) as data:
        data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        data.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    with pytest.warns(CaseWarning, match="1 localiser image"):
        assert same_case(read_case(folder), water_case())


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
    with edited(copied(folder, "ct_003.dcm")) as data:
        data.PixelData = (data.pixel_array + 1).astype("<u2").tobytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
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
    ],
)
def test_mistakes_are_named(folder, change, sentence):
    change(folder)
    with pytest.raises(CaseError, match=sentence):
        read_case(folder)


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
