"""Accuracy, speed and memory of a prediction on the OpenKBP validation cases, as a table with the figures to reach.

    make bench          or          python Testing/benchmarks/bench_prediction.py --data DIR --cases 5

The cases are not part of this repository: DIR is a folder of OpenKBP's `pt_*.npz`, by default `../shared/openkbp/validation` beside it.
Let nothing else run meanwhile; the seconds are wall-clock seconds on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dose_prediction.case import PlanCase
from dose_prediction.openkbp import CaseScore, Reference, Scores, find_cases, read_case, read_reference, score_case
from dose_prediction.report import text_table
from dose_prediction.warm_model import WarmModel

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = ROOT.parent / "shared" / "openkbp" / "validation"
SEED = 0


@dataclass(frozen=True)
class Figure:
    """One measured figure and the most that it may be."""

    name: str
    value: float
    unit: str
    at_most: float | None = None

    @property
    def row(self) -> list[str]:
        if self.at_most is None:
            return [self.name, f"{self.value:.2f} {self.unit}", "", ""]
        return [self.name, f"{self.value:.2f} {self.unit}", f"{self.at_most:g} {self.unit}", "yes" if self.value <= self.at_most else "no"]


@dataclass
class Cohort:
    """Scores and seconds of one way to predict."""

    scores: list[CaseScore] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def overall(self) -> Scores:
        return Scores(tuple(self.scores))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of pt_*.npz cases with their reference doses")
    parser.add_argument("--cases", type=int, help="only the first so many cases")
    parser.add_argument("--prior-only", action="store_true", help="leave the model out")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    paths = find_cases(options.data)[: options.cases]
    if not paths:
        print(f"No OpenKBP case in {options.data}: nothing is measured. Give their folder with --data.")
        return 0
    print(*machine(), sep="\n")
    figures = [] if options.prior_only else command_figures(paths[0])
    figures += cohort_figures(paths, options.prior_only)
    print(f"\n{len(paths)} cases, seed {SEED}\n")
    print(text_table(["Figure", "Measured", "At most", "Reached"], [figure.row for figure in figures]))
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", encoding="utf-8")
    return 0


def machine() -> list[str]:
    """What the figures depend on beside the code."""
    import torch

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return [
        f"Commit   {commit or 'unknown'}{' with local changes' if changed else ''}",
        f"Machine  {processor()}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores",
        f"Software Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, {torch.get_num_threads()} threads",
    ]


def processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def command_figures(path: Path) -> list[Figure]:
    """The `predict` command on one case, from the start of the process until its files are written."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "dose_prediction", "predict", str(path), "--output", output, "--device", "cpu"]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"predict ended with exit code {process.returncode}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return [
        Figure(f"predict {path.stem}: start to files written", seconds, "s", 20),
        Figure(f"predict {path.stem}: peak memory", kilobytes * 1024 / 1e9, "GB", 2.0),
    ]


def cohort_figures(paths: list[Path], prior_only: bool) -> list[Figure]:
    """Scores and seconds over all cases, of the physics prior alone and of the released model."""
    prior, model = Cohort(), Cohort()
    released = WarmModel()
    for path in tqdm(paths, unit="case", disable=None):
        case, reference = read_case(path), read_reference(path)
        if prior_only:
            predict_prior(case, reference, prior)
        else:
            predict_both(released, case, reference, prior, model)
    figures = [
        Figure("physics prior: dose score", prior.overall.dose_gy, "Gy", 5.0),
        Figure("physics prior: DVH score", prior.overall.dvh_gy, "Gy"),
        Figure("physics prior: median time of a case", statistics.median(prior.seconds), "s", 4.0),
    ]
    if not prior_only:
        figures += [
            Figure("model: dose score", model.overall.dose_gy, "Gy", 3.2),
            Figure("model: DVH score", model.overall.dvh_gy, "Gy", 2.4),
            Figure("model: median time of a case", statistics.median(model.seconds), "s"),
        ]
    return figures


def predict_prior(case: PlanCase, reference: Reference, prior: Cohort) -> None:
    """The physics prior of one case; it needs no model."""
    from dose_prediction.physics.prior import physics_prior, trace_beams
    from dose_prediction.region import onto_case_grid, planning_region

    start = time.perf_counter()
    region = planning_region(case)
    dose_gy = onto_case_grid(physics_prior(region, trace_beams(case, region)).dose_gy, region, case)
    prior.seconds.append(time.perf_counter() - start)
    prior.scores.append(score_case(case, reference, dose_gy))


def predict_both(released: WarmModel, case: PlanCase, reference: Reference, prior: Cohort, model: Cohort) -> None:
    """The released model on one case, and the prior that it started from."""
    prediction = released.predict(case, samples=0, seed=SEED, device="cpu", on_progress=None, is_cancelled=None)
    seconds = prediction.provenance.stage_seconds
    prior.seconds.append(seconds["Preparing the case"] + seconds["Physics prior"])
    prior.scores.append(score_case(case, reference, prediction.prior_gy))
    model.seconds.append(sum(seconds.values()))
    model.scores.append(score_case(case, reference, prediction.dose_gy))


if __name__ == "__main__":
    sys.exit(main())
