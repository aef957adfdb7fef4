"""Treatment beams in IEC 61217 angles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from dose_prediction.case.errors import CaseError

LEAF_WIDTHS_MM = (5.0, 10.0)  # in the isocentre plane; the usual leaves of multileaf collimators


@dataclass(frozen=True)
class Beam:
    """One static photon field, modulated freely (IMRT).

    `gantry_deg`, `couch_deg` and `collimator_deg` are IEC 61217 angles; for a head-first supine patient gantry 0 enters from anterior and 90 from the
    patient's left.  `energy_mv` is the nominal beam energy in MV, `is_flattened` False without flattening filter (FFF).  `weight` is relative to the
    other beams: a beam of weight 2 gives twice the share of the target dose that it gives where all weights are equal.  `name` decides nothing.
    `leaf_width_mm` is that of the multileaf collimator in the isocentre plane, the side of the beamlets that the fluence is planned with.
    """

    gantry_deg: float
    couch_deg: float = 0.0
    collimator_deg: float = 0.0
    energy_mv: float = 6.0
    is_flattened: bool = True
    weight: float = 1.0
    name: str = ""
    leaf_width_mm: float = LEAF_WIDTHS_MM[0]

    def __post_init__(self) -> None:
        check_values(self, "Beam", ("gantry_deg", "couch_deg", "collimator_deg"))


def check_values(beam: Any, kind: str, angles: Iterable[str]) -> None:
    """Bring the angles of a beam or an arc, being made, between 0 and 360; CaseError for values that cannot be, with `kind` in its words."""
    for attribute in angles:
        value = getattr(beam, attribute)
        if not np.isfinite(value) or not -360 <= value <= 360:
            raise CaseError(f"{kind} {attribute.removesuffix('_deg')} angle is {value}; give degrees between -360 and 360.")
        object.__setattr__(beam, attribute, round(float(value) % 360.0, 6) % 360.0)  # to what every kind of file can hold
    if not np.isfinite(beam.energy_mv) or not 1 <= beam.energy_mv <= 25:
        raise CaseError(f"{kind} energy is {beam.energy_mv} MV; give a photon energy between 1 and 25 MV.")
    if not np.isfinite(beam.weight) or not 0 < beam.weight <= 1000:
        raise CaseError(f"{kind} weight is {beam.weight}; give a weight above 0 and up to 1000, or leave the beam out.")
    if beam.leaf_width_mm not in LEAF_WIDTHS_MM:
        raise CaseError(f"{kind} leaf width is {beam.leaf_width_mm} mm; give {' or '.join(f'{width:g}' for width in LEAF_WIDTHS_MM)} mm.")
    object.__setattr__(beam, "leaf_width_mm", float(beam.leaf_width_mm))
    object.__setattr__(beam, "energy_mv", float(beam.energy_mv))
    object.__setattr__(beam, "weight", float(beam.weight))


def equispaced_beams(count: int, start_deg: float = 0.0, energy_mv: float = 6.0) -> tuple[Beam, ...]:
    """`count` coplanar beams at equal gantry spacing, the first at `start_deg`.

    >>> [beam.gantry_deg for beam in equispaced_beams(4, 10)]
    [10.0, 100.0, 190.0, 280.0]
    """
    if not 1 <= count <= 360:
        raise CaseError(f"Number of beams is {count}; give 1 to 360.")
    return tuple(Beam((start_deg + 360.0 * i / count) % 360.0, energy_mv=energy_mv) for i in range(count))


AnyBeam = TypeVar("AnyBeam", bound=Any)  # a Beam or an Arc


def with_leaf_width(beams: Iterable[AnyBeam], leaf_width_mm: float) -> tuple[AnyBeam, ...]:
    """The same beams and arcs from a collimator with leaves of this width."""
    return tuple(replace(beam, leaf_width_mm=leaf_width_mm) for beam in beams)
