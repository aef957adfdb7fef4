"""Beams and lists of beams."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dose_prediction.case import Arc, Beam, CaseError, beams_as_json, beams_from_json, describe, equispaced_beams, parse_beams, static_fields


def gantry(beams: tuple[Beam | Arc, ...]) -> list[float]:
    return [one.gantry_deg for one in beams if isinstance(one, Beam)]


def test_ellipsis_goes_on_in_equal_steps() -> None:
    assert gantry(parse_beams("0,40,...,320")) == [0, 40, 80, 120, 160, 200, 240, 280, 320]
    assert gantry(parse_beams("300, 280, …, 200")) == [300, 280, 260, 240, 220, 200]
    assert gantry(parse_beams("181;270;0;90")) == [181, 270, 0, 90]
    assert gantry(parse_beams("10,20,...,40,100")) == [10, 20, 30, 40, 100]


def test_couch_follows_the_gantry_after_a_slash() -> None:
    assert parse_beams("0, 30/90, 330/-90") == (Beam(0), Beam(30, 90), Beam(330, 270))


def test_arcs_are_given_by_start_stop_and_direction() -> None:
    assert parse_beams("arc 181-179 cw") == (Arc(181, 179),)
    assert parse_beams("ARC 20 – 340.5 CCW/350/30; 10") == (Arc(20, 340.5, False, 350, 30), Beam(10))
    assert parse_beams("arc -179-20 cw, arc 20--179 ccw") == (Arc(181, 20), Arc(20, 181, is_clockwise=False))


def test_collimator_follows_the_couch() -> None:
    assert parse_beams("30/90/15, 40, ..., 60") == (Beam(30, 90, 15), Beam(40), Beam(50), Beam(60))


def test_same_gantry_at_another_couch_is_another_beam() -> None:
    assert len(parse_beams("30, 30/90")) == 2


def test_angles_are_kept_between_0_and_360() -> None:
    assert Beam(-40) == Beam(320)
    assert Beam(360) == Beam(0)


@given(st.integers(1, 72), st.floats(0, 359))
def test_equispaced_beams_are_equally_far_apart(count: int, start_deg: float) -> None:
    angles = gantry(equispaced_beams(count, start_deg))
    assert len(angles) == count
    assert angles[0] == pytest.approx(start_deg, abs=1e-6)
    gaps = [(second - first) % 360 for first, second in itertools.pairwise(angles)]
    assert gaps == pytest.approx([360 / count] * (count - 1), abs=1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("0,abc", "'abc' is not a number"),
        ("0,40/x", "not a number"),
        ("nan", "angle is nan"),
        ("0,400", "angle is 400"),
        ("0,40,0", "gantry 0° twice"),
        ("0,360", "gantry 0° twice"),
        ("0,...,320", "two angles before it"),
        ("0,40,...", "one after it"),
        ("0,40,...,330", "do not reach 330"),
        ("0,0,...,320", "do not reach 320"),
        ("0,40,...,20", "do not reach 20"),
        ("0,40,...,arc 0-90 cw", "one after it"),
        ("0/0/0/0", "has 4 angles"),
        ("arc 181-179", r"direction \(cw or ccw\)"),
        ("arc 181 cw", "give start, stop and direction"),
        ("arc 1.2.3-90 cw", "is not a number"),
        ("arc 179-181 ccw/x", "is not a number"),
        ("arc 181-179 cw, arc 181-179 cw", "has arc 181° to 179° clockwise twice"),
    ],
)
def test_beam_list_that_makes_no_sense_is_refused(text: str, words: str) -> None:
    with pytest.raises(CaseError, match=words):
        parse_beams(text)


@pytest.mark.parametrize("count", [0, -1, 361])
def test_impossible_number_of_beams_is_refused(count: int) -> None:
    with pytest.raises(CaseError, match="Number of beams"):
        equispaced_beams(count)


@pytest.mark.parametrize("energy_mv", [0, 30, float("nan")])
def test_impossible_energy_is_refused(energy_mv: float) -> None:
    with pytest.raises(CaseError, match="energy"):
        Beam(0, energy_mv=energy_mv)


@pytest.mark.parametrize("leaf_width_mm", [0, 2.5, 7, -5, float("nan")])
def test_leaves_of_another_width_are_refused(leaf_width_mm: float) -> None:
    with pytest.raises(CaseError, match="leaf width is .* mm; give 5 or 10 mm"):
        Beam(0, leaf_width_mm=leaf_width_mm)
    with pytest.raises(CaseError, match="leaf width"):
        Arc(181, 179, leaf_width_mm=leaf_width_mm)


def test_wide_leaves_go_through_json_stay_with_the_fields_of_an_arc_and_are_said() -> None:
    beams = (Beam(30, leaf_width_mm=10), Arc(20, 80, leaf_width_mm=10))
    assert beams_from_json(beams_as_json(beams)) == beams
    assert {field.leaf_width_mm for field in static_fields(beams)} == {10.0}
    assert describe(beams[0]) == "gantry 30°, leaves of 10 mm"
