"""The commands that judge doses: `dvh`, `gamma` and `compare`."""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dose_prediction.case import CaseError, CaseWarning
from dose_prediction.dosimetry import Comparison, GammaCriteria, compare_doses, gamma_index, passing_percent, structure_doses
from dose_prediction.dosimetry.structure_dose import VolumeUnit
from dose_prediction.output_files import require_writable, whole_file, whole_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

DVH_STEP_GY = 0.1


def add_commands(commands: Any) -> None:
    """Register the commands with argparse's sub-parsers."""
    dose_help = "dose in Gy: RTDOSE, NRRD or NIfTI"
    dvh = commands.add_parser("dvh", help="DVHs and dose metrics of every target and organ")
    dvh.add_argument("case", type=Path, metavar="CASE", help="the case, as for predict")
    dvh.add_argument("--dose", type=Path, required=True, metavar="FILE", help=dose_help)
    dvh.add_argument("--output", type=Path, metavar="FILE", help="write the curves as CSV, in steps of 0.1 Gy")
    dvh.add_argument("--absolute", action="store_true", help="volumes of the curves in cc instead of percent")
    dvh.add_argument("--differential", action="store_true", help="volume per Gy instead of volume at or above the dose")
    dvh.add_argument(
        "--percent-of", type=float, metavar="GY", help="doses of the curves in percent of this one, such as the prescription, instead of Gy"
    )
    dvh.set_defaults(run=_dvh)

    gamma = commands.add_parser("gamma", help="gamma index of two doses on one grid")
    gamma.add_argument("reference", type=Path, metavar="REFERENCE", help=dose_help)
    gamma.add_argument("dose", type=Path, metavar="DOSE", help="the dose that is judged")
    _add_criteria(gamma)
    gamma.add_argument("--output", type=Path, metavar="FILE", help="write gamma as a volume (NRRD or NIfTI), 0 where it is not judged")
    gamma.set_defaults(run=_gamma)

    compare = commands.add_parser("compare", help="two doses of a case: metrics, isodoses, gamma")
    compare.add_argument("case", type=Path, metavar="CASE", help="the case, as for predict")
    compare.add_argument("--reference", type=Path, required=True, metavar="FILE", help=dose_help)
    compare.add_argument("--dose", type=Path, required=True, metavar="FILE", help="the dose that is compared with it")
    _add_criteria(compare)
    compare.add_argument("--output", type=Path, metavar="DIR", help="write difference and gamma as volumes, metrics and DVHs as CSV")
    compare.set_defaults(run=_compare)


def _add_criteria(command: argparse.ArgumentParser) -> None:
    default = GammaCriteria()
    command.add_argument("--percent", type=float, default=default.dose_percent, metavar="P", help="dose criterion in percent (default 3)")
    command.add_argument("--distance", type=float, default=default.distance_mm, metavar="MM", help="distance criterion in mm (default 3)")
    command.add_argument("--local", action="store_true", help="percent of the dose at each point instead of the maximum dose")
    command.add_argument("--threshold", type=float, default=default.threshold_percent, metavar="P", help="judge from this percentage (default 10)")


def _criteria(options: argparse.Namespace) -> GammaCriteria:
    return GammaCriteria(options.percent, options.distance, options.local, options.threshold)


def _dvh(options: argparse.Namespace) -> int:
    from dose_prediction.case_files import open_case
    from dose_prediction.dose_files import read_dose_for_case
    from dose_prediction.report import text_table

    with _told():
        if options.percent_of is not None and not 0 < options.percent_of < np.inf:
            raise CaseError(f"Doses cannot be told in percent of {options.percent_of:g} Gy; give a dose above 0, such as the prescription.")
        opened = open_case(options.case)
        case = opened.case
        dose_gy = read_dose_for_case(options.dose, case, opened.frame_of_reference_uid)
        found = structure_doses(dose_gy, case)
    rows = []
    for name, dose in found.items():
        figures = (dose.mean_gy, *(dose.dose_at_volume(percent) for percent in (98, 95, 50, 2)), dose.dose_at_volume(0.03, "cc"))
        rows.append([name, f"{dose.total_cc:.2f}", *(f"{figure:.2f}" for figure in figures)])
    print(text_table(["Structure", "cc", "Dmean (Gy)", "D98%", "D95%", "D50%", "D2%", "D0.03cc"], rows))
    if options.output is not None:
        unit: VolumeUnit = "cc" if options.absolute else "%"
        edges = np.arange(int(max(dose.max_gy for dose in found.values()) / DVH_STEP_GY) + 3) * DVH_STEP_GY
        curves = [dose.differential(edges, unit) if options.differential else dose.cumulative(edges, unit) for dose in found.values()]
        axis = edges[:-1] + DVH_STEP_GY / 2 if options.differential else edges
        dose_unit, in_unit = ("Gy", 1.0) if options.percent_of is None else ("%", 100.0 / options.percent_of)
        per_unit, volume_unit = (in_unit, f"{unit}/{dose_unit}") if options.differential else (1.0, unit)
        header = [f"Dose ({dose_unit})", *(f"{name} ({volume_unit})" for name in found)]
        _write_csv_file(
            options.output, header, ([f"{d * in_unit:.2f}", *(f"{curve[i] / per_unit:.4f}" for curve in curves)] for i, d in enumerate(axis))
        )
    return 0


