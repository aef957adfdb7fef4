"""Structures of an RTSTRUCT as masks: where they lie, what they hold, what is told of and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_files import contour, edit_ct, edited, quiet_case, roi
from dose_prediction.case import CaseError, CaseWarning
from dose_prediction.case_files import read_case


def test_what_the_author_calls_external_or_a_target_is_one_whatever_its_name(folder):
    with edited(folder / "structure_set.dcm") as data:
        data.StructureSetROISequence[0].ROIName = "Umriss"
        data.StructureSetROISequence[1].ROIName = "Boost"
    case = quiet_case(folder)
    assert case.external is not None and case.external.name == "Umriss"
    assert case.targets[0].name == "Boost" and case.targets[0].role.prescription_gy == 70


def test_contours_on_a_ct_that_is_not_axial_are_refused(folder):
    def coronal(data: Dataset, index: int) -> None:
        data.ImageOrientationPatient, data.ImagePositionPatient = [1, 0, 0, 0, 0, -1], [-78, 3 * index, 78]

    edit_ct(folder, coronal)
    with pytest.raises(CaseError, match="slices are not axial; .* Export the structures on the axial CT"):
        read_case(folder)


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


def square(low: float, high: float, x: float = 0.0) -> np.ndarray:
    """Corners (x, y) from `low` to `high`, in mm, moved by `x`."""
    return np.array([[low + x, low], [high + x, low], [high + x, high], [low + x, high]])


def keyhole(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """A ring as one contour: around, in along a cut, around the hole the other way, out along the same cut."""
    return np.concatenate([outer, outer[:1], inner[:1], inner[::-1], outer[:1]])


@pytest.mark.parametrize(
    ("polygons", "area_mm2"),
    [
        ([square(-40, 40), square(-20, 20)], 80**2 - 40**2),  # a hole
        ([square(-40, 40), square(-20, 20), square(-8, 8)], 80**2 - 40**2 + 16**2),  # an island in a hole
        ([square(-12, 12, -40), square(-12, 12, 40)], 2 * 24**2),  # two islands
        ([keyhole(square(-40, 40), square(-20, 20))], 80**2 - 40**2),
        ([keyhole(square(-20, 20, x), square(-8, 8, x)) for x in (-20, 20)], 2 * (40**2 - 16**2)),  # two that touch
        ([keyhole(square(-40, 40), square(-40, 0))], 80**2 - 40**2),  # whose hole touches its edge
    ],
)
@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_holes_islands_and_keyholes_have_the_volume_of_their_polygons(folder, polygons, area_mm2, kind):
    contours = [contour(np.column_stack([one, np.full(len(one), z)]), kind) for z in np.arange(-15, 15, 3.0) for one in polygons]
    spoil(folder, "Parotid_L", lambda item: setattr(item, "ContourSequence", contours))
    mask = next(structure.mask for structure in quiet_case(folder).structures if structure.name == "Parotid_L")
    assert mask.sum() * 48.0 == pytest.approx(area_mm2 * 30, rel=0.01)


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
