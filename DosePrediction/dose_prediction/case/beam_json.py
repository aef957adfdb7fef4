"""Beams as JSON: a table a beam, in which what has its usual value is left out.

    {"gantry_deg": 30, "couch_deg": 90}
    {"start_deg": 181, "stop_deg": 179, "collimator_deg": 30}

Entries are the attributes of `Beam` and `Arc`.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, fields
from typing import Any

from dose_prediction.case.arc import Arc
from dose_prediction.case.beam import Beam
from dose_prediction.case.errors import CaseError

# What JSON may hold for an attribute of a type, and how that is called.
_ALLOWED = {"float": ((int, float), "a number"), "bool": ((bool,), "true or false"), "str": ((str,), "a text")}


def beams_as_json(beams: tuple[Beam | Arc, ...]) -> list[dict[str, Any]]:
    """`beams` as tables; `beams_from_json` gives them back.

    >>> beams_as_json((Beam(30, couch_deg=90),))
    [{'gantry_deg': 30.0, 'couch_deg': 90.0}]
    """
    return [{entry.name: getattr(beam, entry.name) for entry in fields(beam) if getattr(beam, entry.name) != entry.default} for beam in beams]


def beams_from_json(given: list[Any]) -> tuple[Beam | Arc, ...]:
    """Beams from tables, or from bare gantry angles.  Raises CaseError naming the beam at fault and what is wrong with it."""
    if not isinstance(given, list):
        raise CaseError(f"Beams are {_shown(given)}; give a list of gantry angles or of tables such as {{'gantry_deg': 30}}.")
    return tuple(_beam(number, one) for number, one in enumerate(given, start=1))


def _beam(number: int, given: Any) -> Beam | Arc:
    table = given if isinstance(given, dict) else {"gantry_deg": given}
    kind: type[Beam | Arc] = Arc if "start_deg" in table or "stop_deg" in table else Beam
    entries = {entry.name: entry for entry in fields(kind)}
    unknown = sorted(set(table) - set(entries))
    if unknown:
        raise CaseError(f"Beam {number} has the entry {unknown[0]!r}, which means nothing; entries are {', '.join(entries)}.")
    missing = [name for name, entry in entries.items() if entry.default is MISSING and name not in table]
    if missing:
        raise CaseError(f"Beam {number} ({_shown(given)}) has no {missing[0]!r}; give it in degrees.")
    for name, value in table.items():
        _check_type(number, entries[name], value)
    try:
        return kind(**table)
    except CaseError as error:
        raise CaseError(f"Beam {number}: {error}") from None


def _check_type(number: int, entry: Field[Any], value: Any) -> None:
    types, words = _ALLOWED[str(entry.type)]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise CaseError(f"Beam {number} has {_shown(value)} as {entry.name!r}; give {words}.")


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)[:80]