def _gamma(options: argparse.Namespace) -> int:
    from dose_prediction.dose_files import read_doses_on_one_grid
    from dose_prediction.volumes import write_volume

    with _told():
        criteria = _criteria(options)
        reference, dose, grid = read_doses_on_one_grid(options.reference, options.dose)
        with _progress("Gamma") as on_progress:
            gamma = gamma_index(reference, dose, grid.spacing_zyx_mm, criteria, on_progress=on_progress)
    judged = gamma[np.isfinite(gamma)]
    if judged.size == 0:
        raise CaseError(f"No point of {options.reference} is judged by {criteria}; give a lower threshold or another reference.")
    print(f"{criteria}: {passing_percent(gamma):.2f} % of {judged.size} points have up to 1; mean {judged.mean():.3f}, largest {judged.max():.3f}")
    if options.output is not None:
        write_volume(options.output, np.nan_to_num(gamma), grid)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from dose_prediction.case_files import open_case
    from dose_prediction.dose_files import read_dose_for_case
    from dose_prediction.report import text_table
    from dose_prediction.volumes import write_volume

    with _told():
        criteria = _criteria(options)
        if options.output is not None:
            require_writable(options.output)
        opened = open_case(options.case)
        case = opened.case
        reference, dose = (read_dose_for_case(path, case, opened.frame_of_reference_uid) for path in (options.reference, options.dose))
        with _progress("Gamma") as on_progress:
            found = compare_doses(case, reference, dose, criteria, on_progress)
    changes = [[c.where, c.metric, c.unit, f"{c.reference:.3g}", f"{c.evaluated:.3g}", f"{c.difference:+.2g}"] for c in found.changes]
    print(text_table(["Structure", "Metric", "Unit", "Reference", "Dose", "Change"], changes))
    print()
    print(text_table(["Where", "Agreement", "Value", "Unit"], [[a.where, a.metric, f"{a.value:.4g}", a.unit] for a in found.agreement]))
    if options.output is not None:
        with whole_folder(options.output) as scratch:
            write_volume(scratch / "difference.nrrd", found.difference_gy, case.grid, {"DoseUnits": "GY"})
            write_volume(scratch / "gamma.nrrd", np.nan_to_num(found.gamma), case.grid)
            _write_comparison(scratch, found)
    return 0


def _write_comparison(folder: Path, found: Comparison) -> None:
    figures = ([c.where, c.metric, c.unit, f"{c.reference:.4f}", f"{c.evaluated:.4f}", f"{c.difference:.4f}"] for c in found.changes)
    _write_csv(folder / "metrics.csv", ["Structure", "Metric", "Unit", "Reference", "Dose", "Change"], figures)
    _write_csv(
        folder / "agreement.csv", ["Where", "Metric", "Unit", "Value"], ([a.where, a.metric, a.unit, f"{a.value:.4f}"] for a in found.agreement)
    )
    columns: list[NDArray[np.float64]] = [curve for dvh in found.dvhs for curve in (dvh.reference_percent, dvh.evaluated_percent)]
    names = [f"{dvh.structure} {which} (%)" for dvh in found.dvhs for which in ("reference", "dose")]
    axis_gy = found.dvhs[0].axis_gy
    rows = ([f"{dose:.1f}", *(f"{column[i]:.3f}" for column in columns)] for i, dose in enumerate(axis_gy))
    _write_csv(folder / "dvh.csv", ["Dose (Gy)", *names], rows)


def _write_csv_file(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with whole_file(path) as unfinished:
        _write_csv(unfinished, header, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@contextmanager
def _told() -> Iterator[None]:
    """What reading warns of is printed as a note, and what the dosimetry refuses is a user's error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CaseWarning)
        try:
            yield
        except CaseError:
            raise
        except ValueError as error:
            raise CaseError(str(error)) from error
    for note in caught:
        print(f"Note: {note.message}", file=sys.stderr)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    from tqdm import tqdm

    with tqdm(total=100, disable=None, leave=False, bar_format="{desc:<24}|{bar}| {n:3.0f} %", desc=what) as bar:
        yield lambda fraction: bar.update(100 * fraction - bar.n) and None
