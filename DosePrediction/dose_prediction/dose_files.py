"""Doses on disk, NRRD, NIfTI or RTDOSE, at the voxels of a case."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from dose_prediction.case import CaseError, CaseWarning, Grid, PlanCase, RoleKind
from dose_prediction.case.dose_values import checked_dose
from dose_prediction.output_files import finish_interrupted
from dose_prediction.volumes import read_volume

COVERED = 0.999


def read_dose_file(path: Path | str) -> tuple[NDArray[np.float32], Grid]:
    """The dose in Gy (z, y, x) of a volume file or an RTDOSE, and its grid.  Raises CaseError if it cannot be read."""
    dose_gy, grid, _frame_uid = _read(Path(path))
    return dose_gy, grid


def read_doses_on_one_grid(reference: Path | str, dose: Path | str) -> tuple[NDArray[np.float32], NDArray[np.float32], Grid]:
    """Two doses in Gy (z, y, x) and the grid that both lie on.

    Raises CaseError if one cannot be read or they lie on different grids; different frames of reference are told of with a CaseWarning.
    """
    reference_gy, grid, frame_uid = _read(Path(reference))
    dose_gy, dose_grid, dose_frame_uid = _read(Path(dose))
    if not grid.matches(dose_grid):
        raise CaseError(f"{dose} lies on another grid {dose_grid.shape} than {reference} {grid.shape}; resample it to that grid.")
    if frame_uid and dose_frame_uid and frame_uid != dose_frame_uid:
        warnings.warn(
            f"{Path(dose).name} lies in another frame of reference than {Path(reference).name}: check that they are of one scan.",
            CaseWarning,
            stacklevel=2,
        )
    return reference_gy, dose_gy, grid


def read_dose_for_case(path: Path | str, case: PlanCase, frame_of_reference_uid: str = "") -> NDArray[np.float32]:
    """The dose of a file in Gy at the voxels of the CT (z, y, x): as it is where the grids match, else linearly interpolated and 0 beyond the dose.

    Raises CaseError if it cannot be read, does not cover a target, or lies in another frame of reference than the CT's `frame_of_reference_uid`;
    organs that it covers in part are told of with a CaseWarning.
    """
    dose_gy, grid, frame_uid = _read(Path(path))
    if frame_uid and frame_of_reference_uid and frame_uid != frame_of_reference_uid:
        raise CaseError(
            f"The dose {Path(path).name} lies in another frame of reference than the CT: they are of different scans. "
            "Give a dose of this CT, or register it first and save it as NRRD."
        )
    if grid.matches(case.grid):
        return dose_gy
    for structure in case.structures:
        if structure.role.kind not in (RoleKind.TARGET, RoleKind.ORGAN):
            continue
        index = grid.index_from_world(case.grid.world_from_index(np.argwhere(structure.mask)))
        covered = float(np.mean(np.all((index >= -0.5) & (index <= np.array(grid.shape) - 0.5), axis=1)))
        if covered >= COVERED:
            continue
        if structure.role.kind is RoleKind.TARGET:
            raise CaseError(
                f"The dose {path} lies on another grid than the CT and covers {covered:.0%} of {structure.name!r}; give one that covers it."
            )
        warnings.warn(f"The dose covers {covered:.0%} of {structure.name!r}; the rest of it counts with 0 Gy.", CaseWarning, stacklevel=2)
    return resampled(dose_gy, grid, case.grid)


def _read(path: Path) -> tuple[NDArray[np.float32], Grid, str]:
    """The dose in Gy (z, y, x), its grid and its frame of reference, "" where the format knows none."""
    finish_interrupted(path.parent)
    if path.is_file():
        from dose_prediction.dicom import is_dicom_file, read_dose

        if is_dicom_file(path):
            dose = read_dose(path)
            return dose.dose_gy, dose.grid, dose.frame_of_reference_uid
    array, grid = read_volume(path)
    return checked_dose(array, f"Dose {path.name}"), grid, ""


def resampled(dose_gy: NDArray[np.float32], grid: Grid, to: Grid) -> NDArray[np.float32]:
    """A dose (z, y, x) on `grid` at the voxels of `to`, linearly interpolated and 0 beyond it."""
    image = SimpleITK.GetImageFromArray(dose_gy)
    image.SetOrigin(grid.origin_mm)
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection([value for row in grid.direction for value in row])
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize(to.shape[::-1])
    resampler.SetOutputOrigin(to.origin_mm)
    resampler.SetOutputSpacing(to.spacing_mm)
    resampler.SetOutputDirection([value for row in to.direction for value in row])
    resampler.SetInterpolator(SimpleITK.sitkLinear)
    carried: NDArray[np.float32] = SimpleITK.GetArrayFromImage(resampler.Execute(image))
    return carried
