"""Treatment beams of an RTPLAN: static fields and arcs, with their weights."""

from __future__ import annotations

import itertools
import math
import warnings
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from dose_prediction.case import LEAF_WIDTHS_MM, Arc, Beam, CaseError, CaseWarning
from dose_prediction.dicom.elements import items, number, numbers, text

# A beam whose gantry turns by less is static.
SHORTEST_ARC_DEG = 1.0
# Between control points, as an `Arc` may have it.
SPACINGS_DEG = (0.5, 20.0)
MULTILEAF = ("MLCX", "MLCY")


def default_beam_name(beam_number: int) -> str:
    """What a beam without a name is called in a plan."""
    return f"Beam {beam_number}"


def read_beam(data: Dataset, points: Sequence[Dataset], where: str) -> Beam | Arc:
    """The beam with these control points, by the angles of the machine; an arc where the gantry turns.

    Its weight is its final cumulative meterset weight.  Raises CaseError, with `where` in its words, for what cannot be planned: a tilted table or
    gantry, a table that turns, a gantry that turns back or more than once round.
    """
    first = points[0]
    stated = number(data, "NumberOfControlPoints", where, default=len(points))
    if stated != len(points):
        raise CaseError(f"{where} promises {stated:g} control points and has {len(points)}; export the plan again.")
    _refuse_tilt(first, where)
    couch = number(first, "PatientSupportAngle", where, default=0.0)
    if any(abs(_shortest(number(point, "PatientSupportAngle", where, default=couch) - couch)) > 1 for point in points):
        raise CaseError(f"{where} turns the table while it radiates, which cannot be planned; leave it out.")
    name = text(data, "BeamName")
    final = number(data, "FinalCumulativeMetersetWeight", where, default=1.0)
    settings: dict[str, Any] = {
        "couch_deg": couch % 360,
        "collimator_deg": number(first, "BeamLimitingDeviceAngle", where, default=0.0) % 360,
        "energy_mv": number(first, "NominalBeamEnergy", where, default=6.0),
        "is_flattened": not any(_is_fff(mode) for mode in items(data, "PrimaryFluenceModeSequence")),
        "weight": final if 0 < final <= 1000 else 1.0,
        "leaf_width_mm": _leaf_width_mm(data, where),
        "name": "" if name == default_beam_name(int(number(data, "BeamNumber", where, default=0.0))) else name,
    }
    angles = _gantry_angles(points, where)
    length = sum(_turns(points, angles, where))
    if abs(length) < SHORTEST_ARC_DEG:
        return Beam(angles[0] % 360, **settings)
    return Arc(angles[0] % 360, angles[-1] % 360, length > 0, spacing_deg=_spacing(abs(length), len(points) - 1), **settings)


def treated_beams(plan: Dataset, beam_numbers: Collection[int]) -> set[int]:
    """Those of the plan's beams that its fraction groups treat with: what they refer to, without what has no monitor units beside others.

    Empty where no fraction group refers to any.  Raises CaseError if one refers to a beam that the plan lacks, and issues a CaseWarning if one refers
    to another number of beams than it promises.
    """
    units = _monitor_units(plan)
    for group in items(plan, "FractionGroupSequence"):
        found = len(items(group, "ReferencedBeamSequence"))
        promised = number(group, "NumberOfBeams", "The fraction group of the plan", default=found)
        if promised != found:
            warnings.warn(
                f"A fraction group of the plan promises {promised:g} beams and refers to {found}; check that none is missing.",
                CaseWarning,
                stacklevel=3,
            )
    lost = sorted(units.keys() - set(beam_numbers))
    if lost:
        raise CaseError(
            f"The fractions of the plan refer to beam {', '.join(map(str, lost))}, which the plan does not hold: it was cut off. Export it again."
        )
    if any(value > 0 for value in units.values()):
        return {number for number, value in units.items() if value != 0}
    return set(units)


def weighted(beams: Sequence[Beam | Arc], plan: Dataset, beam_numbers: Sequence[int]) -> tuple[Beam | Arc, ...]:
    """The beams with their monitor units, relative to the mean, as weights, if the plan gives all of them; what is there twice is one beam.

    Weights that are all equal become 1.
    """
    units = _monitor_units(plan)
    together: dict[Beam | Arc, Beam | Arc] = {}
    total: defaultdict[Beam | Arc, float] = defaultdict(float)
    for beam, beam_number in zip(beams, beam_numbers, strict=True):
        place = replace(beam, name="", weight=1.0)
        together.setdefault(place, beam)
        total[place] += units.get(beam_number, 0.0)
    mean = sum(total.values()) / max(len(total), 1)
    if all(value > 0 for value in total.values()):  # not where one is NaN
        together = {place: replace(beam, weight=round(total[place] / mean, 3) or 0.001) for place, beam in together.items()}
    if len({beam.weight for beam in together.values()}) == 1:
        return tuple(replace(beam, weight=1.0) for beam in together.values())
    return tuple(together.values())


