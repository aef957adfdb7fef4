"""Usual beam sets, to start from."""

from __future__ import annotations

from dataclasses import dataclass

from dose_prediction.case.arc import Arc
from dose_prediction.case.beam import Beam, equispaced_beams
from dose_prediction.case.errors import CaseError


@dataclass(frozen=True)
class BeamTemplate:
    """A beam set with its name."""

    name: str
    beams: tuple[Beam | Arc, ...]


def _there_and_back(start_deg: float, stop_deg: float) -> tuple[Arc, Arc]:
    """An arc clockwise and one back; their leaves are turned, against each other, so that what leaks between leaves does not add up."""
    return Arc(start_deg, stop_deg, collimator_deg=30), Arc(stop_deg, start_deg, is_clockwise=False, collimator_deg=330)


# Arcs stop short of gantry 180, through which most machines cannot turn.  Tangents are five degrees short of opposed, so that the edges of the beams
# towards the lung, which diverge, are in line.
TEMPLATES: tuple[BeamTemplate, ...] = (
    BeamTemplate("5 fields", equispaced_beams(5)),
    BeamTemplate("7 fields", equispaced_beams(7)),
    BeamTemplate("9 fields", equispaced_beams(9)),
    BeamTemplate("1 full arc", _there_and_back(181, 179)[:1]),
    BeamTemplate("2 full arcs", _there_and_back(181, 179)),
    BeamTemplate("2 partial arcs, left", _there_and_back(340, 179)),
    BeamTemplate("2 partial arcs, right", _there_and_back(181, 20)),
    BeamTemplate("4-field box", equispaced_beams(4)),
    BeamTemplate("Breast tangents, left", (Beam(305), Beam(130))),
    BeamTemplate("Breast tangents, right", (Beam(55), Beam(230))),
)


def template_named(name: str) -> BeamTemplate:
    """The template of this name, however its letters are written.

    >>> len(template_named("9 Fields").beams)
    9
    """
    for template in TEMPLATES:
        if template.name.casefold() == name.strip().casefold():
            return template
    raise CaseError(f"No template is named {name!r}; there are {', '.join(repr(template.name) for template in TEMPLATES)}.")
