"""A case as DICOM: its CT as a series, its structures as an RTSTRUCT and its beams as an RTPLAN."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from dose_prediction.case import CaseError, PlanCase, RoleKind, Structure
from dose_prediction.contours import Polygon, outlines
from dose_prediction.dicom.elements import decimal, decimals
from dose_prediction.dicom.instances import DicomReferences, item, new_instance, reference, sequence, short, write
from dose_prediction.dicom.patient_position import HEAD_FIRST_SUPINE
from dose_prediction.dicom.plan_writer import write_plan
from dose_prediction.dicom.study import CT_IMAGE, RT_STRUCTURE_SET
from dose_prediction.output_files import whole_folder

RESCALE_INTERCEPT_HU = -1024
_INTERPRETED_TYPES = {RoleKind.TARGET: "PTV", RoleKind.ORGAN: "ORGAN", RoleKind.EXTERNAL: "EXTERNAL", RoleKind.IGNORED: ""}

Uid = Callable[..., str]


def write_case_as_dicom(folder: Path | str, case: PlanCase, patient_position: str = HEAD_FIRST_SUPINE) -> None:
    """Write `case` into `folder` as `ct_001.dcm` …, `structure_set.dcm` and `plan.dcm`, all of it or nothing; read back, it is the same case.

    The patient is named after the case and has no other particulars.  Unique identifiers follow from the case, so the same case gives the same files.
    CT numbers are stored as whole HU.  Raises OutputError, and CaseError if the CT is not axial, as contours lie on axial slices.
    """
    if abs(case.grid.direction[2][2]) < 0.999:
        raise CaseError("The CT is not axial; resample it to axial slices to write it with contours.")

    def uid(*what: object) -> str:
        return str(generate_uid(entropy_srcs=[case.digest, patient_position, *map(str, what)]))

    patient_and_study = item(
        PatientName=short(case.name.replace("^", " "), 63) + "^",
        PatientID=short(case.name, 64),
        PatientBirthDate="",
        PatientSex="",
        StudyInstanceUID=uid("study"),
        StudyDate="",
        StudyTime="",
        StudyID="",
        AccessionNumber="",
    )
    numbers = {structure.name: number for number, structure in enumerate(case.structures, start=1)}
    references = DicomReferences(patient_and_study, uid("frame of reference"), uid("structure set"), uid("plan"), patient_position, numbers)
    with whole_folder(folder, stale=[path.name for path in Path(folder).glob("ct_*.dcm")]) as scratch:
        _write_ct(scratch, case, references, uid)
        _write_structure_set(scratch / "structure_set.dcm", case, references, uid)
        write_plan(scratch / "plan.dcm", case, references, uid("plan"))


def _write_ct(folder: Path, case: PlanCase, references: DicomReferences, uid: Uid) -> None:
    grid = case.grid
    stored = np.clip(np.rint(case.ct_hu) - RESCALE_INTERCEPT_HU, 0, 2**16 - 1).astype("<u2")
    direction = np.asarray(grid.direction)
    for index, pixels in enumerate(stored):
        data = new_instance(CT_IMAGE, uid("ct", index), "CT", references.patient_and_study, references.frame_of_reference_uid, uid("ct series"))
        data.SeriesNumber = 1
        data.SeriesDescription = "Planning CT"
        data.Laterality = ""
        data.PatientPosition = references.patient_position
        data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        data.InstanceNumber = index + 1
        data.ImagePositionPatient = decimals(grid.world_from_index((index, 0, 0)))
        data.ImageOrientationPatient = decimals([*direction[:, 0], *direction[:, 1]])
        data.PixelSpacing = decimals([grid.spacing_mm[1], grid.spacing_mm[0]])
        data.SliceThickness = decimal(grid.spacing_mm[2])
        data.SamplesPerPixel = 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.Rows, data.Columns = pixels.shape
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit = 15
        data.PixelRepresentation = 0
        data.RescaleIntercept = str(RESCALE_INTERCEPT_HU)
        data.RescaleSlope = "1"
        data.RescaleType = "HU"
        data.KVP = ""
        data.AcquisitionNumber = ""
        data.add_new(0x7FE00010, "OW", pixels.tobytes())
        write(folder / f"ct_{index + 1:03d}.dcm", data)


def _write_structure_set(path: Path, case: PlanCase, references: DicomReferences, uid: Uid) -> None:
    data = new_instance(
        RT_STRUCTURE_SET,
        references.structure_set_uid,
        "RTSTRUCT",
        references.patient_and_study,
        references.frame_of_reference_uid,
        uid("structure set series"),
        ImplicitVRLittleEndian,  # an element of explicit type holds 64 KiB, which the contour of a body can exceed
    )
    images = [reference(CT_IMAGE, uid("ct", index)) for index in range(case.grid.shape[0])]
    data.SeriesNumber = 2
    data.SeriesDescription = "Structures"
    data.OperatorsName = ""
    data.InstanceNumber = 1
    data.StructureSetLabel = "Structures"
    data.StructureSetDate = data.StructureSetTime = ""
    study = reference("1.2.840.10008.3.1.2.3.1", references.patient_and_study.StudyInstanceUID)
    study.RTReferencedSeriesSequence = sequence([item(SeriesInstanceUID=uid("ct series"), ContourImageSequence=sequence(images))])
    data.ReferencedFrameOfReferenceSequence = sequence(
        [item(FrameOfReferenceUID=references.frame_of_reference_uid, RTReferencedStudySequence=sequence([study]))]
    )
    numbered = [(references.roi_numbers[structure.name], structure) for structure in case.structures]
    data.StructureSetROISequence = sequence(
        item(
            ROINumber=number,
            ReferencedFrameOfReferenceUID=references.frame_of_reference_uid,
            ROIName=short(structure.name, 64),
            ROIGenerationAlgorithm="",
        )
        for number, structure in numbered
    )
    data.ROIContourSequence = sequence(
        item(
            ROIDisplayColor=[round(255 * part) for part in colorsys.hsv_to_rgb(number / max(1, len(numbered)), 0.6, 0.9)],
            ReferencedROINumber=number,
            ContourSequence=sequence(_contours(structure, case, images)),
        )
        for number, structure in numbered
    )
    data.RTROIObservationsSequence = sequence(
        item(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType=_INTERPRETED_TYPES[structure.role.kind], ROIInterpreter="")
        for number, structure in numbered
    )
    write(path, data)


def _contours(structure: Structure, case: PlanCase, images: list[Dataset]) -> list[Dataset]:
    return [
        item(
            ContourImageSequence=sequence([images[index]]),
            ContourGeometricType="CLOSED_PLANAR",
            NumberOfContourPoints=len(polygon),
            ContourData=_points(polygon, int(index), case),
        )
        for index in np.flatnonzero(structure.mask.any(axis=(1, 2)))
        for polygon in outlines(structure.mask[index])
    ]


def _points(polygon: Polygon, index: int, case: PlanCase) -> list[str]:
    """LPS coordinates of the corners, to a thousandth of a millimetre."""
    corners = np.column_stack([np.full(len(polygon), index), polygon[:, 1], polygon[:, 0]])
    return [f"{value:.3f}" for value in case.grid.world_from_index(corners).ravel()]