def _monitor_units(plan: Dataset) -> dict[int, float]:
    """The monitor units of each beam over all fractions, by the beams' numbers; NaN where a fraction group that refers to it does not state them."""
    units: defaultdict[int, float] = defaultdict(float)
    for group in items(plan, "FractionGroupSequence"):
        fractions = number(group, "NumberOfFractionsPlanned", "The fraction group of the plan", default=1.0)
        for reference in items(group, "ReferencedBeamSequence"):
            where = "A beam reference of the plan"
            stated = number(reference, "BeamMeterset", where) if text(reference, "BeamMeterset") else math.nan
            units[int(number(reference, "ReferencedBeamNumber", where))] += fractions * stated
    return dict(units)


def _refuse_tilt(first: Dataset, where: str) -> None:
    for keyword, words in (("TableTopPitchAngle", "pitched"), ("TableTopRollAngle", "rolled"), ("GantryPitchAngle", "pitched")):
        tilt = _shortest(number(first, keyword, where, default=0.0))
        if abs(tilt) > 0.5:
            raise CaseError(
                f"{where} has its {'gantry' if 'Gantry' in keyword else 'table'} {words} by {tilt:g} degrees, which cannot be planned; leave it out."
            )


def _is_fff(mode: Dataset) -> bool:
    """Whether a primary fluence mode is one without flattening filter (DICOM PS3.3 C.8.8.14: an ID tells what is not standard)."""
    return text(mode, "FluenceMode").upper() == "NON_STANDARD" and text(mode, "FluenceModeID").upper() in ("FFF", "")


def _leaf_width_mm(data: Dataset, where: str) -> float:
    """The one of `LEAF_WIDTHS_MM` that is nearest to the leaves in the middle of the field; the narrowest for a beam without such a collimator."""
    for device in items(data, "BeamLimitingDeviceSequence"):
        if text(device, "RTBeamLimitingDeviceType").upper() in MULTILEAF:
            boundaries_mm = numbers(device, "LeafPositionBoundaries", where)
            if len(boundaries_mm) > 1:
                above = min(max(int(np.searchsorted(boundaries_mm, 0.0)), 1), len(boundaries_mm) - 1)
                width_mm = boundaries_mm[above] - boundaries_mm[above - 1]
                return min(LEAF_WIDTHS_MM, key=lambda usual: abs(usual - width_mm))
    return LEAF_WIDTHS_MM[0]


def _gantry_angles(points: Sequence[Dataset], where: str) -> list[float]:
    """The gantry angle at each control point; one that does not say it has that of the one before."""
    angles = [number(points[0], "GantryAngle", where)]
    for point in points[1:]:
        angles.append(number(point, "GantryAngle", where, default=angles[-1]))
    return angles


def _turns(points: Sequence[Dataset], angles: Sequence[float], where: str) -> list[float]:
    """How far the gantry turns between control points, clockwise positive (PS3.3 C.8.8.14: seen from the isocentre, as in IEC 61217)."""
    turns = []
    rotation = ""
    for point, (angle, following) in zip(points, itertools.pairwise(angles), strict=False):
        rotation = text(point, "GantryRotationDirection").upper() or rotation
        clockwise = (following - angle) % 360
        turns.append({"CW": clockwise, "CC": -(-clockwise % 360)}.get(rotation, _shortest(clockwise)))
    if sum(map(abs, turns)) - abs(sum(turns)) > SHORTEST_ARC_DEG:
        raise CaseError(f"{where} turns its gantry back and forth, which cannot be planned; export it as several arcs.")
    if abs(sum(turns)) > 360 + 1e-6:
        raise CaseError(f"{where} turns its gantry by {abs(sum(turns)):g} degrees, more than once round, which cannot be planned; leave it out.")
    return turns


def _spacing(length_deg: float, steps: int) -> float:
    """The roundest spacing of control points that makes `steps` of them, as far as an arc can have it."""
    exact = length_deg / steps
    roundest = next((s for s in (round(exact, digits) for digits in range(6)) if s > 0 and round(length_deg / s) == steps), exact)
    return min(max(roundest, SPACINGS_DEG[0]), SPACINGS_DEG[1], length_deg)


def _shortest(angle_deg: float) -> float:
    """An angle as a turn of at most half a circle either way."""
    return (angle_deg + 180) % 360 - 180
