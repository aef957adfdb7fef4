"""Beams, isocentre and prescriptions of an RTPLAN."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from dose_prediction.case import Arc, Beam, CaseError, CaseWarning
from dose_prediction.dicom.beam_reader import read_beam, treated_beams, weighted
from dose_prediction.dicom.elements import items, items_by_number, number, numbers, text
from dose_prediction.dicom.patient_position import HEAD_FIRST_SUPINE, POSITIONS, head_first_supine_equivalent

SAME_POINT_MM = 0.1


@dataclass(frozen=True)
class PlannedBeams:
    """Beams of a plan as those of a head-first supine patient, their isocentre, prescriptions by ROI number and the patient position."""

    beams: tuple[Beam | Arc, ...]
    isocentre_mm: tuple[float, float, float] | None
    prescriptions_gy: dict[int, float]
    patient_position: str


def known_position(stated: str, where: str) -> str:
    """HFS, HFP, FFS or FFP as `where` states it, HFS if it is "".  Raises CaseError for a position in which beams cannot be placed."""
    if not stated:
        _warn("Nothing says how the patient lies; head first, supine was assumed.")
        return HEAD_FIRST_SUPINE
    if stated.upper() not in POSITIONS:
        raise CaseError(
            f"{where} has the patient position {stated!r}; "
            f"beams can be placed for {', '.join(f'{p} ({words})' for p, words in POSITIONS.items())} only. "
            "Save CT and structures as NRRD and give the beams by the angles at which they would enter a head-first supine patient."
        )
    return stated.upper()


def read_plan(plan: Dataset, ct_position: str, ct_frame_uid: str, with_beams: bool = True) -> PlannedBeams:
    """Photon treatment beams of a plan on a CT with the patient position `ct_position` and the frame of reference `ct_frame_uid`.

    `with_beams` False reads isocentre, prescriptions and position only, as where beams are given.  Raises CaseError if the plan lies in another frame
    of reference, treats with other than photons or in a way that cannot be planned, or has several isocentres or patient positions.
    """
    frame_uid = text(plan, "FrameOfReferenceUID")
    if frame_uid and ct_frame_uid and frame_uid != ct_frame_uid:
        raise CaseError("The plan lies in another frame of reference than the CT: they are of different scans. Export them together.")
    position = _position(plan, ct_position)
    beams: list[Beam | Arc] = []
    beam_numbers: list[int] = []
    isocentres: list[tuple[float, ...]] = []
    numbered = items_by_number(plan, "BeamSequence", "BeamNumber", "beam of the plan")
    treated = treated_beams(plan, numbered)
    idle: list[str] = []
    for beam_number, data in numbered.items():
        name = text(data, "BeamName") or str(beam_number)
        if text(data, "TreatmentDeliveryType").upper() not in ("", "TREATMENT", "CONTINUATION"):
            continue  # set-up and port films
        if treated and beam_number not in treated:
            idle.append(name)
            continue
        where = f"Beam {name!r} of the plan"
        radiation = text(data, "RadiationType").upper()
        if radiation not in ("", "PHOTON"):
            raise CaseError(f"{where} is of {radiation.lower()}s; doses are predicted for photons only.")
        points = items(data, "ControlPointSequence")
        if not points:
            raise CaseError(f"{where} has no control point and so no angle; export the plan again.")
        isocentres += [tuple(numbers(point, "IsocenterPosition", where, 3).tolist()) for point in points if text(point, "IsocenterPosition")][:1]
        if with_beams:
            beams.append(read_beam(data, points, where))
            beam_numbers.append(beam_number)
    if idle and with_beams:
        _warn(f"Beams that no fraction of the plan treats with were left out: {', '.join(map(repr, idle))}.")
    if with_beams and not beams:
        raise CaseError("The plan has no treatment beam; export a plan with beams, or give beams.")
    if position != HEAD_FIRST_SUPINE:
        _warn(
            f"The patient lies {POSITIONS[position]} ({position}); beams are given by the angles of a head-first supine patient, "
            "for whom they enter in the same place."
        )
    return PlannedBeams(
        tuple(head_first_supine_equivalent(beam, position) for beam in weighted(beams, plan, beam_numbers)),
        _common_isocentre(isocentres, with_beams),
        _prescriptions(plan),
        position,
    )


def _position(plan: Dataset, ct_position: str) -> str:
    stated = {text(setup, "PatientPosition").upper() for setup in items(plan, "PatientSetupSequence")} - {""}
    if len(stated) > 1:
        raise CaseError(f"The plan treats the patient in several positions ({', '.join(sorted(stated))}); export one plan a position.")
    if not stated:
        return known_position(ct_position, "The CT")
    position = known_position(stated.pop(), "The plan")
    if ct_position and ct_position.upper() != position:
        _warn(f"The CT was taken {ct_position}, the plan treats {position}; beams were placed as in the plan.")
    return position


def _common_isocentre(isocentres: Sequence[tuple[float, ...]], needed: bool) -> tuple[float, float, float] | None:
    several = bool(isocentres) and float(np.max(np.ptp(np.array(isocentres), axis=0))) > SAME_POINT_MM
    if not isocentres or (several and not needed):
        _warn(f"The plan gives {'several isocentres' if several else 'no isocentre'}; the centre of the targets was taken.")
        return None
    if several:
        listed = "; ".join("(" + ", ".join(f"{value:g}" for value in point) + ")" for point in sorted(set(isocentres)))
        raise CaseError(f"The beams of the plan have several isocentres: {listed} mm; export one plan an isocentre.")
    x, y, z = isocentres[0]
    return x, y, z


def _prescriptions(plan: Dataset) -> dict[int, float]:
    """Target prescription doses by the ROI number that they refer to, the highest of each."""
    found: dict[int, float] = {}
    for reference in items(plan, "DoseReferenceSequence"):
        dose = number(reference, "TargetPrescriptionDose", "A dose reference of the plan", default=0.0)
        roi = int(number(reference, "ReferencedROINumber", "A dose reference of the plan", default=-1))
        if dose > 0 and roi >= 0 and text(reference, "DoseReferenceType").upper() in ("TARGET", ""):
            found[roi] = max(dose, found.get(roi, 0.0))
    return found


def _warn(sentence: str) -> None:
    warnings.warn(sentence, CaseWarning, stacklevel=3)
