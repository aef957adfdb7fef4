"""What a dose refers to, as JSON: so that a scene, or another process, can keep it between reading a study and writing a dose."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from dose_prediction.case import CaseError
from dose_prediction.dicom.instances import DicomReferences


def references_as_json(references: DicomReferences) -> dict[str, Any]:
    """`references` as a table; `references_from_json` gives them back."""
    return {
        "patient_and_study": references.patient_and_study.to_json_dict(),
        "frame_of_reference_uid": references.frame_of_reference_uid,
        "structure_set_uid": references.structure_set_uid,
        "plan_uid": references.plan_uid,
        "patient_position": references.patient_position,
        "roi_numbers": references.roi_numbers,
    }


def references_from_json(given: dict[str, Any]) -> DicomReferences:
    """The references of a table that `references_as_json` made.  Raises CaseError if it is none or a damaged one."""
    try:
        return DicomReferences(
            Dataset.from_json(given["patient_and_study"]),
            str(given["frame_of_reference_uid"]),
            str(given["structure_set_uid"]),
            None if given["plan_uid"] is None else str(given["plan_uid"]),
            str(given["patient_position"]),
            {str(name): int(number) for name, number in given["roi_numbers"].items()},
        )
    except Exception as error:  # pydicom has one exception for each way in which an element can be wrong
        raise CaseError(f"What the CT says of its DICOM files is damaged ({error}); load the study again.") from error
