"""New DICOM instances: the elements that every one has, and those that tie them to a patient, a study and to one another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from dose_prediction import __version__
from dose_prediction.dicom.elements import text, values_as_they_are

MANUFACTURER = "DosePrediction"
# All that a new instance takes over of its patient: Type 1 and Type 2 of the Patient and General Study modules, without the referring physician.
_PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
)


@dataclass(frozen=True, eq=False)
class DicomReferences:
    """What a dose that belongs to a DICOM case refers to.

    `patient_and_study` holds those elements and nothing else.  `plan_uid` is the plan whose beams the case has; None if it has other beams.
    """

    patient_and_study: Dataset
    frame_of_reference_uid: str
    structure_set_uid: str
    plan_uid: str | None
    patient_position: str
    roi_numbers: dict[str, int]


def patient_and_study_of(header: Dataset) -> Dataset:
    """The elements of `header` that file a new instance with the same patient and study; what is unreadable there is empty."""
    with values_as_they_are():
        kept = item(**{keyword: text(header, keyword) for keyword in _PATIENT_AND_STUDY})
        kept.StudyInstanceUID = kept.StudyInstanceUID or generate_uid()
    return kept


def new_instance(
    sop_class: str,
    instance_uid: str,
    modality: str,
    patient_and_study: Dataset,
    frame_of_reference_uid: str,
    series_uid: str,
    transfer_syntax: UID = ExplicitVRLittleEndian,
) -> FileDataset:
    """A data set with what all instances of this program share, ready for its own modules."""
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # counted when it is written
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(instance_uid)
    meta.TransferSyntaxUID = transfer_syntax
    meta.ImplementationClassUID = generate_uid(entropy_srcs=[MANUFACTURER, __version__])
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=transfer_syntax.is_implicit_VR, is_little_endian=True)
    data.SpecificCharacterSet = "ISO_IR 192"
    data.update({element.tag: element for element in patient_and_study})
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = instance_uid
    data.Modality = modality
    data.SeriesInstanceUID = series_uid
    data.ReferringPhysicianName = ""
    data.FrameOfReferenceUID = frame_of_reference_uid
    data.PositionReferenceIndicator = ""
    data.Manufacturer = MANUFACTURER
    data.ManufacturerModelName = MANUFACTURER
    data.SoftwareVersions = __version__
    return data


def reference(sop_class: str, instance_uid: str) -> Dataset:
    """An item that refers to another instance."""
    return item(ReferencedSOPClassUID=sop_class, ReferencedSOPInstanceUID=instance_uid)


def item(**elements: object) -> Dataset:
    """A sequence item of these elements."""
    data = Dataset()
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    return data


def sequence(items: Iterable[Dataset]) -> Sequence:
    return Sequence(list(items))


def write(path: Path, data: FileDataset) -> None:
    with values_as_they_are():  # pydicom's remarks on a patient's name or ID would quote it
        dcmwrite(path, data)


def short(text: str, length: int) -> str:
    """`text` within the length of its value representation, without the characters that have a meaning there."""
    return text.replace("\\", "/")[:length].strip()
