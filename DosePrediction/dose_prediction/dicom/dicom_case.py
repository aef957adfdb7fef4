"""What a folder of DICOM files says of a case, and the predicted dose that goes back to it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dose_prediction.case import Arc, Beam, CaseWarning, Grid, PlanCase, Role, RoleKind, recognise
from dose_prediction.dicom.ct_series import read_ct
from dose_prediction.dicom.dose_writer import write_dose
from dose_prediction.dicom.elements import read_whole, text, values_as_they_are
from dose_prediction.dicom.instances import DicomReferences, patient_and_study_of
from dose_prediction.dicom.patient_position import head_first_supine_equivalent
from dose_prediction.dicom.plan import PlannedBeams, known_position, read_plan
from dose_prediction.dicom.plan_writer import write_plan
from dose_prediction.dicom.structure_set import DrawnStructure, read_structures
from dose_prediction.dicom.study import Study, choose_plan_files, find_studies


@dataclass(frozen=True, eq=False)
class DicomCase:
    """CT in HU on its grid, masks and roles by the names of the structures, beams and isocentre if there is a plan, and what a dose will refer to."""

    ct_hu: NDArray[np.float32]
    grid: Grid
    masks: dict[str, NDArray[np.bool_]]
    roles: dict[str, Role]
    beams: tuple[Beam | Arc, ...]
    isocentre_mm: tuple[float, float, float] | None
    references: DicomReferences


def read_dicom_case(folder: Path | str, beams: tuple[Beam | Arc, ...] | None = None, studies: Sequence[Study] | None = None) -> DicomCase:
    """The case in a folder of DICOM files, nested and mixed with others as they may be; `studies` are those in it, where they were found before.

    `beams` take the place of the plan's; their angles are those of the machine for the patient as positioned here, and `DicomCase.beams` are
    those of a head-first supine patient that enter in the same place.  Raises CaseError; issues a CaseWarning for what is harmless but should be
    known.
    """
    with values_as_they_are():
        files = choose_plan_files(Path(folder), find_studies(folder) if studies is None else studies, needs_beams=beams is None)
        ct = read_ct(files.ct)
        structure_set = read_whole(files.structure_set.path)
        _compare_patients(ct.header, structure_set, "structure set")
        structures = read_structures(structure_set, ct)
        planned: PlannedBeams | None = None
        if files.plan is not None:
            plan = read_whole(files.plan.path)
            _compare_patients(ct.header, plan, "plan")
            planned = read_plan(plan, ct.patient_position, ct.frame_of_reference_uid, with_beams=beams is None)
            _tell_of_lost_prescriptions(planned, structures)
        position = planned.patient_position if planned is not None else known_position(ct.patient_position, "The CT")
        placed = tuple(head_first_supine_equivalent(beam, position) for beam in beams) if beams is not None else planned.beams if planned else ()
        references = DicomReferences(
            patient_and_study_of(ct.header),
            ct.frame_of_reference_uid or generate_uid(entropy_srcs=[ct.series_uid]),  # the same at every reading
            files.structure_set.instance_uid,
            files.plan.instance_uid if files.plan is not None and beams is None else None,
            position,
            {structure.name: structure.number for structure in structures},
        )
    return DicomCase(
        ct.hu,
        ct.grid,
        {structure.name: structure.mask for structure in structures},
        {structure.name: _role(structure, planned.prescriptions_gy if planned is not None else {}) for structure in structures},
        placed,
        planned.isocentre_mm if planned is not None else None,
        references,
    )


def write_predicted_dose(
    folder: Path,
    stem: str,
    dose_gy: NDArray[np.floating],
    case: PlanCase,
    references: DicomReferences,
    model: str,
    axis_gy: NDArray[np.floating],
    curves: Mapping[str, NDArray[np.floating]],
) -> None:
    """Write `<stem>_dose.dcm` (RTDOSE, 16 bits), and `<stem>_plan.dcm` (RTPLAN) where the beams are not those of a plan that the dose could refer to.

    `curves` are the cumulative DVHs in percent on `axis_gy`, by the names of the structures; they go into the RTDOSE.  Raises OutputError.
    """
    plan_uid = references.plan_uid
    if plan_uid is None:
        plan_uid = str(generate_uid())
        write_plan(folder / f"{stem}_plan.dcm", case, references, plan_uid)
    volumes_cc = {s.name: np.count_nonzero(s.mask) * case.grid.voxel_volume_mm3 / 1000.0 for s in case.structures}
    dvhs = {references.roi_numbers[name]: curve * volumes_cc[name] / 100.0 for name, curve in curves.items() if name in references.roi_numbers}
    write_dose(folder / f"{stem}_dose.dcm", dose_gy, case.grid, references, plan_uid, model, axis_gy=axis_gy, dvhs_cc=dvhs)


def _compare_patients(ct: Dataset, other: Dataset, words: str) -> None:
    if text(ct, "PatientID") != text(other, "PatientID"):
        warnings.warn(f"CT and {words} have different patient IDs; check that they are of one patient.", CaseWarning, stacklevel=3)


def _tell_of_lost_prescriptions(planned: PlannedBeams, structures: Sequence[DrawnStructure]) -> None:
    for roi_number in sorted(planned.prescriptions_gy.keys() - {structure.number for structure in structures}):
        warnings.warn(
            f"The plan prescribes {planned.prescriptions_gy[roi_number]:g} Gy to structure {roi_number}, which has no contour; check the targets.",
            CaseWarning,
            stacklevel=3,
        )


def _role(structure: DrawnStructure, prescriptions_gy: dict[int, float]) -> Role:
    """What a structure is: told from its name, then from what its author and the plan say of it."""
    role = recognise(structure.name)
    prescription = prescriptions_gy.get(structure.number)
    interpreted = structure.interpreted_type.upper()
    if prescription is not None and (role.kind is RoleKind.TARGET or (role.kind is RoleKind.IGNORED and interpreted == "PTV")):
        return Role.target(prescription)
    if role.kind is RoleKind.IGNORED and interpreted == "EXTERNAL":
        return Role.external()
    return role
