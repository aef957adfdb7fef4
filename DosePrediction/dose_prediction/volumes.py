"""Volumes on disk: NRRD and NIfTI, read and written through SimpleITK."""

from __future__ import annotations

import errno
import gzip
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from dose_prediction.case.errors import CaseError
from dose_prediction.case.grid import Grid
from dose_prediction.nrrd_header import check_nrrd
from dose_prediction.output_files import whole_file

VOLUME_SUFFIXES = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")


def read_volume(path: Path | str) -> tuple[NDArray[Any], Grid]:
    """The (z, y, x) array of a volume file, in the type it was stored as, and its grid.

    Raises CaseError if the file is missing, truncated, no image, or not three-dimensional with one value a voxel.
    """
    image = read_image(path)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        size, values = image.GetSize(), image.GetNumberOfComponentsPerPixel()
        raise CaseError(
            f"{path} has {image.GetDimension()} dimensions {size} with {values} value{'s' if values != 1 else ''} a voxel; "
            "give a single 3-D volume (export one time point or one component)."
        )
    return SimpleITK.GetArrayFromImage(image), grid_of(image)


def read_image(path: Path | str) -> SimpleITK.Image:
    """The image of a file as SimpleITK has it, whatever its dimensions, with its metadata.  Raises CaseError if it cannot be read in full."""
    path = Path(path)
    if not path.is_file():
        raise CaseError(f"{path} is not a file; check the path.")
    if path.stat().st_size == 0:
        raise CaseError(f"{path} is empty (0 bytes); export or copy it again.")
    warnings_shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise CaseError(
            f"{path} cannot be read as an image: it is truncated, damaged or of another format ({_reason(error)}). Export or copy it again."
        ) from error
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(warnings_shown)
    _refuse_truncated_nifti(path, image)
    if path.suffix.lower() == ".nrrd":
        check_nrrd(path)
    return image


def grid_of(image: SimpleITK.Image) -> Grid:
    """The grid of a 3-D SimpleITK image."""
    x, y, z = image.GetSize()
    d = image.GetDirection()
    return Grid((z, y, x), image.GetOrigin(), image.GetSpacing(), (d[0:3], d[3:6], d[6:9]))


def write_volume(path: Path | str, array: NDArray[Any], grid: Grid, metadata: dict[str, str] | None = None) -> None:
    """Write a (z, y, x) array as a compressed volume file, whole or not at all; the format follows the file extension.

    `metadata` becomes key-value pairs of the file's header (NRRD).  Masks are stored as 0 and 1.  Raises OutputError if the folder cannot be written
    to or its disk is full, CaseError if array and grid differ in shape.
    """
    path = Path(path)
    if array.shape != grid.shape:
        raise CaseError(f"Array has shape {array.shape} and its grid {grid.shape}; give the grid on which the array lies.")
    image = SimpleITK.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)
    image.SetOrigin(grid.origin_mm)
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection([value for row in grid.direction for value in row])
    for key, value in (metadata or {}).items():
        image.SetMetaData(key, value)
    with whole_file(path) as unfinished:
        write_image(unfinished, image)


def write_image(path: Path, image: SimpleITK.Image) -> None:
    """Write `image` to `path` (compressed) and make sure that it arrived in full; ITK alone does not report a full disk for every format."""
    try:
        SimpleITK.WriteImage(image, str(path), True, 1)
        read_image(path)
    except (RuntimeError, CaseError) as error:
        size = image.GetNumberOfPixels() * image.GetSizeOfPixelComponent() * image.GetNumberOfComponentsPerPixel()
        if not path.parent.is_dir():
            raise OSError(errno.ENOENT, "No such folder") from error
        if shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, "No space left on device") from error
        raise OSError(errno.EIO, f"{path.name} could not be written: {error}") from error


def _refuse_truncated_nifti(path: Path, image: SimpleITK.Image) -> None:
    """ITK fills what is missing of a NIfTI file with zeros and says nothing, so its length is compared with what its header promises."""
    if not image.HasMetaDataKey("vox_offset"):
        return
    values = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel()
    expected = int(float(image.GetMetaData("vox_offset"))) + values * int(image.GetMetaData("bitpix")) // 8
    if path.suffix == ".gz":
        try:
            with gzip.open(path) as stream:
                found = stream.seek(expected) + len(stream.read())  # to the checksum at the end
        except (OSError, EOFError, zlib.error):
            found = 0
    else:
        found = path.stat().st_size
    if found < expected:
        raise CaseError(f"{path} is truncated: its header promises {expected} bytes and fewer are there. Export or copy it again.")


def _reason(error: RuntimeError) -> str:
    """The last line of an ITK exception that says something, without source file and address."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1].split("): ")[-1] if lines else "no reason given"
    return reason.removeprefix("ITK ERROR: ").removeprefix("sitk::ERROR: ").rstrip(".")
