"""DICOM files for tests: the water cylinder as a folder, and ways to spoil it."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dose_prediction.case import Arc, Beam, PlanCase
from dose_prediction.case_files import read_case
from dose_prediction.dicom import write_case_as_dicom
from water_case import water_case


def water_folder(folder: Path, case: PlanCase | None = None, position: str = "HFS") -> Path:
    write_case_as_dicom(folder, case or water_case(), position)
    return folder


@contextmanager
def edited(path: Path) -> Iterator[Dataset]:
    """The data set of a file, written back at the end."""
    data = pydicom.dcmread(path)
    for element in data.iterall():  # no element stays as raw bytes
        _ = element.value
    yield data
    pydicom.dcmwrite(path, data)


def edit_ct(folder: Path, change: Callable[[Dataset, int], None]) -> None:
    """Change every CT image; `change` is given its data set and its number from 0."""
    for index, path in enumerate(sorted(folder.glob("ct_*.dcm"))):
        with edited(path) as data:
            change(data, index)


def keep_beams(plan: Dataset, *numbers: int) -> None:
    """Take all other beams out of a plan, and out of the fractions that refer to them."""
    plan.BeamSequence = [beam for beam in plan.BeamSequence if beam.BeamNumber in numbers]
    for group in plan.FractionGroupSequence:
        group.ReferencedBeamSequence = [reference for reference in group.ReferencedBeamSequence if reference.ReferencedBeamNumber in numbers]
        group.NumberOfBeams = len(group.ReferencedBeamSequence)


def copied(folder: Path, name: str, to: str = "second.dcm") -> Path:
    """A second instance with the content of a file."""
    (folder / to).parent.mkdir(exist_ok=True)
    shutil.copy(folder / name, folder / to)
    with edited(folder / to) as data:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return folder / to


def delete(*names: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return spoil


def quiet_case(path: Path, beams: tuple[Beam | Arc, ...] | None = None) -> PlanCase:
    """The case, read without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_case(path, beams)


def same_case(one: PlanCase, other: PlanCase) -> bool:
    return one.digest == other.digest and [s.name for s in one.structures] == [s.name for s in other.structures]


def roi(structure_set: Dataset, name: str) -> Dataset:
    """The ROI Contour item of the structure called `name`."""
    number = next(item.ROINumber for item in structure_set.StructureSetROISequence if item.ROIName == name)
    found: Dataset = next(item for item in structure_set.ROIContourSequence if item.ReferencedROINumber == number)
    return found


def contour(points_mm: np.ndarray, kind: str = "CLOSED_PLANAR") -> Dataset:
    """A Contour item with corners (n, 3) in LPS mm."""
    item = Dataset()
    item.ContourGeometricType = kind
    item.NumberOfContourPoints = len(points_mm)
    item.ContourData = [f"{value:.4f}" for value in np.ravel(points_mm)]
    return item


def tool(name: str, package: str) -> str:
    """The path of a program; a test that asks for one is skipped where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (Debian package {package}), which is not here")
    return found


def validation_errors(path: Path) -> list[str]:
    """What dicom3tools finds wrong with a file."""
    result = subprocess.run([tool("dciodvfy", "dicom3tools"), str(path)], capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (result.stdout + result.stderr).splitlines() if line.startswith(("Error", "Abort"))]
