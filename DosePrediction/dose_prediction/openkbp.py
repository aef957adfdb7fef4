"""The OpenKBP challenge: its cases, its two scores and its files (Babier et al., Medical Physics 48, 5549-5561, 2021).

A case comes as the challenge's own folder of CSV files, or as one `pt_*.npz` with `ct`, `dose`, `bits` and `spacing`.  Both hold arrays of
128 x 128 x 128 voxels whose axes run from anterior to posterior, from the patient's right to the left, and from superior to inferior.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case import CaseError, Grid, PlanCase, Role, Structure, equispaced_beams, recognise
from dose_prediction.output_files import finish_interrupted, whole_file

Volume = NDArray[np.float32]
SHAPE = (128, 128, 128)
ORGANS = ("Brainstem", "SpinalCord", "RightParotid", "LeftParotid", "Esophagus", "Larynx", "Mandible")
TARGETS = ("PTV56", "PTV63", "PTV70")
MASK = "possible_dose_mask"
# Bit of each structure in the `bits` array of an npz case.
BITS = {name: bit for bit, name in enumerate(ORGANS + TARGETS)} | {MASK: 15}
# Every plan of the challenge has nine coplanar 6 MV fields.
BEAMS = equispaced_beams(9)

# The CT is stored as HU + 1024 in 12 bits; a few voxels lie far above.
_CT_OFFSET = 1024
_CT_HIGHEST = 4095


@dataclass(frozen=True, eq=False)
class Reference:
    """The dose that was delivered to a case, in Gy, and where dose can be at all; arrays (z, y, x)."""

    dose_gy: NDArray[np.float32]
    possible_dose_mask: NDArray[np.bool_]


@dataclass(frozen=True)
class CaseScore:
    """Errors of one prediction in Gy: the mean over the voxels with dose, and each DVH metric by (structure, metric)."""

    name: str
    dose_gy: float
    dvh_errors_gy: Mapping[tuple[str, str], float]

    @property
    def dvh_gy(self) -> float:
        """Mean DVH error of this case alone."""
        return float(np.mean(list(self.dvh_errors_gy.values())))


@dataclass(frozen=True)
class Scores:
    """The two scores of the challenge over a set of cases; `missing` are the reference cases without a prediction, which count in neither."""

    cases: tuple[CaseScore, ...]
    missing: tuple[str, ...] = ()

    @property
    def dose_gy(self) -> float:
        """Dose score: the mean over patients."""
        return float(np.mean([case.dose_gy for case in self.cases]))

    @property
    def dvh_gy(self) -> float:
        """DVH score: the mean over every patient, structure and metric."""
        return float(np.mean([error for case in self.cases for error in case.dvh_errors_gy.values()]))

    def as_dict(self) -> dict[str, Any]:
        """The scores as JSON can hold them."""
        cases = {
            case.name: {
                "dose_score_gy": case.dose_gy,
                "dvh_score_gy": case.dvh_gy,
                "dvh_errors_gy": {f"{structure} {metric}": error for (structure, metric), error in case.dvh_errors_gy.items()},
            }
            for case in self.cases
        }
        return {"dose_score_gy": self.dose_gy, "dvh_score_gy": self.dvh_gy, "cases": cases, "missing": list(self.missing)}


def from_openkbp_axes(array: NDArray[Any]) -> NDArray[Any]:
    """(z, y, x) with z to superior, y to posterior, x to the patient's left, from the challenge's axes."""
    return np.ascontiguousarray(array.transpose(2, 0, 1)[::-1])


def to_openkbp_axes(array_zyx: NDArray[Any]) -> NDArray[Any]:
    """The challenge's axes from (z, y, x)."""
    return np.ascontiguousarray(array_zyx[::-1].transpose(1, 2, 0))


def read_case(path: Path) -> PlanCase:
    """A case of the challenge, from its CSV folder or its npz file."""
    return read_csv_folder(path) if Path(path).is_dir() else read_npz(path)


def read_npz(path: Path) -> PlanCase:
    """The case in a `pt_*.npz` file."""
    path = Path(path)
    arrays = _load_npz(path, ("ct", "bits", "spacing"))
    bits = arrays["bits"]
    masks = {name: (bits >> bit & 1).astype(bool) for name, bit in BITS.items()}
    return _plan_case(path.stem, arrays["ct"], masks, arrays["spacing"])


def read_csv_folder(path: Path) -> PlanCase:
    """The case in a folder of the challenge's CSV files; a structure without a file, or with an empty one, was not contoured."""
    path = Path(path)
    ct = _read_dense(path / "ct.csv")
    masks = {name: _read_mask(path / f"{name}.csv") for name in (*ORGANS, *TARGETS, MASK) if (path / f"{name}.csv").is_file()}
    if MASK not in masks:
        raise CaseError(f"{path} has no {MASK}.csv; copy the case's whole folder.")
    return _plan_case(path.name, ct, masks, _read_spacing(path / "voxel_dimensions.csv"))


def is_csv_folder(path: Path) -> bool:
    return (Path(path) / "ct.csv").is_file()


