"""What can be planned but should be looked at twice: sentences about a beam set."""

from __future__ import annotations

from collections.abc import Sequence

from dose_prediction.case.arc import Arc
from dose_prediction.case.beam import Beam
from dose_prediction.case.beam_notation import describe

# A table turned by less than this is as good as straight.
STRAIGHT_COUCH_DEG = 10.0
# Tables turn about this far to either side.
COUCH_REACH_DEG = 95.0
# From here on the head of the machine comes down beside the patient.
BESIDE_THE_PATIENT_DEG = 30.0
SHORT_ARC_DEG = 30.0


def check_beams(beams: Sequence[Beam | Arc]) -> list[str]:
    """Warnings in sentences about beams that cannot be told to be wrong: couch and gantry may collide, an arc may turn the wrong way, ..."""
    found = []
    for number, beam in enumerate(beams, start=1):
        found += [
            f"Beam {number} ({describe(beam)}) {words}" for words in (*_couch_warnings(beam), *(_arc_warnings(beam) if isinstance(beam, Arc) else ()))
        ]
    aims = [_aim(beam) for beam in beams]
    for number, aim in enumerate(aims, start=1):
        if aim in aims[: number - 1]:
            found.append(f"Beams {aims.index(aim) + 1} and {number} are the same ({describe(beams[number - 1])}); remove one of the two.")
    return found


def _couch_warnings(beam: Beam | Arc) -> list[str]:
    couch = _signed(beam.couch_deg)
    if abs(couch) > COUCH_REACH_DEG:
        return [f"needs the couch turned by {couch:g}°, further than most machines can (±{COUCH_REACH_DEG:g}°)."]
    if abs(couch) < STRAIGHT_COUCH_DEG:
        return []
    # With the couch turned counter-clockwise (IEC: 0 to 180) the patient's feet lie on the side of gantry 90, else on that of 270.
    side = 1 if couch > 0 else -1
    points = beam.control_points() if isinstance(beam, Arc) else (beam,)
    if any(BESIDE_THE_PATIENT_DEG < side * _signed(point.gantry_deg) < 180 for point in points):
        sweeps = "sweeps through" if isinstance(beam, Arc) else "stands on"
        return [f"{sweeps} the side to which the couch is turned ({couch:g}°); check that the gantry clears couch and patient."]
    return []


def _arc_warnings(arc: Arc) -> list[str]:
    found = []
    if arc.length_deg < SHORT_ARC_DEG:
        found.append(f"is only {arc.length_deg:g}° long; check its direction.")
    to_180 = (180 - arc.start_deg if arc.is_clockwise else arc.start_deg - 180) % 360.0
    if 0 < to_180 < arc.length_deg:
        found.append("passes gantry 180°, where the gantry of most machines stops; check its direction.")
    return found


def _aim(beam: Beam | Arc) -> tuple[object, ...]:
    where = (beam.start_deg, beam.stop_deg, beam.is_clockwise) if isinstance(beam, Arc) else (beam.gantry_deg,)
    return (*where, beam.couch_deg, beam.collimator_deg, beam.energy_mv, beam.is_flattened)


def _signed(angle_deg: float) -> float:
    return (angle_deg + 180.0) % 360.0 - 180.0
