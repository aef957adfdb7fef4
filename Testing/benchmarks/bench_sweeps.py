"""How simple the reference plans' fluence is: fluence fitted to each dose, freely and at a price for the sweeps of the leaves.

    python Testing/benchmarks/bench_sweeps.py --data DIR --cases 8 [--simplicity 0 0.02 0.06 0.2]

Where a price shortens the sweeps and the dose fits as well as before, the plan was made under a limit on them.  The quick plan is to be as simple as
that.  The cases are not part of this repository: DIR is a folder of OpenKBP's `pt_*.npz`, by default
`../shared/openkbp/train` beside it; the form of the price was chosen on training cases.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.openkbp import find_cases, read_case, read_reference
from dose_prediction.physics.fluence import VoxelGoals, optimise_fluence, sampled_points
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import onto_region, planning_region
from dose_prediction.report import text_table

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = ROOT.parent / "shared" / "openkbp" / "train"
PRICES = (0.0, 0.02, 0.06, 0.2)
ITERATIONS = 120
SAMPLED_POINTS = 30_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of pt_*.npz cases")
    parser.add_argument("--cases", type=int, default=8, help="how many cases, evenly chosen (default 8)")
    parser.add_argument("--simplicity", type=float, nargs="+", default=PRICES, metavar="PRICE", help="prices to compare")
    options = parser.parse_args()
    paths = find_cases(options.data)
    if not paths:
        print(f"No OpenKBP case in {options.data}: nothing is measured. Give their folder with --data.")
        return 0
    chosen = paths[:: max(1, len(paths) // options.cases)][: options.cases]
    figures = [measured(path, options.simplicity) for path in chosen]
    rows = [[name, *row] for name, row in zip([*(path.stem for path in chosen), "mean"], [*figures, np.mean(figures, axis=0)], strict=True)]
    headings = ["Case", *(f"price {price:g}" for price in options.simplicity), "quick plan"]
    print(text_table(headings, [[name, *(f"{gy:.2f} Gy, {sweeps:.0f}" for gy, sweeps in row)] for name, *row in rows]))
    print("Mean absolute difference from the reference dose over the body; rises of the slowest rows of all beams together, of the mean fluence.")
    return 0


def measured(path: Path, prices: Sequence[float]) -> NDArray[np.float64]:
    """Error in Gy and length of the sweeps (prices + 1, 2) of the fluence fitted at each price, then of the quick plan."""
    case, reference = read_case(path), read_reference(path)
    region = planning_region(case)
    traced = trace_beams(case, region)
    beams, wanted = traced.beams, torch.from_numpy(onto_region(reference.dose_gy, case, region)[region.body])
    weight = torch.full_like(wanted, 1 / len(wanted))
    chosen, importance = sampled_points(region.places, np.ones(len(wanted), bool), SAMPLED_POINTS)
    points, goals = beams.at(chosen), VoxelGoals(wanted, weight, wanted, weight, torch.zeros_like(weight)).at(chosen, importance)
    quick_plan = physics_prior(region, traced).beamlets
    fitted = [optimise_fluence(points, goals, quick_plan, ITERATIONS, simplicity=price) for price in prices]
    doses = (beams.dose(beams.to_maps(beamlets)) for beamlets in (*fitted, quick_plan))
    errors = [float((dose - wanted).abs().mean()) for dose in doses]
    return np.array([errors, [slowest_rows(beams.to_maps(beamlets) / beamlets.mean()) for beamlets in (*fitted, quick_plan)]]).T


def slowest_rows(maps: torch.Tensor) -> float:
    """The rises of the slowest row of each beam, all beams together; maps (beams, rows, columns)."""
    rises = torch.diff(torch.nn.functional.pad(maps, (1, 1))).clamp_min(0).sum(-1)
    return float(rises.amax(1).sum())


if __name__ == "__main__":
    sys.exit(main())
