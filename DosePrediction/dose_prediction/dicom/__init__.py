"""DICOM RT: CT series, structure sets, plans and doses in; doses, plans and whole cases out."""

from dose_prediction.dicom.case_writer import write_case_as_dicom
from dose_prediction.dicom.dicom_case import DicomCase, read_dicom_case, write_predicted_dose
from dose_prediction.dicom.dose import DicomDose, read_dose
from dose_prediction.dicom.dose_writer import write_dose
from dose_prediction.dicom.instances import DicomReferences
from dose_prediction.dicom.study import Study, find_studies, holds_dicom, is_dicom_file

__all__ = [
    "DicomCase",
    "DicomDose",
    "DicomReferences",
    "Study",
    "find_studies",
    "holds_dicom",
    "is_dicom_file",
    "read_dicom_case",
    "read_dose",
    "write_case_as_dicom",
    "write_dose",
    "write_predicted_dose",
]
