"""Arcs, the fields that stand for them, and the usual beam sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dose_prediction.case import TEMPLATES, Arc, Beam, CaseError, beams_as_json, beams_from_json, check_beams, static_fields, template_named
from dose_prediction.case.arc import FIELD_SPACING_DEG

ANGLES = st.floats(0, 359)


def angles_of(beams: tuple[Beam, ...]) -> list[float]:
    return [beam.gantry_deg for beam in beams]


def turned(arc: Arc, beams: tuple[Beam, ...]) -> np.ndarray:
    """How far the gantry has turned from the start of the arc to each beam."""
    return np.array([(beam.gantry_deg - arc.start_deg) * (1 if arc.is_clockwise else -1) % 360 for beam in beams])


@settings(deadline=None)
@given(start=ANGLES, stop=ANGLES, is_clockwise=st.booleans(), at_most=st.sampled_from([2.0, 5.0, 10.0, 30.0]))
def test_fields_lie_in_the_middle_of_equal_parts_of_the_arc(start, stop, is_clockwise, at_most):
    assume(5 < (stop - start) % 360 < 355)
    arc = Arc(start, stop, is_clockwise)
    fields = arc.fields(at_most)
    part = arc.length_deg / len(fields)
    assert part <= at_most + 1e-6 and (len(fields) - 1) * at_most < arc.length_deg + 1e-6  # no more of them than needed
    assert turned(arc, fields) == pytest.approx((np.arange(len(fields)) + 0.5) * part, abs=1e-5)


def test_control_points_go_from_start_to_stop_in_the_direction_of_the_arc():
    assert angles_of(Arc(350, 20, spacing_deg=10).control_points()) == [350, 0, 10, 20]
    assert angles_of(Arc(20, 350, is_clockwise=False, spacing_deg=10).control_points()) == [20, 10, 0, 350]
    full = angles_of(Arc(180, 180).control_points())
    assert len(full) == 181 and full[:3] == [180, 182, 184] and full[-1] == 180


def test_couch_collimator_energy_filter_and_weight_are_those_of_the_arc():
    arc = Arc(10, 50, True, 350, 15, 10, 2, False, 0.5, "A")
    assert set(arc.fields(20)) == {Beam(20, 350, 15, 10, False, 0.5, "A"), Beam(40, 350, 15, 10, False, 0.5, "A")}
    assert {(point.couch_deg, point.collimator_deg, point.energy_mv) for point in arc.control_points()} == {(350, 15, 10)}


def test_an_arc_there_and_back_has_the_fields_of_one():
    there, back = Arc(181, 179, collimator_deg=30, weight=1), Arc(179, 181, is_clockwise=False, collimator_deg=330, weight=3)
    assert len(static_fields((there, back))) == len(there.fields(FIELD_SPACING_DEG)) == 36
    assert {beam.weight for beam in static_fields((there, back))} == {2}


def test_arcs_at_different_couch_angles_keep_their_own_fields():
    one, other = Arc(181, 20), Arc(181, 20, couch_deg=10)
    assert len(static_fields((one, other))) == 2 * len(static_fields((one,)))


def test_static_beams_are_fields_as_they_are():
    beams = (Beam(3, name="A"), Arc(10, 30), Beam(3, weight=2))
    assert static_fields(beams)[:2] == (Beam(3, name="A"), Beam(3, weight=2))
    assert angles_of(static_fields(beams)[2:]) == [15, 25]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Arc(179, 181, is_clockwise=True, spacing_deg=5), "is 2 degrees long, .* turn it counter-clockwise"),
        (lambda: Arc(400, 0), "start angle is 400"),
        (lambda: Arc(0, float("nan")), "stop angle is nan"),
        (lambda: Arc(0, 90, spacing_deg=0), "control points every 0 degrees; give 0.5 to 20"),
        (lambda: Arc(0, 90, energy_mv=60), "Arc energy is 60 MV"),
        (lambda: Arc(0, 90, weight=0), "Arc weight is 0; .* leave the beam out"),
        (lambda: Beam(0, weight=-1), "Beam weight is -1"),
    ],
)
def test_what_cannot_be_is_refused(wrong, words):
    with pytest.raises(CaseError, match=words):
        wrong()


# Templates


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_templates_raise_no_eyebrow_and_go_through_json(template):
    assert check_beams(template.beams) == []
    assert beams_from_json(beams_as_json(template.beams)) == template.beams


@pytest.mark.parametrize(("side", "sign"), [("left", 1), ("right", -1)])
def test_partial_arcs_and_tangents_stay_on_their_side(side, sign):
    """Gantry 0 to 180 is at the patient's left.  Of a pair of tangents the lateral one is behind the middle, the medial one before it."""
    arcs = static_fields(template_named(f"2 partial arcs, {side}").beams)
    assert np.mean([sign * np.sin(np.radians(beam.gantry_deg)) > 0 for beam in arcs]) > 0.85
    medial, lateral = (np.radians(beam.gantry_deg) for beam in static_fields(template_named(f"Breast tangents, {side}").beams))
    assert sign * np.sin(lateral) > 0 > np.cos(lateral)
    assert sign * np.sin(medial) < 0 < np.cos(medial)


def test_the_edges_of_tangents_towards_the_lung_are_in_line():
    """Turning the lateral beam backwards, from 125 to 130, turns its diverging edge out of the lung."""
    medial, lateral = static_fields(template_named("Breast tangents, left").beams)
    assert (medial.gantry_deg - lateral.gantry_deg) % 360 == 175


def test_a_template_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(CaseError, match="No template is named '3 arcs'; there are '5 fields', '7 fields'"):
        template_named("3 arcs")
