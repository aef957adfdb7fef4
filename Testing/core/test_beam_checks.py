"""Beam sets that should be looked at twice."""

from __future__ import annotations

import pytest

from dose_prediction.case import Arc, Beam, check_beams, equispaced_beams
from dose_prediction.physics.beam_frame import beam_frame

CLEARS = "check that the gantry clears"


@pytest.mark.parametrize("couch_deg", [315, 45, 90, 270])
@pytest.mark.parametrize("gantry_deg", [45, 100, 170, 190, 260, 315])
def test_beams_that_come_low_from_the_side_of_the_feet_are_told_of(gantry_deg, couch_deg):
    """With the couch turned the patient's body and the table lie under beams that enter from inferior."""
    frame = beam_frame(Beam(gantry_deg, couch_deg), (0.0, 0.0, 0.0), 1000.0)
    comes_from_inferior = frame.source_mm[2] < 0
    assert any(CLEARS in sentence for sentence in check_beams([Beam(gantry_deg, couch_deg)])) == comes_from_inferior


@pytest.mark.parametrize(
    ("arc", "is_told_of"),
    [
        (Arc(181, 0, couch_deg=45), False),  # over the free side only
        (Arc(179, 0, is_clockwise=False, couch_deg=315), False),
        (Arc(179, 0, is_clockwise=False, couch_deg=45), True),
        (Arc(181, 0, couch_deg=315), True),
        (Arc(181, 179, couch_deg=90), True),
        (Arc(181, 179, couch_deg=5), False),
    ],
)
def test_an_arc_through_the_turned_couch_is_allowed_but_told_of(arc, is_told_of):
    assert any(CLEARS in sentence for sentence in check_beams((arc,))) == is_told_of


@pytest.mark.parametrize(
    ("beams", "words"),
    [
        ((Beam(0), Beam(0, couch_deg=130)), "Beam 2 (gantry 0°, couch 130°) needs the couch turned by 130°"),
        ((Arc(0, 20),), "is only 20° long; check its direction"),
        ((Arc(90, 270),), "passes gantry 180°"),
        ((Arc(270, 90, is_clockwise=False),), "passes gantry 180°"),
        ((Beam(10), Beam(0), Beam(10, name="again", weight=2)), "Beams 1 and 3 are the same"),
    ],
)
def test_what_is_odd_is_said_in_a_sentence(beams, words):
    (sentence,) = check_beams(beams)
    assert words in sentence and sentence.endswith(".")


def test_usual_beams_raise_no_eyebrow():
    assert check_beams((*equispaced_beams(9), Arc(181, 179), Arc(179, 181, is_clockwise=False))) == []