def read_reference(path: Path) -> Reference:
    """The reference dose of a case, from its CSV folder or its npz file."""
    path = Path(path)
    if path.is_dir():
        dose, mask = _read_dense(path / "dose.csv"), _read_mask(path / f"{MASK}.csv")
    else:
        arrays = _load_npz(path, ("dose", "bits"))
        dose, mask = (arrays["dose"] / 100).astype(np.float32), (arrays["bits"] >> BITS[MASK] & 1).astype(bool)
    return Reference(from_openkbp_axes(dose), from_openkbp_axes(mask))


def read_dose_csv(path: Path) -> NDArray[np.float32]:
    """A dose (z, y, x) in Gy from a CSV file of the challenge."""
    return from_openkbp_axes(_read_dense(Path(path)))


def write_dose_csv(path: Path, dose_gy: NDArray[np.floating]) -> None:
    """Write a dose (z, y, x) in Gy as the challenge takes it: the flat index and the value of every voxel above 0."""
    path = Path(path)
    if dose_gy.shape != SHAPE:
        raise CaseError(f"The dose has {' x '.join(map(str, dose_gy.shape))} voxels; a file of the challenge holds 128 x 128 x 128.")
    flat = to_openkbp_axes(np.asarray(dose_gy)).ravel()
    indices = np.flatnonzero(flat > 0)
    rows = "".join(f"{index},{value:.4f}\n" for index, value in zip(indices.tolist(), flat[indices].tolist(), strict=True))
    with whole_file(path) as unfinished:
        unfinished.write_text(f",data\n{rows}", encoding="ascii")


def dose_score(reference_gy: NDArray[np.floating], prediction_gy: NDArray[np.floating], possible_dose_mask: NDArray[np.bool_]) -> float:
    """Sum of |reference - prediction| over the number of voxels that can have dose, in Gy; a prediction counts as 0 where no dose can be."""
    difference = np.abs(reference_gy.astype(np.float64) - np.where(possible_dose_mask, prediction_gy, 0))
    return float(difference.sum() / np.count_nonzero(possible_dose_mask))


def dvh_metrics(dose_gy: NDArray[np.floating], mask: NDArray[np.bool_], voxel_volume_mm3: float, is_target: bool) -> dict[str, float]:
    """The challenge's DVH metrics of one structure in Gy: D99, D95 and D1 of a target, D0.1cc and the mean of an organ."""
    dose = dose_gy[mask].astype(np.float64)
    if is_target:
        d99, d95, d1 = np.percentile(dose, (1, 5, 99))
        return {"D99": float(d99), "D95": float(d95), "D1": float(d1)}
    voxels = max(1, round(100 / voxel_volume_mm3))
    return {"D0.1cc": float(np.percentile(dose, 100 - min(1.0, voxels / dose.size) * 100)), "mean": float(dose.mean())}


def dvh_errors(
    reference_gy: NDArray[np.floating], prediction_gy: NDArray[np.floating], masks: Mapping[str, NDArray[np.bool_]], voxel_volume_mm3: float
) -> dict[tuple[str, str], float]:
    """|reference - prediction| in Gy of every DVH metric, by (structure, metric); `masks` by the challenge's names, empty ones are skipped."""
    errors: dict[tuple[str, str], float] = {}
    for name, mask in masks.items():
        if name not in BITS or name == MASK or not mask.any():
            continue
        expected = dvh_metrics(reference_gy, mask, voxel_volume_mm3, name in TARGETS)
        found = dvh_metrics(prediction_gy, mask, voxel_volume_mm3, name in TARGETS)
        errors |= {(name, metric): abs(expected[metric] - found[metric]) for metric in expected}
    return errors


def score_case(case: PlanCase, reference: Reference, prediction_gy: NDArray[np.floating]) -> CaseScore:
    """Both errors of one predicted dose (z, y, x)."""
    if prediction_gy.shape != reference.dose_gy.shape:
        raise CaseError(f"The prediction of {case.name} has shape {prediction_gy.shape}, its reference {reference.dose_gy.shape}; predict it again.")
    if not np.all(np.isfinite(prediction_gy)):
        raise CaseError(f"The prediction of {case.name} has values that are not numbers; predict it again.")
    inside = np.where(reference.possible_dose_mask, prediction_gy, np.float32(0))
    masks = {structure.name: structure.mask for structure in case.structures}
    errors = dvh_errors(reference.dose_gy, inside, masks, case.grid.voxel_volume_mm3)
    return CaseScore(case.name, dose_score(reference.dose_gy, inside, reference.possible_dose_mask), errors)


def find_cases(folder: Path) -> list[Path]:
    """The cases of the challenge in a folder (CSV folders and npz files), by patient number."""
    folder = Path(folder)
    found = [path for path in folder.glob("pt_*") if path.suffix == ".npz" or is_csv_folder(path)] if folder.is_dir() else []
    return sorted(found, key=lambda path: (len(path.stem), path.stem))


