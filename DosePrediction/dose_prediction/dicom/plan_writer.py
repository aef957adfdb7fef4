"""Beams as an RTPLAN: where they stand and what is prescribed, without fluence or monitor units.

The weight of a beam, which is relative to the others, is its Final Cumulative Meterset Weight.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dose_prediction.case import Arc, Beam, PlanCase
from dose_prediction.dicom.beam_reader import default_beam_name
from dose_prediction.dicom.elements import decimal, decimals
from dose_prediction.dicom.instances import DicomReferences, item, new_instance, reference, sequence, short, write
from dose_prediction.dicom.patient_position import head_first_supine_equivalent
from dose_prediction.dicom.study import RT_PLAN, RT_STRUCTURE_SET
from dose_prediction.output_files import whole_file

SOURCE_AXIS_MM = 1000.0
HALF_FIELD_MM = 200.0  # from the isocentre to each open jaw and leaf
LEAVES = "MLCX"
FRACTION_GY = 2.0


def write_plan(path: Path | str, case: PlanCase, references: DicomReferences, plan_uid: str) -> None:
    """Write the beams, isocentre and prescriptions of `case` as an unapproved RTPLAN for research, whole or not at all.

    Angles are written for the patient position of `references`.  Raises OutputError.
    """
    series_uid = generate_uid(entropy_srcs=[plan_uid, "series"])
    data = new_instance(RT_PLAN, plan_uid, "RTPLAN", references.patient_and_study, references.frame_of_reference_uid, series_uid)
    data.SeriesNumber = 3
    data.SeriesDescription = "Beams of a PREDICTED dose"
    data.OperatorsName = ""
    data.RTPlanLabel = "PREDICTED"
    data.RTPlanDate = data.RTPlanTime = ""
    data.PlanIntent = "RESEARCH"
    data.RTPlanGeometry = "PATIENT"
    data.ApprovalStatus = "UNAPPROVED"
    data.ReferencedStructureSetSequence = sequence([reference(RT_STRUCTURE_SET, references.structure_set_uid)])
    prescribed = [(target, references.roi_numbers[target.name]) for target in case.targets if target.name in references.roi_numbers]
    if prescribed:
        data.DoseReferenceSequence = sequence(
            item(
                DoseReferenceNumber=number,
                DoseReferenceStructureType="VOLUME",
                DoseReferenceDescription=short(target.name, 64),
                ReferencedROINumber=roi_number,
                DoseReferenceType="TARGET",
                TargetPrescriptionDose=decimal(target.role.prescription_gy or 0.0),
            )
            for number, (target, roi_number) in enumerate(prescribed, start=1)
        )
    highest_gy = case.targets[0].role.prescription_gy or 0.0
    data.FractionGroupSequence = sequence(
        [
            item(
                FractionGroupNumber=1,
                NumberOfFractionsPlanned=max(1, round(highest_gy / FRACTION_GY)),
                NumberOfBeams=len(case.beams),
                NumberOfBrachyApplicationSetups=0,
                ReferencedBeamSequence=sequence(item(ReferencedBeamNumber=number) for number in range(1, len(case.beams) + 1)),
            )
        ]
    )
    data.PatientSetupSequence = sequence([item(PatientPosition=references.patient_position, PatientSetupNumber=1)])
    data.BeamSequence = sequence(
        _beam(number, head_first_supine_equivalent(beam, references.patient_position), case.isocentre)
        for number, beam in enumerate(case.beams, start=1)
    )
    with whole_file(path) as unfinished:
        write(unfinished, data)


def _beam(number: int, beam: Beam | Arc, isocentre_mm: tuple[float, float, float]) -> Dataset:
    points = _arc_points(beam) if isinstance(beam, Arc) else [item(), item()]
    points[0].update(_first_point(beam, isocentre_mm))
    for index, point in enumerate(points):
        point.ControlPointIndex = index
        point.CumulativeMetersetWeight = decimal(beam.weight * index / (len(points) - 1))
    data = item(
        TreatmentMachineName="",
        SourceAxisDistance=decimal(SOURCE_AXIS_MM),
        BeamLimitingDeviceSequence=sequence(_device(name, pairs) for name, pairs in _devices(beam).items()),
        BeamNumber=number,
        BeamName=short(beam.name, 64) or default_beam_name(number),
        BeamType="DYNAMIC" if isinstance(beam, Arc) else "STATIC",
        RadiationType="PHOTON",
        ReferencedPatientSetupNumber=1,
        TreatmentDeliveryType="TREATMENT",
        NumberOfWedges=0,
        NumberOfCompensators=0,
        NumberOfBoli=0,
        NumberOfBlocks=0,
        FinalCumulativeMetersetWeight=decimal(beam.weight),
        NumberOfControlPoints=len(points),
        ControlPointSequence=sequence(points),
    )
    if not beam.is_flattened:
        data.PrimaryFluenceModeSequence = sequence([item(FluenceMode="NON_STANDARD", FluenceModeID="FFF")])
    return data


def _devices(beam: Beam | Arc) -> dict[str, int]:
    """The number of pairs of each beam limiting device: jaws, and a multileaf collimator of leaves of one width."""
    return {"ASYMX": 1, "ASYMY": 1, LEAVES: round(2 * HALF_FIELD_MM / beam.leaf_width_mm)}


def _device(name: str, pairs: int) -> Dataset:
    device = item(RTBeamLimitingDeviceType=name, NumberOfLeafJawPairs=pairs)
    if name == LEAVES:
        device.LeafPositionBoundaries = decimals(np.linspace(-HALF_FIELD_MM, HALF_FIELD_MM, pairs + 1))
    return device


def _open_device(name: str, pairs: int) -> Dataset:
    return item(RTBeamLimitingDeviceType=name, LeafJawPositions=decimals(pairs * [-HALF_FIELD_MM] + pairs * [HALF_FIELD_MM]))


def _arc_points(arc: Arc) -> list[Dataset]:
    """The control points of an arc with their gantry angles and the directions in which the gantry leaves them."""
    direction = "CW" if arc.is_clockwise else "CC"
    points = [item(GantryAngle=decimal(beam.gantry_deg), GantryRotationDirection=direction) for beam in arc.control_points()]
    points[-1].GantryRotationDirection = "NONE"
    return points


def _first_point(beam: Beam | Arc, isocentre_mm: tuple[float, float, float]) -> Dataset:
    """What the first control point says, for the others to leave out."""
    gantry = {} if isinstance(beam, Arc) else {"GantryAngle": decimal(beam.gantry_deg), "GantryRotationDirection": "NONE"}
    return item(
        NominalBeamEnergy=decimal(beam.energy_mv),
        BeamLimitingDevicePositionSequence=sequence(_open_device(name, pairs) for name, pairs in _devices(beam).items()),
        BeamLimitingDeviceAngle=decimal(beam.collimator_deg),
        BeamLimitingDeviceRotationDirection="NONE",
        PatientSupportAngle=decimal(beam.couch_deg),
        PatientSupportRotationDirection="NONE",
        TableTopEccentricAngle="0",
        TableTopEccentricRotationDirection="NONE",
        TableTopVerticalPosition="",
        TableTopLongitudinalPosition="",
        TableTopLateralPosition="",
        IsocenterPosition=decimals(isocentre_mm),
        **gantry,
    )
