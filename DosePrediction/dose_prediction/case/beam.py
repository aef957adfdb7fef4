"""Treatment beams in IEC 61217 angles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dose_prediction.case.errors import CaseError


@dataclass(frozen=True)
class Beam:
    """One static photon field, modulated freely (IMRT).

    `gantry_deg`, `couch_deg` and `collimator_deg` are IEC 61217 angles; for a head-first supine patient gantry 0 enters from anterior and 90 from the
    patient's left.  `energy_mv` is the nominal beam energy in MV.
    """

    gantry_deg: float
    couch_deg: float = 0.0
    collimator_deg: float = 0.0
    energy_mv: float = 6.0

    def __post_init__(self) -> None:
        for name in ("gantry_deg", "couch_deg", "collimator_deg"):
            value = getattr(self, name)
            if not np.isfinite(value) or not -360 <= value <= 360:
                raise CaseError(f"Beam {name.removesuffix('_deg')} angle is {value}; give degrees between -360 and 360.")
            object.__setattr__(self, name, float(value) % 360.0)
        if not np.isfinite(self.energy_mv) or not 1 <= self.energy_mv <= 25:
            raise CaseError(f"Beam energy is {self.energy_mv} MV; give a photon energy between 1 and 25 MV.")


def equispaced_beams(count: int, start_deg: float = 0.0, energy_mv: float = 6.0) -> tuple[Beam, ...]:
    """`count` coplanar beams at equal gantry spacing, the first at `start_deg`.

    >>> [beam.gantry_deg for beam in equispaced_beams(4, 10)]
    [10.0, 100.0, 190.0, 280.0]
    """
    if not 1 <= count <= 360:
        raise CaseError(f"Number of beams is {count}; give 1 to 360.")
    return tuple(Beam((start_deg + 360.0 * i / count) % 360.0, energy_mv=energy_mv) for i in range(count))


def parse_beams(text: str) -> tuple[Beam, ...]:
    """Beams from gantry angles such as ``"0, 40, 80"``; ``"0,40,...,320"`` goes on in equal steps; ``"30/90"`` is gantry 30 with the couch at 90.

    >>> len(parse_beams("0,40,...,320"))
    9
    """
    parts = [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]
    if not parts:
        raise CaseError(f"Beam list {text!r} is empty; give gantry angles in degrees, for example 0,40,...,320.")
    angles: list[tuple[float, float]] = []
    for position, part in enumerate(parts):
        if part in ("...", "…"):
            angles += _continued(text, angles, parts[position + 1 :])
            continue
        gantry, _, couch = part.partition("/")
        try:
            angles.append((float(gantry), float(couch) if couch else 0.0))
        except ValueError:
            raise CaseError(f"Beam angle {part!r} is not a number; give gantry angles in degrees, for example 0,40,...,320.") from None
    beams = tuple(Beam(gantry, couch) for gantry, couch in angles)
    repeated = sorted({beam.gantry_deg for beam in beams if beams.count(beam) > 1})
    if repeated:
        raise CaseError(f"Beam list {text!r} has gantry {repeated[0]:g} twice; remove one of the two.")
    return beams


def _continued(text: str, before: list[tuple[float, float]], after: list[str]) -> list[tuple[float, float]]:
    """The angles that "..." stands for between the two before it and the one after it."""
    try:
        (first, _), (second, couch) = before[-2:]
        last = float(after[0].partition("/")[0])
    except (ValueError, IndexError):
        raise CaseError(f"Beam list {text!r}: '...' needs two angles before it and one after it, as in 0,40,...,320.") from None
    step = second - first
    steps = (last - second) / step if step else -1.0
    if steps < 1 or abs(steps - round(steps)) > 1e-6:
        raise CaseError(f"Beam list {text!r}: steps of {step:g} degrees from {second:g} do not reach {last:g}; correct the step or the last angle.")
    return [(second + step * i, couch) for i in range(1, round(steps))]
