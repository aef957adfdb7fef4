"""Beams, isocentre and prescriptions of an RTPLAN."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from dose_prediction.case import Arc, Beam, CaseError, CaseWarning, with_leaf_width
from dose_prediction.dicom.beam_reader import read_beam, treated_beams, weighted
from dose_prediction.dicom.elements import items, items_by_number, number, numbers, spaced, text
from dose_prediction.dicom.patient_position import HEAD_FIRST_SUPINE, POSITIONS, head_first_supine_equivalent

SAME_POINT_MM = 0.1
_TREATED = ("", "TREATMENT", "CONTINUATION")
_NOT_TREATED = ("SETUP", "OPEN_PORTFILM", "TRMT_PORTFILM")
# What a beam that leaves an element out is taken to have.
_ASSUMED = {
    "RadiationType": "photons",
    "NominalBeamEnergy": "6 MV",
    "PatientSupportAngle": "0 degrees",
    "BeamLimitingDeviceAngle": "0 degrees",
}


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
    planned = _treatment_beams(plan, with_beams)
    isocentres = [place for beam in planned if (place := beam.isocentre_mm) is not None]
    beams: list[Beam | Arc] = []
    if with_beams:
        if not planned:
            raise CaseError("The plan has no treatment beam; export a plan with beams, or give beams.")
        _tell_of_gaps(planned)
        beams = [read_beam(beam.data, beam.points, beam.where) for beam in planned]
        beams = list(with_leaf_width(beams, min(beam.leaf_width_mm for beam in beams)))  # a plan is made for one collimator
    if position != HEAD_FIRST_SUPINE:
        _warn(
            f"The patient lies {POSITIONS[position]} ({position}); beams are given by the angles of a head-first supine patient, "
            "for whom they enter in the same place."
        )
    return PlannedBeams(
        tuple(head_first_supine_equivalent(beam, position) for beam in weighted(beams, plan, [beam.number for beam in planned] if beams else [])),
        _common_isocentre(isocentres, with_beams),
        _prescriptions(plan),
        position,
    )


@dataclass(frozen=True, eq=False)
class _PlanBeam:
    """A beam as the plan has it, with its control points, of which there is at least one."""

    number: int
    name: str
    data: Dataset
    points: list[Dataset]

    @property
    def where(self) -> str:
        return f"Beam {self.name!r} of the plan"

    @property
    def isocentre_mm(self) -> tuple[float, ...] | None:
        """That of the first control point that gives one; None if none does."""
        given = (point for point in self.points if text(point, "IsocenterPosition"))
        return next((tuple(numbers(point, "IsocenterPosition", self.where, 3).tolist()) for point in given), None)

    def states(self, keyword: str) -> bool:
        return bool(text(self.data, keyword) or text(self.points[0], keyword))


def _treatment_beams(plan: Dataset, tells: bool) -> list[_PlanBeam]:
    """The beams that the plan treats with.  Raises CaseError for what cannot be a beam of photons; `tells` of beams that are left out."""
    numbered = items_by_number(plan, "BeamSequence", "BeamNumber", "beam of the plan")
    treated = treated_beams(plan, numbered)
    found: list[_PlanBeam] = []
    idle: list[str] = []
    for beam_number, data in numbered.items():
        beam = _PlanBeam(beam_number, text(data, "BeamName") or str(beam_number), data, items(data, "ControlPointSequence"))
        delivery, radiation = text(data, "TreatmentDeliveryType").upper(), text(data, "RadiationType").upper()
        if delivery in _NOT_TREATED:
            continue
        if treated and beam_number not in treated:
            idle.append(beam.name)
            continue
        if delivery not in _TREATED:
            raise CaseError(f"{beam.where} is of the unknown kind {delivery!r} (Treatment Delivery Type); export the plan again.")
        if radiation not in ("", "PHOTON"):
            raise CaseError(f"{beam.where} is of {radiation.lower()}s; doses are predicted for photons only.")
        if not beam.points:
            raise CaseError(f"{beam.where} has no control point and so no angle; export the plan again.")
        found.append(beam)
    if idle and tells:
        _warn(f"Beams that no fraction of the plan treats with were left out: {', '.join(map(repr, idle))}.")
    if found and not treated and tells:
        _warn("No fraction of the plan refers to beams; all of them were taken.")
    return found


def _tell_of_gaps(beams: Sequence[_PlanBeam]) -> None:
    """What beams leave open, and how it was understood."""
    for keyword, assumed in _ASSUMED.items():
        silent = [repr(beam.name) for beam in beams if not beam.states(keyword)]
        if silent:
            _warn(f"Beams of the plan state no {spaced(keyword)} ({', '.join(silent)}); assumed: {assumed}.")
    placeless = [repr(beam.name) for beam in beams if beam.isocentre_mm is None]
    if 0 < len(placeless) < len(beams):
        _warn(f"Beams of the plan give no isocentre ({', '.join(placeless)}); that of the others was taken.")


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
    unplaced: set[float] = set()
    for reference in items(plan, "DoseReferenceSequence"):
        dose = number(reference, "TargetPrescriptionDose", "A dose reference of the plan", default=0.0)
        roi = int(number(reference, "ReferencedROINumber", "A dose reference of the plan", default=-1))
        if dose < 0:
            raise CaseError(f"A dose reference of the plan prescribes {dose:g} Gy; export the plan again.")
        if dose > 0 and roi >= 0 and text(reference, "DoseReferenceType").upper() != "ORGAN_AT_RISK":
            found[roi] = max(dose, found.get(roi, 0.0))
        elif dose > 0 and roi < 0:
            unplaced.add(dose)
    if unplaced:
        listed = ", ".join(f"{dose:g}" for dose in sorted(unplaced, reverse=True))
        _warn(f"The plan prescribes {listed} Gy to no structure that it names; prescriptions were taken from the structures' names.")
    return found


def _warn(sentence: str) -> None:
    warnings.warn(sentence, CaseWarning, stacklevel=3)
