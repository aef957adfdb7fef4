"""What a prediction leaves in a folder: dose, DVH table, picture and provenance; and the tables that are printed."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction import __version__
from dose_prediction.dosimetry import GoalResult, StructureDose, dose_axis
from dose_prediction.output_files import whole_folder
from dose_prediction.volumes import write_volume

if TYPE_CHECKING:
    from dose_prediction.case import PlanCase
    from dose_prediction.dicom import DicomReferences
    from dose_prediction.openkbp import Scores
    from dose_prediction.prediction import Prediction
    from dose_prediction.training.calibrate import Judgement


def write_report(
    folder: Path,
    case: PlanCase,
    prediction: Prediction,
    doses: Mapping[str, StructureDose],
    openkbp_csv: bool = False,
    dicom: DicomReferences | None = None,
) -> list[Path]:
    """Write everything about one prediction into `folder`, all of it or nothing; returns the files.

    `doses` is what the structures get, by name, for the DVHs.

    `<case>_dose.nrrd` (Gy), `<case>_spread.nrrd` where samples were drawn, `<case>_dvh.csv`, `<case>.png`, `<case>_provenance.json`, and with
    `openkbp_csv` the dose as `<case>.csv` in the layout of the challenge; with `dicom` the dose as `<case>_dose.dcm`.  Raises OutputError.
    """
    from dose_prediction.picture import write_picture

    stem = file_stem(case.name)
    axis_gy, curves = dvh_curves(doses)
    with whole_folder(folder, stale=(f"{stem}_spread.nrrd", f"{stem}_plan.dcm")) as scratch:  # left by a run with samples, or with other beams
        write_volume(scratch / f"{stem}_dose.nrrd", prediction.dose_gy, case.grid, {"DoseUnits": "GY"})
        if prediction.spread_gy is not None:
            write_volume(scratch / f"{stem}_spread.nrrd", prediction.spread_gy, case.grid, {"DoseUnits": "GY"})
        if openkbp_csv:
            from dose_prediction.openkbp import write_dose_csv

            write_dose_csv(scratch / f"{stem}.csv", prediction.dose_gy)
        if dicom is not None:
            from dose_prediction.dicom import write_predicted_dose

            write_predicted_dose(
                scratch, stem, prediction.dose_gy, case, dicom, f"ADDiff-Dose {prediction.provenance.model_version}", axis_gy, curves
            )
        write_dvh_csv(scratch / f"{stem}_dvh.csv", axis_gy, curves)
        write_picture(scratch / f"{stem}.png", case, prediction.dose_gy, axis_gy, curves)
        provenance = json.dumps(prediction.provenance.as_dict(), indent=2, ensure_ascii=False)
        (scratch / f"{stem}_provenance.json").write_text(provenance + "\n", encoding="utf-8")
        names = sorted(file.name for file in scratch.iterdir())
    return [Path(folder) / name for name in names]


def is_predicted(folder: Path, case: PlanCase, wanted: Mapping[str, Any]) -> bool:
    """True where `folder` holds a report on `case` whose provenance has the `wanted` entries, made by this version."""
    stem = file_stem(case.name)
    try:
        provenance = json.loads((folder / f"{stem}_provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    wanted = {"product": f"DosePrediction {__version__}", **wanted}
    return (folder / f"{stem}_dose.nrrd").is_file() and all(provenance.get(name) == value for name, value in wanted.items())


def file_stem(case_name: str) -> str:
    """The name of a case as the beginning of file names.

    >>> file_stem("Head & neck/7")
    'Head_neck_7'
    """
    return re.sub(r"[^\w.+-]+", "_", case_name).strip("_.") or "case"


def dvh_curves(doses: Mapping[str, StructureDose]) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """Doses in Gy, and for every structure the percent of its volume that receives at least each of them."""
    axis_gy = dose_axis(max(dose.max_gy for dose in doses.values()))
    return axis_gy, {name: dose.cumulative(axis_gy) for name, dose in doses.items()}


def write_dvh_csv(path: Path, axis_gy: NDArray[np.float64], curves: Mapping[str, NDArray[np.float64]]) -> None:
    """A DVH table: a row a dose, a column a structure."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["Dose (Gy)", *(f"{name} (%)" for name in curves)])
        rows.writerows([f"{dose:.1f}", *(f"{curve[i]:.3f}" for curve in curves.values())] for i, dose in enumerate(axis_gy))


def goals_table(results: Iterable[GoalResult]) -> str:
    """Clinical goals as a text table, those that do not apply left out."""
    rows: list[list[str]] = []
    for result in results:
        if result.value is not None and result.margin is not None:
            rows.append([result.structure, str(result.goal), f"{result.value:.1f} {result.unit}", f"{result.margin:+.1f}", result.outcome.value])
    return text_table(["Structure", "Goal", "Value", "Margin", "Outcome"], rows) if rows else "No goal applies to the structures of this case."


def scores_table(scores: Scores) -> str:
    """Both OpenKBP scores of every case, and over all of them."""
    rows = [[case.name, f"{case.dose_gy:.3f}", f"{case.dvh_gy:.3f}"] for case in scores.cases]
    rows.append([f"all {len(scores.cases)}", f"{scores.dose_gy:.3f}", f"{scores.dvh_gy:.3f}"])
    return text_table(["Case", "Dose score (Gy)", "DVH score (Gy)"], rows)


def coverage_table(judgement: Judgement) -> str:
    """How many of the samples' bands held the reference, in percent with its standard error: of all, by metric, and by structure."""
    found = {"all": judgement.coverage()}
    found |= {metric: judgement.coverage(metric=metric) for metric in judgement.metrics}
    found |= {structure: judgement.coverage(structure) for structure in judgement.structures}
    rows = [[name, str(coverage.bands), f"{coverage.percent:.1f}", f"{coverage.standard_error:.1f}"] for name, coverage in found.items()]
    return text_table(["Bands of", "Number", "Held (%)", "+/-"], rows)


def stages_table(provenance: Mapping[str, Any]) -> str:
    """The seconds of each stage of a prediction, from its provenance."""
    stage_seconds: Mapping[str, float] = provenance["stage_seconds"]
    rows = [[stage, f"{seconds:.1f}"] for stage, seconds in stage_seconds.items()]
    return text_table(["Stage", "Seconds"], [*rows, ["all", f"{sum(stage_seconds.values()):.1f}"]])


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; a column of numbers is aligned to the right.

    >>> print(text_table(["Organ", "Gy"], [["Cord", "9.5"], ["Larynx", "40.1"]]))
    Organ     Gy
    ------  ----
    Cord     9.5
    Larynx  40.1
    """
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    numbers = [all(re.match(r"[+-]?\d", row[i]) for row in rows) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.rjust(width) if number else cell.ljust(width) for cell, width, number in zip(cells, widths, numbers, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *(line(row) for row in rows)])
