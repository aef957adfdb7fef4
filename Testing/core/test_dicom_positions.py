"""Beams of patients in every position, held against the geometry of the treatment room."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dose_prediction.case import Arc, Beam, CaseError
from dose_prediction.dicom.patient_position import POSITIONS, head_first_supine_equivalent
from dose_prediction.physics.beam_frame import beam_frame

ISOCENTRE = (10.0, -20.0, 30.0)
# Where the table's X (to the right of one who faces the gantry), Y (towards the gantry) and Z (up) point in the patient (LPS); PS3.3, C.7.3.1.1.2.
TABLE_IN_PATIENT = {
    "HFS": {"X": (1, 0, 0), "Y": (0, 0, 1), "Z": (0, -1, 0)},  # left, head, front
    "HFP": {"X": (-1, 0, 0), "Y": (0, 0, 1), "Z": (0, 1, 0)},  # right, head, back
    "FFS": {"X": (-1, 0, 0), "Y": (0, 0, -1), "Z": (0, -1, 0)},  # right, feet, front
    "FFP": {"X": (1, 0, 0), "Y": (0, 0, -1), "Z": (0, 1, 0)},  # left, feet, back
}
ANGLES = st.floats(0, 359)


def in_room(position: str, vector: np.ndarray) -> np.ndarray:
    """A vector in the patient (LPS) as one in the table's system, for a patient in `position`."""
    axes = np.array([TABLE_IN_PATIENT[position][name] for name in "XYZ"], dtype=float)
    return axes @ vector


@pytest.mark.parametrize("position", POSITIONS)
@given(gantry=ANGLES, couch=ANGLES, collimator=ANGLES)
def test_the_equivalent_beam_stands_in_the_room_where_the_beam_stood(position, gantry, couch, collimator):
    """The reference is the beam on a head-first supine patient, whose frame in the room depends on the machine alone."""
    machine = beam_frame(Beam(gantry, couch, collimator), ISOCENTRE, 1000.0)
    placed = beam_frame(head_first_supine_equivalent(Beam(gantry, couch, collimator), position), ISOCENTRE, 1000.0)
    for axis in ("u", "v", "w"):
        assert np.allclose(in_room(position, getattr(placed, axis)), in_room("HFS", getattr(machine, axis)), atol=1e-6)


@pytest.mark.parametrize("position", POSITIONS)
@settings(deadline=None)
@given(start=ANGLES, stop=ANGLES, is_clockwise=st.booleans())
def test_an_arc_turns_through_the_equivalents_of_its_beams_in_their_order(position, start, stop, is_clockwise):
    assume(20 < (stop - start) % 360 < 340)
    arc = Arc(start, stop, is_clockwise, couch_deg=12, collimator_deg=7)
    found = head_first_supine_equivalent(arc, position).control_points()
    wanted = [head_first_supine_equivalent(beam, position) for beam in arc.control_points()]
    difference = [(one.gantry_deg - other.gantry_deg + 180) % 360 - 180 for one, other in zip(found, wanted, strict=True)]
    assert np.allclose(difference, 0, atol=1e-5)
    assert {(one.couch_deg, one.collimator_deg) for one in found} == {(one.couch_deg, one.collimator_deg) for one in wanted}


@pytest.mark.parametrize("position", POSITIONS)
def test_there_and_back_again(position):
    beam = Beam(33, 12, 7)
    back = head_first_supine_equivalent(head_first_supine_equivalent(beam, position), position)
    assert (back.gantry_deg, back.couch_deg, back.collimator_deg) == pytest.approx((33, 12, 7))


@pytest.mark.parametrize(
    ("position", "entry"),
    [("HFS", (1, 0, 0)), ("HFP", (-1, 0, 0)), ("FFS", (-1, 0, 0)), ("FFP", (1, 0, 0))],
)
def test_gantry_90_enters_from_the_side_that_faces_it(position, entry):
    """From the patient's left (+x) for HFS and FFP, from the right for HFP and FFS."""
    frame = beam_frame(head_first_supine_equivalent(Beam(90), position), ISOCENTRE, 1000.0)
    assert np.allclose(-frame.w, entry, atol=1e-9)


@pytest.mark.parametrize("position", ["HFDL", "SITTING", ""])
def test_other_positions_are_refused(position):
    with pytest.raises(CaseError, match="beams are known for HFS"):
        head_first_supine_equivalent(Beam(0), position)
