"""Beams in an RTPLAN: fields and arcs, their energies and weights, read and written."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_files import edited, keep_beams, validation_errors, water_folder
from dose_prediction.case import Arc, Beam, CaseError, CaseWarning, with_leaf_width
from dose_prediction.case_files import read_case
from dose_prediction.dicom.instances import item
from water_case import water_case

PLANNED: tuple[Beam | Arc, ...] = (
    Beam(360 / 7, couch_deg=350, collimator_deg=15, energy_mv=10, name="Left anterior"),
    Beam(200, is_flattened=False, weight=0.5),
    Arc(181, 20, couch_deg=10, collimator_deg=30, weight=2.5, name="There"),
    Arc(20, 181.5, is_clockwise=False, energy_mv=10, is_flattened=False, spacing_deg=3),
    Arc(180, 180, is_clockwise=False),
)


def beams_in(folder: Path) -> tuple[Beam | Arc, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_case(folder).beams


def with_arc(folder: Path, *angles: float | None, directions: str = "CW", **elements: object) -> None:
    """Make the first beam of the plan an arc through these angles, None for a control point that does not say it; the other beams are removed."""
    with edited(folder / "plan.dcm") as data:
        keep_beams(data, 1)
        (beam,) = data.BeamSequence
        first = beam.ControlPointSequence[0]
        points = [first, *(item(ControlPointIndex=index, CumulativeMetersetWeight="1") for index in range(1, len(angles)))]
        for point, angle in zip(points, angles, strict=True):
            if angle is not None:
                point.GantryAngle = str(angle)
        first.GantryRotationDirection = directions
        beam.ControlPointSequence, beam.NumberOfControlPoints = points, len(points)
        for keyword, value in elements.items():
            setattr(points[-1], keyword, value)


def with_monitor_units(folder: Path, *units: float) -> None:
    with edited(folder / "plan.dcm") as data:
        for reference, value in zip(data.FractionGroupSequence[0].ReferencedBeamSequence, units, strict=False):
            reference.BeamMeterset = str(value)


def test_beams_and_arcs_come_back_as_they_were_written(tmp_path):
    case = water_case().with_beams(PLANNED)
    folder = water_folder(tmp_path / "water", case)
    assert beams_in(folder) == PLANNED
    assert read_case(folder).digest == case.digest


def test_dicom3tools_finds_no_error_in_arcs(tmp_path):
    folder = water_folder(tmp_path / "water", water_case().with_beams(PLANNED))
    assert validation_errors(folder / "plan.dcm") == []


def test_an_arc_is_written_by_its_control_points(tmp_path):
    folder = water_folder(tmp_path / "water", water_case().with_beams((Arc(20, 350, is_clockwise=False, spacing_deg=10, weight=4),)))
    (beam,) = pydicom.dcmread(folder / "plan.dcm").BeamSequence
    points = beam.ControlPointSequence
    assert beam.BeamType == "DYNAMIC" and beam.NumberOfControlPoints == 4
    assert [float(point.GantryAngle) for point in points] == [20, 10, 0, 350]
    assert [point.GantryRotationDirection for point in points] == ["CC", "CC", "CC", "NONE"]
    assert np.allclose([float(point.CumulativeMetersetWeight) for point in points], np.array([0, 1, 2, 3]) * 4 / 3)
    assert beam.FinalCumulativeMetersetWeight == 4


@pytest.mark.parametrize(
    ("angles", "direction", "arc"),
    [
        ((181, 270, 0, 90, 179), "CW", Arc(181, 179, spacing_deg=20)),
        ((170, 80, 350, 190), "CC", Arc(170, 190, is_clockwise=False, spacing_deg=20)),
        ((10, 20, None, 30), "CW", Arc(10, 30, spacing_deg=7)),  # a control point says only what changed
        ((350, 10), "", Arc(350, 10, spacing_deg=20)),  # without a direction the shorter way
        ((10, 350), "", Arc(10, 350, is_clockwise=False, spacing_deg=20)),
    ],
)
def test_start_stop_and_direction_are_those_of_the_control_points(folder, angles, direction, arc):
    with_arc(folder, *angles, directions=direction)
    assert beams_in(folder) == (arc,)


def test_a_gantry_that_hardly_moves_is_a_static_beam(folder):
    with_arc(folder, 40, 40.2)
    assert beams_in(folder) == (Beam(40),)


@pytest.mark.parametrize(("mode", "mode_id", "is_flattened"), [("NON_STANDARD", "FFF", False), ("STANDARD", "", True), ("NON_STANDARD", "SRS", True)])
def test_beams_without_flattening_filter_are_known_by_their_fluence_mode(folder, mode, mode_id, is_flattened):
    with edited(folder / "plan.dcm") as data:
        data.BeamSequence[1].PrimaryFluenceModeSequence = [item(FluenceMode=mode, FluenceModeID=mode_id)]
    assert [beam.is_flattened for beam in beams_in(folder)] == [True, is_flattened, True, True, True]


def test_the_width_of_the_leaves_comes_back_as_it_was_written(tmp_path):
    case = water_case()
    case = case.with_beams(with_leaf_width(case.beams, 10))
    folder = water_folder(tmp_path / "water", case)
    assert {beam.leaf_width_mm for beam in beams_in(folder)} == {10}
    assert validation_errors(folder / "plan.dcm") == []


@pytest.mark.parametrize(
    ("boundaries", "width_mm"),
    [
        # As machines have them: Millennium 120, HD120, Agility, MLCi and a Halcyon's upper layer.
        ([*range(-200, -99, 10), *range(-95, 100, 5), *range(100, 201, 10)], 5),
        ([*range(-110, -39, 5), *np.arange(-37.5, 40, 2.5).tolist(), *range(40, 111, 5)], 5),
        ([*range(-200, 201, 5)], 5),
        ([*range(-200, 201, 10)], 10),
        ([*range(-145, 146, 10)], 10),
        ([], 5),
    ],
)
def test_the_leaves_in_the_middle_decide(folder, boundaries, width_mm):
    with edited(folder / "plan.dcm") as data:
        for beam in data.BeamSequence:
            beam.BeamLimitingDeviceSequence[-1].LeafPositionBoundaries = [str(place) for place in boundaries]
    assert {beam.leaf_width_mm for beam in beams_in(folder)} == {width_mm}


def test_a_plan_is_made_for_the_narrowest_of_its_leaves(folder):
    with edited(folder / "plan.dcm") as data:
        del data.BeamSequence[0].BeamLimitingDeviceSequence  # and one beam says nothing
        for beam in data.BeamSequence[1:]:
            beam.BeamLimitingDeviceSequence[-1].LeafPositionBoundaries = [str(place) for place in range(-200, 201, 10)]
    assert {beam.leaf_width_mm for beam in beams_in(folder)} == {5}


def test_monitor_units_are_the_weights_relative_to_their_mean(folder):
    with_monitor_units(folder, 50, 100, 100, 100, 150)
    assert [beam.weight for beam in beams_in(folder)] == [0.5, 1, 1, 1, 1.5]


def test_equal_or_missing_monitor_units_weigh_nothing_more(folder):
    with_monitor_units(folder, 80, 80, 80, 80, 80)
    assert {beam.weight for beam in beams_in(folder)} == {1}
    with edited(folder / "plan.dcm") as data:
        del data.FractionGroupSequence[0].ReferencedBeamSequence[4].BeamMeterset
    with_monitor_units(folder, 80, 40, 120, 80)
    assert {beam.weight for beam in beams_in(folder)} == {1} and len(beams_in(folder)) == 5


def test_monitor_units_add_up_over_the_fraction_groups(folder):
    """25 fractions of the first three beams, then 10 of the last three: the third beam is in both."""
    with edited(folder / "plan.dcm") as data:
        first = data.FractionGroupSequence[0]
        boost = item(FractionGroupNumber=2, NumberOfFractionsPlanned=10, ReferencedBeamSequence=[])
        first.NumberOfFractionsPlanned = 25
        for group, numbers in ((first, (1, 2, 3)), (boost, (3, 4, 5))):
            group.ReferencedBeamSequence = [item(ReferencedBeamNumber=number, BeamMeterset="40") for number in numbers]
            group.NumberOfBeams = len(numbers)
        data.FractionGroupSequence = [first, boost]
    units = np.array([1000, 1000, 1400, 400, 400])
    assert [beam.weight for beam in beams_in(folder)] == pytest.approx(units / units.mean(), abs=1e-3)


def without_monitor_units(folder: Path) -> None:
    with_monitor_units(folder, 80, 80, 0, 80, 80)


def without_reference(folder: Path) -> None:
    with edited(folder / "plan.dcm") as data:
        group = data.FractionGroupSequence[0]
        del group.ReferencedBeamSequence[2]
        group.NumberOfBeams = len(group.ReferencedBeamSequence)


def without_fractions(folder: Path) -> None:
    with_monitor_units(folder, 80, 80, 80, 80, 80)
    with edited(folder / "plan.dcm") as data:
        first = data.FractionGroupSequence[0]
        idle = item(FractionGroupNumber=2, NumberOfFractionsPlanned=0, NumberOfBeams=1, ReferencedBeamSequence=[first.ReferencedBeamSequence[2]])
        del first.ReferencedBeamSequence[2]
        first.NumberOfBeams = len(first.ReferencedBeamSequence)
        data.FractionGroupSequence = [first, idle]


@pytest.mark.parametrize("spoil", [without_monitor_units, without_reference, without_fractions])
def test_a_beam_that_no_fraction_treats_with_is_left_out_and_told_of(folder, spoil):
    spoil(folder)
    with pytest.warns(CaseWarning, match="no fraction of the plan treats with were left out: 'Beam 3'"):
        case = read_case(folder)
    assert [(beam.gantry_deg, beam.weight) for beam in case.beams] == [(0, 1), (72, 1), (216, 1), (288, 1)]


def test_beams_for_setting_up_are_not_treated_with(folder):
    with edited(folder / "plan.dcm") as data:
        data.BeamSequence[0].TreatmentDeliveryType = "SETUP"
        data.BeamSequence[1].TreatmentDeliveryType = "OPEN_PORTFILM"
        data.BeamSequence[1].RadiationType = "ELECTRON"
    assert [beam.gantry_deg for beam in beams_in(folder)] == [144, 216, 288]


def test_a_field_split_in_two_is_one_beam_with_the_monitor_units_of_both(folder):
    with edited(folder / "plan.dcm") as data:
        data.BeamSequence[1].ControlPointSequence[0].GantryAngle = data.BeamSequence[0].ControlPointSequence[0].GantryAngle
        data.BeamSequence[1].BeamName = "1 b"
    with_monitor_units(folder, 60, 40, 100, 100, 200)
    beams = beams_in(folder)
    assert [(beam.gantry_deg, beam.weight) for beam in beams] == [(0, 0.8), (144, 0.8), (216, 0.8), (288, 1.6)]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: with_arc(f, 0, 90, 45, directions=""), "turns its gantry back and forth"),
        (lambda f: with_arc(f, 0, 180, 350, 20), "by 380 degrees, more than once round"),
        (lambda f: with_arc(f, 0, 90, PatientSupportAngle="20"), "turns the table while it radiates"),
    ],
)
def test_arcs_that_cannot_be_planned_are_refused(folder: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(folder)
    with pytest.raises(CaseError, match=words):
        read_case(folder)


def change_plan(folder: Path, change: Callable[[Dataset], object]) -> None:
    with edited(folder / "plan.dcm") as data:
        change(data)


def in_beam(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda plan: setattr(plan.BeamSequence[0], keyword, value)


def in_first_point(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda plan: setattr(plan.BeamSequence[0].ControlPointSequence[0], keyword, value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (in_beam("RadiationType", "ELECTRON"), "Beam 'Beam 1' of the plan is of electrons"),
        (in_first_point("GantryAngle", None), "Beam 'Beam 1' of the plan has no usable Gantry Angle"),
        (in_first_point("IsocenterPosition", [0, 0, 50]), "several isocentres"),
        (in_first_point("TableTopPitchAngle", 5), "table pitched by 5 degrees"),
        (in_beam("ControlPointSequence", []), "has no control point"),
        (in_beam("TreatmentDeliveryType", "TREAT"), "Beam 'Beam 1' of the plan is of the unknown kind 'TREAT'"),
        (in_beam("BeamNumber", None), "A beam of the plan has no usable Beam Number"),
        (in_beam("BeamNumber", 2), "The number 2 stands for more than one beam of the plan"),
        (keep_beams, "no treatment beam"),
    ],
)
def test_mistakes_are_named(folder, change, sentence):
    change_plan(folder, change)
    with pytest.raises(CaseError, match=sentence):
        read_case(folder)


def test_beams_that_the_fractions_refer_to_and_the_plan_lacks_are_named(folder):
    """As in a plan that was cut off between two beams."""
    change_plan(folder, lambda plan: setattr(plan, "BeamSequence", plan.BeamSequence[:3]))
    with pytest.raises(CaseError, match="refer to beam 4, 5, which the plan does not hold: it was cut off. Export it again"):
        read_case(folder)


def test_a_beam_that_lacks_control_points_is_refused(folder):
    with_arc(folder, 0, 20, 40)
    change_plan(folder, in_beam("NumberOfControlPoints", 5))
    with pytest.raises(CaseError, match="promises 5 control points and has 3; export the plan again"):
        read_case(folder)


def test_fractions_that_promise_more_beams_than_they_refer_to_are_told_of(folder):
    change_plan(folder, lambda plan: keep_beams(plan, 1, 2, 3))
    change_plan(folder, lambda plan: setattr(plan.FractionGroupSequence[0], "NumberOfBeams", 5))
    with pytest.warns(CaseWarning, match="promises 5 beams and refers to 3; check that none is missing"):
        assert len(read_case(folder).beams) == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (in_beam("RadiationType", ""), r"state no Radiation Type \('Beam 1'\); assumed: photons"),
        (in_first_point("NominalBeamEnergy", None), "state no Nominal Beam Energy .*; assumed: 6 MV"),
        (in_first_point("PatientSupportAngle", None), "state no Patient Support Angle .*; assumed: 0 degrees"),
        (in_first_point("BeamLimitingDeviceAngle", None), "state no Beam Limiting Device Angle .*; assumed: 0 degrees"),
        (in_first_point("IsocenterPosition", None), r"give no isocentre \('Beam 1'\); that of the others was taken"),
        (lambda plan: delattr(plan, "FractionGroupSequence"), "No fraction of the plan refers to beams; all of them were taken"),
    ],
)
def test_what_a_plan_leaves_open_is_told_of(folder, change, sentence):
    change_plan(folder, change)
    with pytest.warns(CaseWarning, match=sentence):
        assert read_case(folder).digest == water_case().digest


def test_a_prescription_to_no_structure_is_told_of(folder):
    """As where it is prescribed to a site or a point."""
    change_plan(folder, lambda plan: delattr(plan.DoseReferenceSequence[0], "ReferencedROINumber"))
    with pytest.warns(CaseWarning, match="prescribes 70 Gy to no structure that it names; prescriptions were taken from the structures' names"):
        assert [target.role.prescription_gy for target in read_case(folder).targets] == [70, 56]


def test_a_prescription_below_zero_is_refused(folder):
    change_plan(folder, lambda plan: setattr(plan.DoseReferenceSequence[0], "TargetPrescriptionDose", "-2"))
    with pytest.raises(CaseError, match="prescribes -2 Gy"):
        read_case(folder)


def test_a_prescription_to_a_structure_that_is_not_there_is_told_of(folder):
    change_plan(folder, lambda plan: setattr(plan.DoseReferenceSequence[0], "ReferencedROINumber", 9))
    with pytest.warns(CaseWarning, match="prescribes 70 Gy to structure 9, which has no contour; check the targets"):
        read_case(folder)
