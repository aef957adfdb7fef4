"""Beams in words: a list that people type, and a beam as they read it."""

from __future__ import annotations

import re

from dose_prediction.case.arc import Arc
from dose_prediction.case.beam import LEAF_WIDTHS_MM, Beam
from dose_prediction.case.errors import CaseError

EXAMPLE = "0,40,...,320 or arc 181-179 cw"
_NUMBER = r"([+-]?[\d.]+)"
_ARC = re.compile(rf"arc\s*{_NUMBER}\s*[-–]\s*{_NUMBER}\s*(cw|ccw)", re.IGNORECASE)

Angles = tuple[float, float, float]  # gantry, couch, collimator


def parse_beams(text: str) -> tuple[Beam | Arc, ...]:
    """Beams from gantry angles such as ``"0, 40, 80"``; ``"0,40,...,320"`` goes on in equal steps.

    ``"arc 181-179 cw"`` is an arc from 181 to 179 clockwise, ``"arc 179-181 ccw"`` one counter-clockwise.  Couch and collimator angles may follow:
    ``"30/90"`` is gantry 30 with the couch at 90, ``"arc 181-179 cw/0/30"`` an arc with the collimator at 30.

    >>> len(parse_beams("0,40,...,320"))
    9
    >>> parse_beams("arc 181-0 cw/45")[0].couch_deg
    45.0
    """
    parts = [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]
    if not parts:
        raise CaseError(f"Beam list {text!r} is empty; give gantry angles in degrees, for example {EXAMPLE}.")
    found: list[Angles | Arc] = []
    for position, part in enumerate(parts):
        if part in ("...", "…"):
            found += _continued(text, found, parts[position + 1 :])
        else:
            found.append(_arc(part) if part.lower().startswith("arc") else _angles(part))
    beams = tuple(one if isinstance(one, Arc) else Beam(*one) for one in found)
    repeated = next((beam for number, beam in enumerate(beams) if beam in beams[:number]), None)
    if repeated is not None:
        raise CaseError(f"Beam list {text!r} has {describe(repeated)} twice; remove one of the two.")
    return beams


def describe(beam: Beam | Arc) -> str:
    """A beam or arc in a few words; what is as usual (couch 0, collimator 0, 6 MV, weight 1, leaves of 5 mm) is not said.

    >>> describe(Beam(30, couch_deg=90)), describe(Arc(181, 179, energy_mv=10, is_flattened=False))
    ('gantry 30°, couch 90°', 'arc 181° to 179° clockwise, 10 MV FFF')
    """
    if isinstance(beam, Arc):
        words = [f"arc {beam.start_deg:g}° to {beam.stop_deg:g}° {'' if beam.is_clockwise else 'counter-'}clockwise"]
    else:
        words = [f"gantry {beam.gantry_deg:g}°"]
    if beam.couch_deg:
        words.append(f"couch {beam.couch_deg:g}°")
    if beam.collimator_deg:
        words.append(f"collimator {beam.collimator_deg:g}°")
    if beam.energy_mv != 6 or not beam.is_flattened:
        words.append(energy_in_words(beam))
    if beam.weight != 1:
        words.append(f"weight {beam.weight:g}")
    if beam.leaf_width_mm != LEAF_WIDTHS_MM[0]:
        words.append(f"leaves of {beam.leaf_width_mm:g} mm")
    return (f"{beam.name}: " if beam.name else "") + ", ".join(words)


def energy_in_words(beam: Beam | Arc) -> str:
    """
    >>> energy_in_words(Beam(0, energy_mv=6, is_flattened=False))
    '6 MV FFF'
    """
    return f"{beam.energy_mv:g} MV" + ("" if beam.is_flattened else " FFF")


def _arc(part: str) -> Arc:
    turn, *others = part.split("/")
    found = _ARC.fullmatch(turn.strip())
    if found is None:
        raise CaseError(f"Arc {part!r} cannot be read; give start, stop and direction (cw or ccw), for example arc 181-179 cw.")
    start, stop, direction = found.groups()
    couch, collimator = _couch_and_collimator(part, others)
    return Arc(_number(start, part), _number(stop, part), direction.lower() == "cw", couch, collimator)


def _angles(part: str) -> Angles:
    gantry, *others = part.split("/")
    return (_number(gantry, part), *_couch_and_collimator(part, others))


def _couch_and_collimator(part: str, given: list[str]) -> tuple[float, float]:
    if len(given) > 2:
        raise CaseError(f"Beam {part!r} has {len(given) + 1} angles; give gantry/couch/collimator at most.")
    couch, collimator = ([_number(angle, part) for angle in given] + [0.0, 0.0])[:2]
    return couch, collimator


def _number(angle: str, part: str) -> float:
    try:
        return float(angle)
    except ValueError:
        raise CaseError(f"Beam angle {part!r} is not a number; give gantry angles in degrees, for example {EXAMPLE}.") from None


def _continued(text: str, before: list[Angles | Arc], after: list[str]) -> list[Angles]:
    """The angles that "..." stands for between the two before it and the one after it."""
    first, second = before[-2:] if len(before) >= 2 else (None, None)
    if not isinstance(first, tuple) or not isinstance(second, tuple) or not after or after[0].lower().startswith("arc"):
        raise CaseError(f"Beam list {text!r}: '...' needs two angles before it and one after it, as in 0,40,...,320.")
    last = _angles(after[0])[0]
    step = second[0] - first[0]
    steps = (last - second[0]) / step if step else -1.0
    if steps < 1 or abs(steps - round(steps)) > 1e-6:
        raise CaseError(
            f"Beam list {text!r}: steps of {step:g} degrees from {second[0]:g} do not reach {last:g}; correct the step or the last angle."
        )
    return [(second[0] + step * i, *second[1:]) for i in range(1, round(steps))]
