"""Files decoded a second time, step by step as their standards say and with nothing forgiven: what a reader's result is held against."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from matplotlib.path import Path as Outline
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

_NRRD_TYPES = {
    "float": "f4",
    "double": "f8",
    "short": "i2",
    "unsigned char": "u1",
    "int": "i4",
    "unsigned short": "u2",
    "uchar": "u1",
    "signed short": "i2",
}


def rtdose(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Dose in Gy (frame, row, column) and the world places (LPS mm) of its first voxel, the next column, row and frame, and the last voxel."""
    data = pydicom.dcmread(path, force=True)
    frames = int(data.get("NumberOfFrames") or 1)
    dose = _pixels(data, (frames, data.Rows, data.Columns)) * float(data.DoseGridScaling)
    origin, axes = np.array(data.ImagePositionPatient, float), np.array(data.ImageOrientationPatient, float).reshape(2, 3)
    row_mm, column_mm = map(float, data.PixelSpacing)
    offsets = np.array(data.GridFrameOffsetVector, float)
    offsets = offsets - offsets[0]
    normal = np.cross(*axes)
    index = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [frames - 1, data.Rows - 1, data.Columns - 1]])
    return dose, origin + np.outer(offsets[index[:, 0]], normal) + np.outer(index[:, 2] * column_mm, axes[0]) + np.outer(
        index[:, 1] * row_mm, axes[1]
    )


