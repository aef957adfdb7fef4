"""The formats that are fuzzed: small intact files of each, how they are damaged and read, and what a result must agree with."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from dose_prediction import openkbp
from dose_prediction.case import Beam, Grid, PlanCase, Role, Structure, recognise
from dose_prediction.case_files import read_case, write_case, write_case_folder
from dose_prediction.dicom import DicomReferences, write_case_as_dicom, write_dose
from dose_prediction.dicom.instances import item
from dose_prediction.dose_files import read_dose_file
from dose_prediction.dosimetry import load_goal_set
from dose_prediction.resources import resource_path
from dose_prediction.volumes import read_volume, write_volume
from fuzzing import plain_reading
from fuzzing.mutations import damaged, damaged_dicom, damaged_text

SHAPE = (5, 14, 16)
GRID = Grid(SHAPE, (-30.0, -25.0, 12.5), (4.0, 4.0, 3.0))
DOSE_GRID = Grid((4, 6, 7), (-20.0, -12.0, 13.0), (5.0, 4.5, 3.0))


class WrongResult(AssertionError):
    """A damaged file was read without a word, and not as what it holds."""


@dataclass(frozen=True)
class Format:
    """One kind of input.

    `write` makes the intact files in a folder, `altered` is the file that gets damaged.  `read` is given the folder; `check` gets what that returned
    and raises if it is not what the files hold.  `share` is how often it is drawn.
    """

    name: str
    share: int
    write: Callable[[Path], object]
    altered: str
    damage: Callable[[bytes, random.Random], bytes]
    read: Callable[[Path], Any]
    check: Callable[[Any, Path], None]


def small_case() -> PlanCase:
    """A box of water with a target and an organ."""
    z, y, x = np.indices(SHAPE)
    body = (np.abs(y - 7) < 6) & (np.abs(x - 8) < 7)
    target = (np.abs(z - 2) < 2) & (np.abs(y - 7) < 3) & (np.abs(x - 6) < 3)
    organ = (np.abs(z - 2) < 2) & (np.abs(y - 7) < 2) & (np.abs(x - 11) < 2)
    structures = (
        Structure("BODY", Role.external(), body),
        Structure("PTV_7000", Role.target(70.0), target),
        Structure("Parotid_L", Role.organ("Parotid_L"), organ),
    )
    return PlanCase("small", GRID, np.where(body, 0.0, -1000.0).astype(np.float32), structures, (Beam(0), Beam(120), Beam(240)), (0.0, 0.0, 18.5))


def small_dose() -> np.ndarray:
    return (np.random.default_rng(5).random(DOSE_GRID.shape) * 70).astype(np.float32)


def _write_rtdose(bits: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        patient = item(PatientName="A^", PatientID="A", StudyInstanceUID="1.2.3")
        references = DicomReferences(patient, "1.2.4", "1.2.5", "1.2.6", "HFS", {"PTV": 1})
        axis = np.arange(0, 75, 5.0)
        write_dose(folder / "dose.dcm", small_dose(), DOSE_GRID, references, "1.2.6", "fuzzed", bits, axis, {1: np.linspace(9, 0, len(axis))})

    return write


def _write_volume(name: str, array: np.ndarray, grid: Grid) -> Callable[[Path], None]:
    return lambda folder: write_volume(folder / name, array, grid, {"DoseUnits": "GY"})


def _write_raw_nrrd(folder: Path) -> None:
    """The small dose uncompressed, in which nothing but the reader notices altered voxels."""
    x, y, z = DOSE_GRID.spacing_mm
    head = (
        f"NRRD0004\ntype: float\ndimension: 3\nspace: left-posterior-superior\nsizes: {' '.join(map(str, DOSE_GRID.shape[::-1]))}\n"
        f"space directions: ({x},0,0) (0,{y},0) (0,0,{z})\nkinds: domain domain domain\nendian: little\nencoding: raw\n"
        f"space origin: ({','.join(map(str, DOSE_GRID.origin_mm))})\n\n"
    )
    (folder / "dose.nrrd").write_bytes(head.encode() + small_dose().astype("<f4").tobytes())


def _write_openkbp_npz(folder: Path) -> None:
    ct, bits = np.zeros(openkbp.SHAPE, np.int16), np.zeros(openkbp.SHAPE, np.uint16)
    ct[40:80, 40:80, 40:80] = 1024
    bits[40:80, 40:80, 40:80] = 1 << openkbp.BITS[openkbp.MASK]
    bits[55:65, 55:65, 55:65] |= 1 << openkbp.BITS["PTV70"]
    np.savez_compressed(folder / "pt_1.npz", ct=ct, bits=bits, dose=np.zeros(openkbp.SHAPE, np.uint16), spacing=np.array([3.0, 3.0, 2.5]))


def _write_openkbp_csv(folder: Path) -> None:
    rows = "".join(f"{index},{value:.2f}\n" for index, value in zip(range(900_000, 900_300), np.linspace(0, 70, 300), strict=True))
    (folder / "pt_1.csv").write_text(",data\n" + rows)


def _check_rtdose(found: tuple[np.ndarray, Grid], folder: Path) -> None:
    dose, places = plain_reading.rtdose(folder / "dose.dcm")
    _check_dose(found, dose, places)


def _check_nrrd_dose(found: tuple[np.ndarray, Grid], folder: Path) -> None:
    dose, fields = plain_reading.nrrd(folder / "dose.nrrd")
    _check_dose(found, dose, _nrrd_places(fields, dose.shape))


def _check_ct(found: tuple[np.ndarray, Grid], folder: Path) -> None:
    ct, fields = plain_reading.nrrd(folder / "ct.nrrd")
    _check_dose((found[0].astype(float), found[1]), ct.astype(float), _nrrd_places(fields, ct.shape), negative=True)


def _nrrd_places(fields: Mapping[str, str], shape: tuple[int, ...]) -> np.ndarray:
    """LPS places of the first voxel, the next along each axis, and the last."""
    steps, origin = plain_reading.nrrd_vectors(fields["space directions"]), plain_reading.nrrd_vectors(fields["space origin"])[0]
    signs = {"left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1), "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1)}
    sign = np.array({**signs, "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1)}[fields["space"].strip().lower()])
    k, j, i = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [n - 1 for n in shape]]).T
    return np.asarray((origin + np.outer(i, steps[0]) + np.outer(j, steps[1]) + np.outer(k, steps[2])) * sign)


def _check_dose(found: tuple[np.ndarray, Grid], values: np.ndarray, places: np.ndarray, negative: bool = False) -> None:
    """The same values in the same places, wherever the array begins."""
    array, grid = found
    _require(array.shape == grid.shape == values.shape, f"shapes {array.shape}, {grid.shape}, {values.shape}")
    _require(bool(np.isfinite(array).all()) and (negative or array.min() >= 0), f"values from {array.min()} to {array.max()}")
    corners = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [n - 1 for n in grid.shape]])
    if grid.shape[0] > 1 and np.linalg.norm(grid.world_from_index(corners)[0] - places[0]) > 0.05:
        values, corners = values[::-1], corners * [-1, 1, 1] + [grid.shape[0] - 1, 0, 0]
    _require(np.allclose(grid.world_from_index(corners), places, atol=0.06, rtol=1e-5), f"places {grid.world_from_index(corners)} for {places}")
    _require(np.allclose(array, values, rtol=1e-5, atol=1e-6), "other values")


def _check_dicom_case(case: PlanCase, folder: Path) -> None:
    hu, origins = plain_reading.ct_series(folder)
    _require(case.ct_hu.shape == hu.shape and np.allclose(case.ct_hu, hu, atol=0.01), "other HU")
    _require(np.allclose(case.grid.world_from_index([[k, 0, 0] for k in range(len(hu))]), origins, atol=0.13), "slices in other places")
    drawn = plain_reading.structures(folder / "structure_set.dcm", origins, case.grid.spacing_mm, case.grid.shape)
    for structure in case.structures:
        differing = np.count_nonzero(structure.mask ^ drawn[structure.name])
        _require(differing <= 0.01 * structure.mask.sum() + 2, f"{differing} other voxels of {structure.name!r}")


def _check_plan(case: PlanCase, folder: Path) -> None:
    """Beams, isocentre and prescriptions; CT and structures are those of the intact files beside the plan."""
    _check_dicom_case(case, folder)
    plan = plain_reading.plan(folder / "plan.dcm")
    beams = {(beam.gantry_deg, beam.couch_deg, beam.collimator_deg, beam.energy_mv) for beam in case.beams if isinstance(beam, Beam)}
    _require(beams == plan.beams, f"beams {beams} for {set(plan.beams)}")
    _require(np.allclose(case.isocentre, plan.isocentre_mm, atol=1e-3), f"isocentre {case.isocentre} for {plan.isocentre_mm}")
    numbers = {str(roi.ROIName): int(roi.ROINumber) for roi in pydicom.dcmread(folder / "structure_set.dcm").StructureSetROISequence}
    for target in case.targets:
        prescribed = plan.prescriptions_gy.get(numbers[target.name]) or recognise(target.name).prescription_gy
        _require(target.role.prescription_gy == prescribed, f"{target.role.prescription_gy} Gy for {prescribed}")


def _check_case(case: PlanCase, folder: Path) -> None:
    """Whatever the plan says, CT and masks are those of the intact files beside it."""
    intact = small_case()
    masks = {structure.name: structure.mask for structure in intact.structures}
    _require(np.array_equal(case.ct_hu, intact.ct_hu), "other HU")
    _require(all(np.array_equal(structure.mask, masks[structure.name]) for structure in case.structures), "other masks")


def _check_segmentation(case: PlanCase, folder: Path) -> None:
    layers, fields = plain_reading.nrrd(folder / "segmentation.seg.nrrd")
    layers = layers[..., np.newaxis] if layers.ndim == 3 else layers
    steps, origin = plain_reading.nrrd_vectors(fields["space directions"]), plain_reading.nrrd_vectors(fields["space origin"])[0]
    _require(np.allclose(np.diag(steps), GRID.spacing_mm, atol=1e-2) and np.allclose(origin, GRID.origin_mm, atol=0.2), "another place")
    numbers = {fields[key]: key.removesuffix("_Name") for key in fields if re.fullmatch(r"Segment\d+_Name", key)}
    for structure in case.structures:
        segment = numbers[structure.name]
        mask = layers[..., int(fields[f"{segment}_Layer"])] == int(fields[f"{segment}_LabelValue"])
        _require(np.array_equal(structure.mask, mask), f"other voxels of {structure.name!r}")


def _check_same_case(case: PlanCase, folder: Path) -> None:
    """The files of an npz have checksums: what is read is what was written."""
    _require(case.digest == small_case().digest, "another case")


def _check_same_dose(found: tuple[np.ndarray, Grid], folder: Path) -> None:
    """A compressed file has a checksum over header and voxels."""
    _require(np.array_equal(found[0], small_dose()) and found[1].matches(DOSE_GRID), "another dose")


def _check_openkbp_npz(case: PlanCase, folder: Path) -> None:
    _require(case.ct_hu.sum() == (40**3 - 128**3) * 1024.0 and case.targets[0].mask.sum() == 1000 and case.body.sum() == 40**3, "another case")


def _check_openkbp_csv(dose: np.ndarray, folder: Path) -> None:
    flat = plain_reading.openkbp_csv(folder / "pt_1.csv", dose.size)
    _require(np.array_equal(openkbp.to_openkbp_axes(dose).ravel(), flat, equal_nan=True), "other values")


def _check_goals(goals: Any, folder: Path) -> None:
    _require(len(goals.goals) > 0 and all(np.isfinite(goal.limit) for goal in goals.goals), "no goals")


def _require(is_right: bool, what: str) -> None:
    if not is_right:
        raise WrongResult(what)


def _write_dicom(folder: Path) -> None:
    write_case_as_dicom(folder, small_case())


def _write_folder(folder: Path) -> None:
    write_case_folder(folder, small_case())


def _write_npz(folder: Path) -> None:
    write_case(folder / "small.npz", small_case())


def _write_goals(folder: Path) -> None:
    (folder / "goals.json").write_bytes((resource_path("Goals") / "Lung.json").read_bytes())


_CT = small_case().ct_hu.astype(np.int16)

FORMATS = (
    Format("RTDOSE, 16 bits", 4, _write_rtdose(16), "dose.dcm", damaged_dicom, lambda f: read_dose_file(f / "dose.dcm"), _check_rtdose),
    Format("RTDOSE, 32 bits", 2, _write_rtdose(32), "dose.dcm", damaged_dicom, lambda f: read_dose_file(f / "dose.dcm"), _check_rtdose),
    Format("CT image", 3, _write_dicom, "ct_003.dcm", damaged_dicom, read_case, _check_dicom_case),
    Format("RTSTRUCT", 4, _write_dicom, "structure_set.dcm", damaged_dicom, read_case, _check_dicom_case),
    Format("RTPLAN", 3, _write_dicom, "plan.dcm", damaged_dicom, read_case, _check_plan),
    Format("NRRD dose, raw", 3, _write_raw_nrrd, "dose.nrrd", damaged_text, lambda f: read_dose_file(f / "dose.nrrd"), _check_nrrd_dose),
    Format(
        "NRRD dose, gzip",
        3,
        _write_volume("dose.nrrd", small_dose(), DOSE_GRID),
        "dose.nrrd",
        damaged_text,
        lambda f: read_dose_file(f / "dose.nrrd"),
        _check_nrrd_dose,
    ),
    Format("NRRD CT", 2, _write_volume("ct.nrrd", _CT, GRID), "ct.nrrd", damaged_text, lambda f: read_volume(f / "ct.nrrd"), _check_ct),
    Format("seg.nrrd", 3, _write_folder, "segmentation.seg.nrrd", damaged_text, read_case, _check_segmentation),
    Format("plan.json", 3, _write_folder, "plan.json", damaged_text, read_case, _check_case),
    Format("case npz", 3, _write_npz, "small.npz", damaged, lambda f: read_case(f / "small.npz"), _check_same_case),
    Format(
        "NIfTI dose, gzip",
        2,
        _write_volume("dose.nii.gz", small_dose(), DOSE_GRID),
        "dose.nii.gz",
        damaged,
        lambda f: read_dose_file(f / "dose.nii.gz"),
        _check_same_dose,
    ),
    Format("OpenKBP npz", 1, _write_openkbp_npz, "pt_1.npz", damaged, lambda f: read_case(f / "pt_1.npz"), _check_openkbp_npz),
    Format("OpenKBP dose CSV", 2, _write_openkbp_csv, "pt_1.csv", damaged_text, lambda f: openkbp.read_dose_csv(f / "pt_1.csv"), _check_openkbp_csv),
    Format("goal set JSON", 2, _write_goals, "goals.json", damaged_text, lambda f: load_goal_set(f / "goals.json"), _check_goals),
)


def intact_files(kind: Format) -> dict[str, bytes]:
    """The intact files of a format by their names."""
    with tempfile.TemporaryDirectory() as folder:
        kind.write(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
