"""Studies that arrived in part: files that end too early and series without their last slices are refused or told of, never read in silence."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_files import delete, edited, same_case, water_folder
from dose_prediction.case import CaseError, CaseWarning
from dose_prediction.case_files import read_case
from fuzzing.formats import small_case

CUTS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return water_folder(tmp_path / "small", small_case())


def without_lengths(data: Dataset) -> None:
    """Sequences and their items end with delimiters, as many planning systems write them."""
    for element in data:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                without_lengths(item)


def encoded(path: Path, syntax: UID, has_lengths: bool) -> bytes:
    with edited(path) as data:
        pass
    if not has_lengths:
        without_lengths(data)
    data.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, data, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("has_lengths", [True, False])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize("name", ["ct_003.dcm", "structure_set.dcm", "plan.dcm"])
def test_a_file_that_was_cut_off_anywhere_is_refused_told_of_or_lacks_nothing(folder, name, syntax, has_lengths):
    content = encoded(folder / name, syntax, has_lengths)
    (folder / name).write_bytes(content)
    assert same_case(read_case(folder), small_case())
    refused = 0
    for cut in range(0, len(content), len(content) // CUTS):
        (folder / name).write_bytes(content[:cut])
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", CaseWarning)
            try:
                case = read_case(folder)
            except CaseError:
                refused += 1
                continue
        assert notes or same_case(case, small_case()), cut
    assert refused > CUTS / 2


def test_a_file_that_was_cut_off_is_named(folder):
    (folder / "plan.dcm").write_bytes((folder / "plan.dcm").read_bytes()[:-400])
    with pytest.raises(CaseError, match=r"plan.dcm is cut off: an element of [\d,]+ bytes ends too early\. Export or copy it again"):
        read_case(folder)


@pytest.mark.parametrize(("names", "count"), [(["ct_005.dcm"], "1 image"), (["ct_001.dcm", "ct_002.dcm"], "2 images")])
def test_a_ct_without_its_first_or_last_slices_is_told_of(folder, names, count):
    """The contours refer to no image, the list of the series does."""
    with edited(folder / "structure_set.dcm") as data:
        for roi in data.ROIContourSequence:
            for contour in roi.ContourSequence:
                del contour.ContourImageSequence
    delete(*names)(folder)
    with pytest.warns(CaseWarning, match=f"were drawn on {count} that the CT series lacks; .* Load the whole series if slices are missing"):
        read_case(folder)


def test_images_that_contours_refer_to_and_the_ct_lacks_are_told_of(folder):
    with edited(folder / "structure_set.dcm") as data:
        data.ROIContourSequence[1].ContourSequence[0].ContourImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    with pytest.warns(CaseWarning, match="were drawn on 1 image that the CT series lacks"):
        read_case(folder)


def test_structures_whose_contours_are_lost_are_named(folder):
    """As in a structure set that was cut off between two structures and closed again."""
    with edited(folder / "structure_set.dcm") as data:
        data.ROIContourSequence = data.ROIContourSequence[:2]
        del data.RTROIObservationsSequence
    with pytest.warns(CaseWarning) as caught:
        read_case(folder)
    told = [str(note.message) for note in caught]
    assert "Structures without a contour on the CT were left out: 'Parotid_L'." in told
    assert any("ends without RT ROI Observations, as one that was cut off" in note for note in told)
