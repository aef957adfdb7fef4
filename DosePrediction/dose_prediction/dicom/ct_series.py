"""A CT series as one volume: slices sorted by where they lie, and everything that would make it a wrong volume refused."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from dose_prediction.case import CaseError, CaseWarning, Grid
from dose_prediction.dicom.elements import UNCOMPRESSED, number, numbers, pixels, read_whole, text
from dose_prediction.dicom.study import ENHANCED_CT_IMAGES, DicomFile

LOWEST_HU = -1024.0  # what scanners write outside their field of view lies below and means air
MAX_VOXELS = 600_000_000
# Positions are written with a tenth of a millimetre by some scanners.
POSITION_TOLERANCE_MM = 0.06
ORIENTATION_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class CtVolume:
    """A CT series: HU as float32 (z, y, x) on its grid, slices in the direction of row x column, and what other objects refer to."""

    hu: NDArray[np.float32]
    grid: Grid
    series_uid: str
    frame_of_reference_uid: str
    image_uids: frozenset[str]
    """SOPInstanceUIDs of all images of the series, localisers and repeated images among them."""
    patient_position: str
    """HFS, FFP, …; "" if the series does not say."""
    header: Dataset
    """The first slice without its pixels: patient and study."""


@dataclass(frozen=True, eq=False)
class _Slice:
    file: DicomFile
    position_mm: NDArray[np.float64]
    along_mm: float


def read_ct(files: Sequence[DicomFile]) -> CtVolume:
    """The volume of the images of one CT series.

    Raises CaseError for missing slices, uneven spacing, gantry tilt, mixed orientations or sizes, and different images in one place.  Localisers and
    repeated images are left out and overlaps or gaps between thick slices told of, with a CaseWarning.
    """
    images = _without_localisers(files)
    orientation = _common_orientation(images)
    normal = np.cross(orientation[:3], orientation[3:])
    slices = []
    for file in images:
        position = numbers(file.header, "ImagePositionPatient", _called(file), 3)
        slices.append(_Slice(file, position, float(position @ normal)))
    slices.sort(key=lambda one: one.along_mm)
    slices = _without_repeats(slices)
    rows, columns, spacing = _common_size([one.file for one in slices])
    step = _even_step(slices)
    _refuse_tilt(slices, normal, step)
    _tell_of_thickness([one.file for one in slices], step)
    if rows * columns * len(slices) > MAX_VOXELS:
        raise CaseError(f"The CT has {len(slices)} x {rows} x {columns} voxels, more than {MAX_VOXELS:,}; crop or resample it.")
    hu = np.empty((len(slices), rows, columns), dtype=np.float32)
    first: Dataset | None = None
    for index, one in enumerate(slices):
        data = read_whole(one.file.path)
        hu[index] = _hu(data, one.file, rows, columns)
        if first is None:
            first = data
            del first.PixelData
    assert first is not None
    direction = np.column_stack([orientation[:3], orientation[3:], normal])
    origin = slices[0].position_mm
    grid = Grid(
        (len(slices), rows, columns),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        (float(spacing[1]), float(spacing[0]), step),
        tuple(tuple(float(value) for value in row) for row in direction),  # type: ignore[arg-type]
    )
    return CtVolume(
        hu,
        grid,
        slices[0].file.series_uid,
        _common_text([one.file for one in slices], "FrameOfReferenceUID", "frame of reference"),
        frozenset(file.instance_uid for file in files),
        _common_text([one.file for one in slices], "PatientPosition", "patient position"),
        first,
    )


def _without_localisers(files: Sequence[DicomFile]) -> list[DicomFile]:
    if any(file.sop_class in ENHANCED_CT_IMAGES for file in files):
        raise CaseError("The CT is an Enhanced CT (several slices a file); export it as CT Image Storage, one slice a file.")
    images = [file for file in files if "LOCALIZER" not in text(file.header, "ImageType").upper()]
    left_out = len(files) - len(images)
    if left_out and images:
        _warn(f"{left_out} localiser image{'s' if left_out > 1 else ''} of the CT series left out.")
    if len(images) < 2:
        raise CaseError(
            f"The CT series has {len(images)} slice{'' if len(images) == 1 else 's'}; a volume takes at least 2, export the whole series."
        )
    return images


def _common_orientation(images: Sequence[DicomFile]) -> NDArray[np.float64]:
    """Row and column direction (6 numbers) that all images share, as exact perpendicular unit vectors."""
    each = np.array([numbers(file.header, "ImageOrientationPatient", _called(file), 6) for file in images])
    typical = np.median(each, axis=0)
    odd = np.flatnonzero(np.max(np.abs(each - typical), axis=1) > ORIENTATION_TOLERANCE)
    if len(odd):
        raise CaseError(
            f"The CT series mixes orientations: {len(odd)} of {len(images)} images differ from the others, {images[odd[0]].path.name} first; "
            "leave the images of one reconstruction."
        )
    row, column = typical[:3], typical[3:]
    if not np.allclose([np.linalg.norm(row), np.linalg.norm(column)], 1, atol=1e-2) or abs(row @ column) > 1e-2:
        raise CaseError(
            f"The CT's Image Orientation Patient is {np.round(typical, 4).tolist()}, not two perpendicular unit vectors; export it again."
        )
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    return np.concatenate([row, column / np.linalg.norm(column)])


def _without_repeats(slices: list[_Slice]) -> list[_Slice]:
    """Images that lie in one place are kept once if they are the same, and refused if they are not."""
    kept: list[_Slice] = []
    repeats = 0
    for one in slices:
        if not kept or one.along_mm - kept[-1].along_mm > POSITION_TOLERANCE_MM / 6:
            kept.append(one)
            continue
        if not _same_pixels(kept[-1].file, one.file):
            raise CaseError(
                f"The CT has two different images at {_at(one)} ({kept[-1].file.path.name}, {one.file.path.name}): "
                "two reconstructions or phases in one series. Leave one of them."
            )
        repeats += 1
    if repeats:
        _warn(f"{repeats} CT image{'s are' if repeats > 1 else ' is'} there twice and counted once.")
    if len(kept) < 2:
        raise CaseError("All images of the CT lie in one place; export the whole series.")
    return kept


def _same_pixels(one: DicomFile, other: DicomFile) -> bool:
    first, second = (getattr(read_whole(file.path), "PixelData", None) for file in (one, other))
    return first is not None and first == second


def _common_size(images: Sequence[DicomFile]) -> tuple[int, int, NDArray[np.float64]]:
    sizes = Counter((int(number(file.header, "Rows", _called(file))), int(number(file.header, "Columns", _called(file)))) for file in images)
    if len(sizes) > 1:
        listed = ", ".join(f"{count} of {rows} x {columns}" for (rows, columns), count in sizes.items())
        raise CaseError(f"The CT series mixes images of different sizes ({listed} pixels); leave the images of one reconstruction.")
    ((rows, columns),) = sizes
    if rows < 1 or columns < 1:
        raise CaseError(f"The CT's images have {rows} x {columns} pixels; export them again.")
    spacings = np.array([numbers(file.header, "PixelSpacing", _called(file), 2) for file in images])
    if np.any(np.ptp(spacings, axis=0) > 1e-3):
        raise CaseError(
            f"The CT series mixes pixel spacings from {spacings.min():g} to {spacings.max():g} mm; leave the images of one reconstruction."
        )
    return rows, columns, spacings[0]


def _even_step(slices: Sequence[_Slice]) -> float:
    """The distance between slices.  Raises CaseError if it is not the same everywhere, naming where."""
    along = np.array([one.along_mm for one in slices])
    steps = np.diff(along)
    usual = float(np.median(steps))
    tolerance = max(POSITION_TOLERANCE_MM * 2, 0.02 * usual)
    odd = np.flatnonzero(np.abs(steps - usual) > tolerance)
    if not len(odd):
        return float((along[-1] - along[0]) / (len(along) - 1))
    before, after = slices[odd[0]], slices[odd[0] + 1]
    between = f"between {_at(before)} and {_at(after)}"
    more = f", and {len(odd) - 1} more" if len(odd) > 1 else ""
    missing = steps[odd] / usual
    if np.all((missing > 1.5) & (np.abs(missing - np.round(missing)) < 0.1)):
        count = int(np.round(missing - 1).sum())
        raise CaseError(
            f"The CT lacks {count} slice{'s' if count > 1 else ''}: a gap of {steps[odd[0]]:.4g} mm {between}{more}, where slices are "
            f"{usual:.4g} mm apart. Load the missing slices, or resample the CT."
        )
    if np.any(steps[odd] < 0.5 * usual):
        raise CaseError(
            f"The CT has overlapping slices: {steps[odd].min():.4g} mm apart {between}{more}, where slices are {usual:.4g} mm apart. "
            "Leave the images of one reconstruction."
        )
    raise CaseError(
        f"The CT's slices are unevenly spaced: {steps[odd[0]]:.4g} mm {between}{more}, elsewhere {usual:.4g} mm. Resample it to even slices."
    )


def _refuse_tilt(slices: Sequence[_Slice], normal: NDArray[np.float64], step: float) -> None:
    """Slices must be stacked along their normal; a tilted gantry, or a table that moved aside, shears the volume."""
    positions = np.array([one.position_mm for one in slices])
    offset = positions - positions[0]
    aside = offset - np.outer(offset @ normal, normal)
    worst = float(np.linalg.norm(aside, axis=1).max())
    angle = float(np.degrees(np.arctan2(worst, step * (len(slices) - 1))))
    if worst > max(POSITION_TOLERANCE_MM * 2, 0.002 * step * (len(slices) - 1)):
        stated = number(slices[0].file.header, "GantryDetectorTilt", _called(slices[0].file), default=0.0)
        told = f"; its header says {stated:g} degrees" if stated else ""
        raise CaseError(
            f"The CT's slices are not stacked at right angles but shifted by up to {worst:.1f} mm, "
            f"as with a gantry tilted by {angle:.1f} degrees{told}. Resample it to an untilted volume."
        )


def _tell_of_thickness(images: Sequence[DicomFile], step: float) -> None:
    thickness = float(np.median([number(file.header, "SliceThickness", _called(file), default=step) for file in images]))
    if thickness > 1.05 * step:
        _warn(f"The CT's slices of {thickness:.4g} mm overlap: they are {step:.4g} mm apart.")
    elif 0 < thickness < 0.95 * step:
        _warn(f"The CT has gaps between its slices of {thickness:.4g} mm: they are {step:.4g} mm apart, and what lies between is not known.")


def _hu(data: Dataset, file: DicomFile, rows: int, columns: int) -> NDArray[np.float32]:
    where = _called(file)
    try:
        stored = pixels(data)
    except Exception as error:  # pydicom has one exception for each way in which pixels can be wrong
        syntax = data.file_meta.TransferSyntaxUID  # read_whole sees to it that there is one
        if syntax not in UNCOMPRESSED:
            raise CaseError(
                f"{where} is compressed ({getattr(syntax, 'name', syntax)}) and cannot be unpacked; export the CT uncompressed."
            ) from error
        raise CaseError(f"{where} has damaged or missing pixels; export or copy it again.") from error
    if stored.shape != (rows, columns):
        raise CaseError(f"{where} has pixels of shape {stored.shape}, not {rows} x {columns}; export it again.")
    hu = stored.astype(np.float32) * np.float32(number(data, "RescaleSlope", where)) + np.float32(number(data, "RescaleIntercept", where))
    return np.maximum(hu, LOWEST_HU)


def _common_text(images: Sequence[DicomFile], keyword: str, words: str) -> str:
    found = sorted({text(file.header, keyword) for file in images})
    if len(found) > 1:
        raise CaseError(f"The CT series mixes {len(found)} values of {words}; leave the images of one scan.")
    return found[0]


def _called(file: DicomFile) -> str:
    return f"CT image {file.path.name}"


def _at(one: _Slice) -> str:
    x, y, z = one.position_mm
    return f"z = {z:.4g} mm" if abs(one.along_mm) < abs(z) + 1e-3 else f"({x:.4g}, {y:.4g}, {z:.4g}) mm"


def _warn(sentence: str) -> None:
    warnings.warn(sentence, CaseWarning, stacklevel=3)
