"""Beams of a patient who does not lie head-first and supine, as the beams that give a head-first supine patient the same dose.

A `Beam` is defined for a head-first supine patient, and everything that computes with beams relies on that.  A patient in another position differs
from one who lies head-first and supine by half a turn about a vertical, a longitudinal or a transverse axis of the table, and half a turn about any
of them maps gantry, table and collimator angles onto others of their kind.  So a plan's angles are converted once, when it is read, and nothing
downstream needs to know the position; a plan that is written is converted back.  Derivation, with rotations as in IEC 61217 and
F(g, c, k) = T(c) G(g) K(k) the turn of the leaves' axes in the table's system:

    HFP: half a turn about the long axis:   G(180) T(c) G(g) K(k) = T(-c) G(g + 180) K(k)
    FFS: half a turn about the vertical:    T(180) T(c) G(g) K(k) = T(c) G(-g) K(k + 180)
    FFP: the two together:                                          T(-c) G(180 - g) K(k + 180)
"""

from __future__ import annotations

from dataclasses import replace

from dose_prediction.case import Arc, Beam, CaseError

HEAD_FIRST_SUPINE = "HFS"
POSITIONS = {
    "HFS": "head first, supine",
    "HFP": "head first, prone",
    "FFS": "feet first, supine",
    "FFP": "feet first, prone",
}


def head_first_supine_equivalent(beam: Beam | Arc, position: str) -> Beam | Arc:
    """The beam that enters a head-first supine patient where `beam` enters one in `position` (DICOM Patient Position); it is its own inverse.

    >>> head_first_supine_equivalent(Beam(90), "FFS").gantry_deg
    270.0
    >>> head_first_supine_equivalent(Arc(181, 20), "FFS").is_clockwise
    False

    Raises CaseError for a position other than HFS, HFP, FFS and FFP.
    """
    if position not in POSITIONS:
        raise CaseError(f"Patient position is {position!r}; beams are known for {', '.join(f'{p} ({words})' for p, words in POSITIONS.items())}.")
    is_prone, is_feet_first = position.endswith("P"), position.startswith("FF")

    def turned(gantry_deg: float) -> float:
        gantry = gantry_deg + 180 if is_prone else gantry_deg
        return (-gantry if is_feet_first else gantry) % 360

    couch = -beam.couch_deg % 360 if is_prone else beam.couch_deg
    collimator = (beam.collimator_deg + 180) % 360 if is_feet_first else beam.collimator_deg
    if isinstance(beam, Arc):
        start, stop, is_clockwise = turned(beam.start_deg), turned(beam.stop_deg), beam.is_clockwise != is_feet_first
        return replace(beam, start_deg=start, stop_deg=stop, is_clockwise=is_clockwise, couch_deg=couch, collimator_deg=collimator)
    return replace(beam, gantry_deg=turned(beam.gantry_deg), couch_deg=couch, collimator_deg=collimator)
