"""A dose of the scene as RTDOSE: filed with the patient and study of its CT where these came from DICOM files, else with a patient of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import generate_uid

from dose_prediction.case import PlanCase
from dose_prediction.case.beam_json import beams_as_json
from dose_prediction.case_files import read_case
from dose_prediction.dicom import DicomReferences, write_dose, write_predicted_dose
from dose_prediction.dicom.elements import read_whole, text
from dose_prediction.dicom.instances import item, patient_and_study_of, short
from dose_prediction.dicom.patient_position import HEAD_FIRST_SUPINE, POSITIONS
from dose_prediction.dicom.reference_json import references_from_json
from dose_prediction.dosimetry import structure_doses
from dose_prediction.output_files import whole_folder
from dose_prediction.report import dvh_curves, file_stem

CASE_FILE, DOSE_FILE, TABLE_FILE = "case.npz", "dose.npy", "export.json"


@dataclass(frozen=True)
class ExportTable:
    """What `export.json` says.

    `references` and `beams` are those that the study was loaded with and `ct_file` an image of the CT, each where there is one; `model` is the
    version that predicted the dose; `is_current` tells that case and dose belong together.
    """

    name: str
    model: str
    is_current: bool
    references: dict[str, Any] | None = None
    beams: list[dict[str, Any]] | None = None
    ct_file: str | None = None


def export_dose(job: Path, output: Path) -> list[str]:
    """Write the dose of the folder `job` (`case.npz`, `dose.npy`, `export.json`) into the folder `output`; returns the names of the files.

    `<name>_dose.dcm`, with its DVHs where case and dose belong together, and then `<name>_plan.dcm` where the beams are not those of a plan that
    the dose can refer to.  Raises CaseError and OutputError.
    """
    table = ExportTable(**json.loads((job / TABLE_FILE).read_text(encoding="utf-8")))
    case, dose_gy = read_case(job / CASE_FILE), np.load(job / DOSE_FILE, allow_pickle=False)
    references, stem, model = _references(table, case), file_stem(table.name), f"ADDiff-Dose {table.model}"
    with whole_folder(output) as scratch:
        if table.is_current:
            write_predicted_dose(scratch, stem, dose_gy, case, references, model, *dvh_curves(structure_doses(dose_gy, case)))
        else:
            write_dose(scratch / f"{stem}_dose.dcm", dose_gy, case.grid, references, references.plan_uid or str(generate_uid()), model)
        return sorted(file.name for file in scratch.iterdir())


def _references(table: ExportTable, case: PlanCase) -> DicomReferences:
    if table.references is not None:
        references = references_from_json(table.references)
        return references if table.beams == beams_as_json(case.beams) else replace(references, plan_uid=None)
    numbers = {structure.name: number for number, structure in enumerate(case.structures, start=1)}
    if table.ct_file is None:
        particulars = {"PatientBirthDate": "", "PatientSex": "", "StudyDate": "", "StudyTime": "", "StudyID": "", "AccessionNumber": ""}
        name = short(case.name.replace("^", " "), 63)
        person = item(PatientName=f"{name}^", PatientID=name, StudyInstanceUID=str(generate_uid()), **particulars)
        return DicomReferences(person, str(generate_uid()), str(generate_uid()), None, HEAD_FIRST_SUPINE, numbers)
    header = read_whole(Path(table.ct_file))
    position = text(header, "PatientPosition")
    return DicomReferences(
        patient_and_study_of(header),
        text(header, "FrameOfReferenceUID") or str(generate_uid()),
        str(generate_uid()),
        None,
        position if position in POSITIONS else HEAD_FIRST_SUPINE,
        numbers,
    )
