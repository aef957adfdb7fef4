"""The beams of the plan as the panel keeps them: each is on or off, and all are one JSON text in the parameter node."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from slicer.i18n import tr as _

from dose_prediction.case import Arc, Beam, CaseError, beams_as_json, beams_from_json
from dose_prediction.case.beam_notation import energy_in_words
from dose_prediction.physics.machine import PHOTON_FILES

IS_ON = "is_on"
Energy = tuple[float, bool]
"""Nominal energy in MV, and whether there is a flattening filter."""
ENERGIES: tuple[Energy, ...] = tuple(PHOTON_FILES)  # those that there are beam data for


@dataclass(frozen=True)
class PlanBeam:
    """One beam or arc of the plan; one that is off is left out of the case."""

    beam: Beam | Arc
    is_on: bool = True


def all_on(beams: tuple[Beam | Arc, ...]) -> tuple[PlanBeam, ...]:
    return tuple(PlanBeam(beam) for beam in beams)


def beams_as_text(beams: tuple[PlanBeam, ...]) -> str:
    """JSON that `beams_from_text` reads: the tables of `beams_as_json`, with `"is_on": false` where a beam is off."""
    tables = beams_as_json(tuple(one.beam for one in beams))
    for table, one in zip(tables, beams, strict=True):
        if not one.is_on:
            table[IS_ON] = False
    return json.dumps(tables)


def beams_from_text(text: str) -> tuple[PlanBeam, ...]:
    """CaseError where the text is none of `beams_as_text`."""
    try:
        tables = json.loads(text)
    except ValueError as error:
        raise CaseError(_("The scene's beams cannot be read ({error}); choose a template.").format(error=error)) from error
    if not isinstance(tables, list):
        raise CaseError(_("The scene's beams are {text}, not a list; choose a template.").format(text=text[:80]))
    is_on = [not (isinstance(table, dict) and table.pop(IS_ON, True) is False) for table in tables]
    return tuple(PlanBeam(beam, on) for beam, on in zip(beams_from_json(tables), is_on, strict=True))


def beam_label(number: int, beam: Beam | Arc) -> str:
    """What a beam is called: its name, or its number in the table from 1 on."""
    return beam.name or (_("Arc {number}") if isinstance(beam, Arc) else _("Field {number}")).format(number=number)


def energy_of(beam: Beam | Arc) -> Energy:
    return beam.energy_mv, beam.is_flattened


def with_energy(beam: Beam | Arc, energy: Energy) -> Beam | Arc:
    return replace(beam, energy_mv=energy[0], is_flattened=energy[1])


def of_the_same_machine(beam: Beam | Arc, other: Beam | Arc) -> Beam | Arc:
    """`beam` with energy and leaves of `other`."""
    return replace(with_energy(beam, energy_of(other)), leaf_width_mm=other.leaf_width_mm)


def energy_text(energy: Energy) -> str:
    """The energy with its unit: "6 MV", "10 MV FFF"."""
    return energy_in_words(with_energy(Beam(0.0), energy))


def energies_problem(beams: tuple[PlanBeam, ...]) -> str:
    """Which energies of the beams that are on there are no beam data for, as a sentence; empty if there are for all."""
    unknown = sorted({energy_of(one.beam) for one in beams if one.is_on} - set(ENERGIES))
    if not unknown:
        return ""
    names = [", ".join(map(energy_text, energies)) for energies in (unknown, ENERGIES)]
    return _("There are no beam data for {unknown}; choose one of: {known}.").format(unknown=names[0], known=names[1])


def as_field(beam: Beam | Arc) -> Beam:
    """A static field where the arc begins."""
    if isinstance(beam, Beam):
        return beam
    field = Beam(beam.start_deg, beam.couch_deg, beam.collimator_deg, beam.energy_mv, beam.is_flattened, beam.weight, beam.name)
    return replace(field, leaf_width_mm=beam.leaf_width_mm)


def as_arc(beam: Beam | Arc, is_clockwise: bool) -> Arc:
    """The arc turned that way, its ends swapped if it turned the other way before; of a field, nearly a full turn."""
    if isinstance(beam, Arc):
        if beam.is_clockwise == is_clockwise:
            return beam
        return replace(beam, start_deg=beam.stop_deg, stop_deg=beam.start_deg, is_clockwise=is_clockwise)
    start, stop = (181.0, 179.0) if is_clockwise else (179.0, 181.0)
    arc = Arc(start, stop, is_clockwise, beam.couch_deg, beam.collimator_deg, beam.energy_mv)
    return replace(arc, is_flattened=beam.is_flattened, weight=beam.weight, name=beam.name, leaf_width_mm=beam.leaf_width_mm)
