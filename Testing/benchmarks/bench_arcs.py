"""How far apart the static fields may lie that stand for an arc: dose with fields every so many degrees against one every two degrees.

    make bench          or          python Testing/benchmarks/bench_arcs.py --data DIR

Two full arcs on the phantom and on the first OpenKBP validation case in DIR (left out if there is none).  Differences are over the body, of the open
fields' dose in percent of the targets' mean, and of the quick plan's dose in Gy.  Seconds are processor seconds of one thread; with more threads less
passes on the clock.  Exits with 1 where a figure to reach is missed.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.case import PlanCase, static_fields, template_named
from dose_prediction.case.arc import FIELD_SPACING_DEG
from dose_prediction.openkbp import find_cases, read_case
from dose_prediction.phantom import head_and_neck_phantom
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import PlanningRegion, planning_region
from dose_prediction.report import text_table

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = ROOT.parent / "shared" / "openkbp" / "validation"
ARCS = template_named("2 full arcs").beams
CONTROL_POINT_SPACING_DEG = 2.0
SPACINGS_DEG = (20.0, 15.0, FIELD_SPACING_DEG, 6.0, 4.0)
SECONDS_AT_MOST = 10.0
GIGABYTES_AT_MOST = 1.5


@dataclass(frozen=True, eq=False)
class Doses:
    """Doses of body voxels (n,) from fields at one spacing: open fields' in percent of the targets' mean, the quick plan's in Gy."""

    fields: int
    open_percent: NDArray[np.floating]
    plan_gy: NDArray[np.floating]
    seconds: float


def doses(case: PlanCase, region: PlanningRegion, spacing_deg: float) -> Doses:
    start = time.process_time()
    expanded = case.with_beams(static_fields(ARCS, spacing_deg))
    prior = physics_prior(region, trace_beams(expanded, region))
    seconds = time.process_time() - start
    return Doses(len(expanded.fields), 100 * prior.open_field[region.body], prior.dose_gy[region.body], seconds)


def rows(case: PlanCase, spacings_deg: tuple[float, ...]) -> tuple[list[list[str]], float]:
    """Lines of the table for one case, and the seconds at the product's own spacing."""
    region = planning_region(case)
    own_seconds = 0.0
    found = {}
    for spacing in spacings_deg:
        found[spacing] = doses(case, region, spacing)
        if spacing == FIELD_SPACING_DEG:
            own_seconds = found[spacing].seconds
    reference = doses(case, region, CONTROL_POINT_SPACING_DEG)
    lines = []
    for spacing, there in found.items():
        differences = (np.abs(there.open_percent - reference.open_percent), np.abs(there.plan_gy - reference.plan_gy))
        figures = [f"{value:.2f}" for difference in differences for value in (difference.mean(), np.percentile(difference, 99))]
        lines.append([case.name, f"{spacing:g}", f"{there.fields}", *figures, f"{there.seconds:.1f}"])
    return lines, own_seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="OpenKBP validation cases (pt_*.npz)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = [head_and_neck_phantom(), *(read_case(path) for path in find_cases(options.data)[:1])]

    doses(cases[0], planning_region(cases[0]), FIELD_SPACING_DEG)  # kernels are tabulated once
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # before the reference, which takes more than the product may
    lines: list[list[str]] = []
    slowest = 0.0
    for case in cases:
        of_case, seconds = rows(case, SPACINGS_DEG)
        lines += of_case
        slowest = max(slowest, seconds)
    header = ["Case", "Degrees", "Fields", "Open: mean %", "99th %", "Plan: mean Gy", "99th Gy", "Seconds"]
    print(text_table(header, lines))
    print(f"\nTwo arcs, quick plan included: {slowest:.1f} s (at most {SECONDS_AT_MOST:g} s), {gigabytes:.2f} GB (at most {GIGABYTES_AT_MOST:g} GB)")
    return 0 if slowest <= SECONDS_AT_MOST and gigabytes <= GIGABYTES_AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