def evaluate(reference_dir: Path, prediction_dir: Path, change: Callable[[PlanCase, Volume], Volume] | None = None) -> Scores:
    """Both scores of the predictions `pt_N.csv` in one folder against the reference cases in the other.

    `change` makes of a case and its predicted dose (z, y, x) the dose that is scored.
    """
    finish_interrupted(prediction_dir)
    references = find_cases(reference_dir)
    if not references:
        raise CaseError(f"{reference_dir} has no OpenKBP case; give a folder of pt_*.npz files or of the challenge's CSV folders.")
    found = {path.stem: Path(prediction_dir) / f"{path.stem}.csv" for path in references}
    missing = tuple(name for name, path in found.items() if not path.is_file())
    if len(missing) == len(found):
        raise CaseError(f"{prediction_dir} has no prediction of a case in {reference_dir}; it should hold files such as {references[0].stem}.csv.")
    scored = [path for path in references if path.stem not in missing]

    def score(path: Path) -> CaseScore:
        case, dose_gy = read_case(path), read_dose_csv(found[path.stem])
        return score_case(case, read_reference(path), dose_gy if change is None else change(case, dose_gy))

    return Scores(tuple(score(path) for path in scored), missing)


def _plan_case(name: str, ct: NDArray[Any], masks: Mapping[str, NDArray[np.bool_]], spacing: NDArray[Any]) -> PlanCase:
    if ct.shape != SHAPE or any(mask.shape != SHAPE for mask in masks.values()):
        raise CaseError(f"{name} has {' x '.join(map(str, ct.shape))} voxels; a case of the challenge has 128 x 128 x 128.")
    hu = np.clip(from_openkbp_axes(ct), 0, _CT_HIGHEST).astype(np.float32) - _CT_OFFSET
    y, x, z = (round(float(value), 5) for value in spacing)  # both layouts give the same grid
    structures = [Structure(name, _role(name), from_openkbp_axes(mask)) for name, mask in masks.items() if mask.any()]
    return PlanCase(name, Grid(SHAPE, spacing_mm=(x, y, z)), hu, tuple(structures), BEAMS)


def _role(name: str) -> Role:
    return Role.external() if name == MASK else recognise(name)


def _load_npz(path: Path, keys: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in keys}
    except FileNotFoundError:
        raise CaseError(f"{path} does not exist; check the path.") from None
    except KeyError as error:
        raise CaseError(f"{path} is not an OpenKBP case: {error.args[0]}.") from None
    except Exception as error:  # zipfile and numpy trip over damaged bytes in many ways
        raise CaseError(f"{path} cannot be read ({error}); it may be damaged, copy it again.") from None


def _read_rows(path: Path, columns: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        with path.open(encoding="utf-8") as file:
            if file.readline().strip() != ",data":
                raise CaseError(f"{path} does not start with the line ',data'; it is no file of the challenge.")
            lines = file.read()
        if not lines.strip():
            return np.zeros((0, len(columns)))
        rows = lines.splitlines()
        if any(row.count(",") != 1 for row in rows):
            raise ValueError("a line has not two columns")
        return np.loadtxt(rows, delimiter=",", usecols=columns, ndmin=2)
    except FileNotFoundError:
        raise CaseError(f"{path} does not exist; copy the case's whole folder.") from None
    except CaseError:
        raise
    except (OSError, ValueError, IndexError) as error:
        raise CaseError(f"{path} cannot be read ({error}); it may be damaged, copy it again.") from None


def _flat_indices(path: Path, column: NDArray[np.float64]) -> NDArray[np.int64]:
    wrong = column[~((column >= 0) & (column < np.prod(SHAPE)) & (column == np.floor(column)))]
    if wrong.size:
        raise CaseError(f"{path} has voxel index {wrong[0]:.10g}; an index of the challenge is a whole number from 0 to {np.prod(SHAPE) - 1}.")
    indices = column.astype(np.int64)
    if np.unique(indices).size < indices.size:
        raise CaseError(f"{path} has values for one voxel twice; it may be damaged, copy it again.")
    return indices


def _read_dense(path: Path) -> NDArray[np.float32]:
    rows = _read_rows(path, (0, 1))
    dense = np.zeros(int(np.prod(SHAPE)), dtype=np.float32)
    dense[_flat_indices(path, rows[:, 0])] = rows[:, 1]
    return dense.reshape(SHAPE)


def _read_mask(path: Path) -> NDArray[np.bool_]:
    mask = np.zeros(int(np.prod(SHAPE)), dtype=bool)
    mask[_flat_indices(path, _read_rows(path, (0,))[:, 0])] = True
    return mask.reshape(SHAPE)


def _read_spacing(path: Path) -> NDArray[np.float64]:
    try:
        spacing = np.loadtxt(path, ndmin=1)
    except FileNotFoundError:
        raise CaseError(f"{path} does not exist; copy the case's whole folder.") from None
    except (OSError, ValueError) as error:
        raise CaseError(f"{path} cannot be read ({error}); it should hold three numbers in mm, one a line.") from None
    if spacing.shape != (3,):
        raise CaseError(f"{path} has {spacing.size} numbers; it should hold three, in mm, one a line.")
    return spacing
