"""Doses from RTDOSE files."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dose_prediction.case import CaseError, CaseWarning, Grid
from dose_prediction.case.dose_values import checked_dose
from dose_prediction.dicom.elements import number, numbers, pixels, read_whole, text, values_as_they_are
from dose_prediction.dicom.study import RT_DOSE

MAX_VOXELS = 600_000_000
EVEN_MM = 0.05


@dataclass(frozen=True, eq=False)
class DicomDose:
    """A dose in Gy as float32 (z, y, x) on its grid, with the frame of reference and what it is the sum of (PLAN, BEAM, …)."""

    dose_gy: NDArray[np.float32]
    grid: Grid
    frame_of_reference_uid: str
    summation_type: str


def read_dose(path: Path | str) -> DicomDose:
    """The dose of an RTDOSE file of 16 or 32 bits, its planes given by offsets or by their coordinates (PS3.3, C.8.8.3.2).

    Raises CaseError if it is no RTDOSE, damaged, not in Gy, a dose error, or on uneven planes; a biologically effective dose or one that is not of a
    whole plan is told of with a CaseWarning.
    """
    path = Path(path)
    with values_as_they_are():
        data = read_whole(path)
        where = f"Dose {path.name}"
        if text(data, "SOPClassUID") != RT_DOSE:
            raise CaseError(f"{path.name} is no RTDOSE ({text(data, 'Modality') or 'unknown modality'}); give a dose.")
        _check_kind(data, where)
        stored = _stored(data, where)
        scaling = number(data, "DoseGridScaling", where)
        if scaling <= 0:
            raise CaseError(f"{where} has a Dose Grid Scaling of {scaling:g}; it must be above 0, export it again.")
        origin = numbers(data, "ImagePositionPatient", where, 3)
        orientation = numbers(data, "ImageOrientationPatient", where, 6)
        spacing = numbers(data, "PixelSpacing", where, 2)
        normal = np.cross(orientation[:3], orientation[3:])
        step = _step(data, where, len(stored), origin, normal)
        corner = origin if step > 0 else origin + step * (len(stored) - 1) * normal
        stored = stored if step > 0 else stored[::-1]
        direction = np.column_stack([orientation[:3], orientation[3:], normal])
        grid = Grid(
            (stored.shape[0], stored.shape[1], stored.shape[2]),
            (float(corner[0]), float(corner[1]), float(corner[2])),
            (float(spacing[1]), float(spacing[0]), abs(step)),
            tuple(tuple(float(value) for value in row) for row in direction),  # type: ignore[arg-type]
        )
        dose = np.multiply(stored, scaling, dtype=np.float64)
        return DicomDose(checked_dose(dose, where), grid, text(data, "FrameOfReferenceUID"), text(data, "DoseSummationType").upper())


def _check_kind(data: Dataset, where: str) -> None:
    units = text(data, "DoseUnits").upper()
    if units != "GY":
        raise CaseError(f"{where} has the dose units {units or 'none'!r}; export an absolute dose in Gy.")
    kind = text(data, "DoseType").upper()
    if kind == "ERROR":
        raise CaseError(f"{where} holds dose errors, not a dose; export the dose.")
    if kind == "EFFECTIVE":
        _warn(f"{where} is a biologically effective dose, not a physical one.")
    summed = text(data, "DoseSummationType").upper()
    if summed not in ("", "PLAN", "MULTI_PLAN", "PLAN_OVERVIEW", "RECORD"):
        _warn(f"{where} is the dose of one {summed.lower().replace('_', ' ')} only, not of the plan.")


def _stored(data: Dataset, where: str) -> NDArray[np.integer]:
    shape = tuple(int(number(data, keyword, where, default)) for keyword, default in (("NumberOfFrames", 1.0), ("Rows", None), ("Columns", None)))
    if min(shape) < 1 or np.prod([float(n) for n in shape]) > MAX_VOXELS:
        raise CaseError(f"{where} promises {' x '.join(map(str, shape))} voxels; export it again.")
    try:
        stored: NDArray[np.integer] = pixels(data).reshape(shape)
    except Exception as error:  # pydicom has one exception for each way in which pixels can be wrong
        raise CaseError(f"{where} has damaged or missing pixels for {' x '.join(map(str, shape))} voxels; export or copy it again.") from error
    return stored


def _step(data: Dataset, where: str, count: int, origin: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """The way from one plane to the next along the normal (mm), negative where planes go against it."""
    offsets = numbers(data, "GridFrameOffsetVector", where)
    if len(offsets) != count:
        raise CaseError(f"{where} has {count} planes and {len(offsets)} offsets (Grid Frame Offset Vector); export it again.")
    if count < 2:
        raise CaseError(f"{where} has a single plane; export a dose of the whole volume.")
    if offsets[0] != 0:
        if abs(offsets[0] - origin[2]) > EVEN_MM or abs(normal[2]) < 0.999:
            raise CaseError(
                f"{where} has {offsets[0]:g} as its first Grid Frame Offset, neither 0 nor the z of its Image Position Patient ({origin[2]:g}); "
                "export it again."
            )
        offsets = (offsets - offsets[0]) * np.sign(normal[2])
    steps = np.diff(offsets)
    step = float(offsets[-1] - offsets[0]) / (count - 1)
    if step == 0 or np.max(np.abs(steps - step)) > EVEN_MM:
        raise CaseError(f"{where} has planes {steps.min():g} to {steps.max():g} mm apart; export a dose on even planes.")
    return step


def _warn(sentence: str) -> None:
    warnings.warn(sentence, CaseWarning, stacklevel=3)
