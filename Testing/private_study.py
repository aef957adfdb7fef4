"""A study that tells whose it is wherever it can, for tests that nothing of that gets about."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dicom_files import contour, edited, roi, water_folder

# What a DICOM file that is written may hold, as the standard files it by this.
NEEDED = {
    "PatientName": "Geheim^Gerda",
    "PatientID": "ID-471147",
    "PatientBirthDate": "19470411",
    "StudyDate": "20250314",
    "AccessionNumber": "ACC9988",
}
# What none may hold.
PRIVATE = {
    "PatientComments": "Vertraulich",
    "PatientAddress": "Heimweg 3",
    "OtherPatientIDs": "AUX-5512",
    "ReferringPhysicianName": "Hausarzt^Hugo",
    "PhysiciansOfRecord": "Oberarzt^Otto",
    "OperatorsName": "Bediener^Babett",
    "InstitutionName": "Klinikum Dort",
    "StationName": "STATION77",
    "SeriesDate": "20250315",
    "ContentDate": "20250316",
    "InstanceCreationDate": "20250317",
    "StructureSetDate": "20250318",
    "RTPlanDate": "20250319",
    "StudyDescription": "Untersuchung Frau G.",
    "SeriesDescription": "Aufnahme Frau G.",
    "StructureSetLabel": "Frau G. Konturen",
    "StructureSetName": "Frau G. 1",
    "RTPlanLabel": "Frau G. Plan",
    "RTPlanName": "Frau G. 2",
}
OTHERS_ID = "ID-other"
# Unique identifiers hold the date, as those of scanners do.
_UIDS = b"1.2.826.0.1.3680043.8.498.", b"1.2.826.20250314.43.8.498."


def private_study(folder: Path) -> Path:
    """The water cylinder as a study of that patient, with structures that were drawn for another."""
    water_folder(folder)
    for path in folder.glob("*.dcm"):
        path.write_bytes(path.read_bytes().replace(*_UIDS))
        with edited(path) as data:
            for keyword, value in {**NEEDED, **PRIVATE}.items():
                setattr(data, keyword, value)
    with edited(folder / "structure_set.dcm") as data:
        data.PatientID = OTHERS_ID  # told of
        roi(data, "Parotid_L").ContourSequence.append(contour(np.zeros((1, 3)), "POINT"))
    return folder


def found_in(content: bytes, secrets: dict[str, str]) -> list[str]:
    """Those of the secrets, or of the words that a name is made of, that the content holds."""
    words = {part for value in (*secrets.values(), OTHERS_ID) for part in (value, *value.split("^"))}
    return sorted(word for word in words if word.encode() in content)
