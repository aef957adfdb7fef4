"""Can the beams give the reference doses?  Fluence fitted to the dose of every OpenKBP validation case.

    make bench          or          python Testing/benchmarks/bench_mimic.py --data DIR

The gap is the one reported with every prediction, over the body of the planning region.  Seconds are processor seconds of one thread, for ray tracing
and fit.  Exits with 1 where the mean gap over the cases is more than 0.8 Gy.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import torch
from bench_prediction import DEFAULT_DATA, machine
from tqdm import tqdm

from dose_prediction.openkbp import find_cases, read_case, read_reference
from dose_prediction.physics.mimic import deliverability, fit_dose
from dose_prediction.physics.prior import trace_beams
from dose_prediction.region import onto_region, planning_region
from dose_prediction.report import text_table

AT_MOST_GY = 0.8


@dataclass(frozen=True)
class Gap:
    """What fitting the reference of one case leaves over, its mean and 99th percentile in Gy, and the processor seconds that it took."""

    name: str
    mean_gy: float
    p99_gy: float
    seconds: float

    @property
    def row(self) -> list[str]:
        return [self.name, f"{self.mean_gy:.2f}", f"{self.p99_gy:.2f}", f"{self.seconds:.1f}"]


def gap(path: Path) -> Gap:
    case = read_case(path)
    region = planning_region(case)
    wanted = onto_region(read_reference(path).dose_gy, case, region)
    start = time.process_time()
    fitted = fit_dose(trace_beams(case, region), region, wanted)
    seconds = time.process_time() - start
    left = deliverability(wanted, fitted, region.body)
    return Gap(case.name, left.mean_gy, left.p99_gy, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of pt_*.npz cases with their reference doses")
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = find_cases(options.data)
    if not paths:
        print(f"No OpenKBP case in {options.data}: nothing is measured. Give their folder with --data.")
        return 0
    print(*machine(), sep="\n")
    gaps = [gap(path) for path in tqdm(paths, unit="case", disable=None)]
    average = Gap(f"mean of {len(gaps)}", *(mean(getattr(one, name) for one in gaps) for name in ("mean_gy", "p99_gy", "seconds")))
    print(text_table(["Case", "Mean (Gy)", "99 % (Gy)", "Seconds"], [one.row for one in (*gaps, average)]))
    return int(average.mean_gy > AT_MOST_GY)


if __name__ == "__main__":
    sys.exit(main())