def ct_series(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """HU (slice, row, column) of every CT image in a folder by rising z, and the places (LPS mm) of the first voxel of each."""
    images = [data for data in (pydicom.dcmread(path, force=True) for path in folder.glob("*.dcm")) if data.get("SOPClassUID") == CTImageStorage]
    images.sort(key=lambda data: float(data.ImagePositionPatient[2]))
    hu = [_pixels(data, (data.Rows, data.Columns)) * float(data.RescaleSlope) + float(data.RescaleIntercept) for data in images]
    return np.maximum(np.array(hu), -1024), np.array([data.ImagePositionPatient for data in images], float)


def structures(structure_set: Path, origins: np.ndarray, spacing_mm: Sequence[float], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Masks by name: a voxel belongs to a structure if its centre lies inside an odd number of the contours on its slice.  Axes are the patient's."""
    data = pydicom.dcmread(structure_set, force=True)
    columns, rows = np.meshgrid(np.arange(shape[2]), np.arange(shape[1]))
    centres = np.column_stack([columns.ravel(), rows.ravel()]) * [spacing_mm[0], spacing_mm[1]] + origins[0, :2]
    contours = {item.ReferencedROINumber: item.get("ContourSequence") or [] for item in data.ROIContourSequence}
    found = {}
    for roi in data.StructureSetROISequence:
        mask = np.zeros(shape, bool)
        for contour in contours.get(roi.ROINumber, []):
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            plane = int(np.argmin(np.abs(origins[:, 2] - points[:, 2].mean())))
            mask[plane] ^= Outline(np.concatenate([points[:, :2], points[:1, :2]]), closed=True).contains_points(centres).reshape(shape[1:])
        found[str(roi.ROIName)] = mask
    return found


@dataclass(frozen=True)
class PlainPlan:
    """Treated static beams as (gantry, couch, collimator, MV), their isocentre (LPS mm) and prescriptions (Gy) by ROI number."""

    beams: frozenset[tuple[float, ...]]
    isocentre_mm: tuple[float, ...]
    prescriptions_gy: dict[int, float]


def plan(path: Path) -> PlainPlan:
    """A plan of static beams of one isocentre for a head-first supine patient."""
    data = pydicom.dcmread(path, force=True)
    if {setup.get("PatientPosition") for setup in data.get("PatientSetupSequence", [])} - {"HFS", None, ""}:
        raise ValueError("another position")
    (group,) = data.FractionGroupSequence
    treated = {int(reference.ReferencedBeamNumber) for reference in group.ReferencedBeamSequence}
    numbers = [int(beam.BeamNumber) for beam in data.BeamSequence]
    if treated - set(numbers) or len(set(numbers)) < len(numbers) or int(group.get("NumberOfBeams", len(treated))) != len(treated):
        raise ValueError(f"beams {numbers}, treated {treated}")
    beams, isocentres = [], set()
    for beam in (beam for beam in data.BeamSequence if beam.get("TreatmentDeliveryType") in ("TREATMENT", "", None)):
        first, *others = beam.ControlPointSequence
        if (
            int(beam.get("NumberOfControlPoints", 2)) != 1 + len(others)
            or any("GantryAngle" in point for point in others)
            or beam.RadiationType != "PHOTON"
        ):
            raise ValueError("no static beam of photons")
        isocentres.add(tuple(map(float, next(point.IsocenterPosition for point in (first, *others) if "IsocenterPosition" in point))))
        angles = (first.GantryAngle, first.PatientSupportAngle, first.BeamLimitingDeviceAngle)
        beams.append((*(float(angle) % 360 for angle in angles), float(first.NominalBeamEnergy)))
    (isocentre,) = isocentres
    doses = [
        one for one in data.get("DoseReferenceSequence", []) if one.get("TargetPrescriptionDose") and one.get("DoseReferenceType") != "ORGAN_AT_RISK"
    ]
    return PlainPlan(frozenset(beams), isocentre, {int(one.ReferencedROINumber): float(one.TargetPrescriptionDose) for one in doses})


def nrrd(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    """The array (last axis first) and the fields of an NRRD file (teem.sourceforge.net/nrrd/format.html), raw or gzip, data in the file itself."""
    head, _, rest = path.read_bytes().partition(b"\n\n")
    first, *lines = head.decode("utf-8", "replace").split("\n")
    if not re.fullmatch(r"NRRD000[1-5]", first.strip()):
        raise ValueError(f"magic {first!r}")
    fields = dict(_field(line.strip()) for line in lines if not line.startswith("#"))
    sizes = tuple(int(size) for size in fields["sizes"].split())
    if len(sizes) != int(fields["dimension"]) or min(sizes) < 1:
        raise ValueError(f"sizes {sizes}")
    kind = np.dtype({"little": "<", "big": ">"}[fields.get("endian", "little")] + _NRRD_TYPES[fields["type"]])
    data = gzip.decompress(rest) if fields["encoding"].lower() in ("gzip", "gz") else rest
    return np.frombuffer(data, kind, int(np.prod(sizes))).reshape(sizes[::-1]), fields


def _field(line: str) -> tuple[str, str]:
    """A field, whose name counts whatever its capitals, or a key with its value."""
    name, colon, value = line.partition(": ")
    if not colon or ":=" in name:
        name, colon, value = line.partition(":=")
        return name, value
    return name.lower(), value


def nrrd_vectors(field: str) -> np.ndarray:
    """The vectors of "space directions" or "space origin", one a row; "none" left out."""
    return np.array([[float(number) for number in vector.split(",")] for vector in re.findall(r"\(([^)]*)\)", field)])


def openkbp_csv(path: Path, size: int) -> np.ndarray:
    """The flat dense array of a CSV file of the challenge."""
    header, *rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    if header != ["", "data"]:
        raise ValueError(f"header {header}")
    dense = np.zeros(size, np.float32)
    for index, value in (row for row in rows if row):
        if not 0 <= float(index) < size or not float(index).is_integer():
            raise ValueError(f"index {index}")
        dense[int(float(index))] = float(value)
    return dense


def _pixels(data: Dataset, shape: tuple[Any, ...]) -> np.ndarray:
    """Pixel values from the bytes of Pixel Data: native, little endian, one sample a pixel (PS3.5, 8.1 and D)."""
    kind = np.dtype(f"<{'i' if data.PixelRepresentation else 'u'}{data.BitsAllocated // 8}")
    pixels = bytes(data.PixelData)
    if len(pixels) - int(np.prod(shape)) * kind.itemsize not in (0, 1) or data.BitsStored != data.BitsAllocated or data.SamplesPerPixel != 1:
        raise ValueError("pixels and their description differ")
    return np.frombuffer(pixels, kind, int(np.prod(shape))).reshape(shape).astype(float)
