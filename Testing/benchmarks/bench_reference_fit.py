"""How well the engine can give the reference plans' doses, by the thickness of the cover on the skin: fluence fitted to each dose by least squares.

    python Testing/benchmarks/bench_reference_fit.py --data DIR --cases 8 [--cover 0 2 3 4 6]

What is left over is the engine's own error, whatever a network plans with it.  The cases are not part of this repository: DIR is a folder of
OpenKBP's `pt_*.npz`, by default `../shared/openkbp/train` beside it; the cover was chosen on training cases.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dose_prediction.openkbp import find_cases, read_case, read_reference
from dose_prediction.physics.pencil_beam import PencilBeams
from dose_prediction.physics.prior import COVER_MM, trace_beams
from dose_prediction.region import onto_region, planning_region
from dose_prediction.report import text_table

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = ROOT.parent / "shared" / "openkbp" / "train"
COVERS_MM = (0.0, 2.0, COVER_MM, 4.0, 6.0)
ITERATIONS = 60
AIR_HU = -700.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of pt_*.npz cases")
    parser.add_argument("--cases", type=int, default=8, help="how many cases, evenly chosen (default 8)")
    parser.add_argument("--cover", type=float, nargs="+", default=COVERS_MM, metavar="MM", help="thicknesses to compare, in mm of water")
    options = parser.parse_args()
    paths = find_cases(options.data)
    if not paths:
        print(f"No OpenKBP case in {options.data}: nothing is measured. Give their folder with --data.")
        return 0
    rows = []
    errors = []
    for path in paths[:: max(1, len(paths) // options.cases)][: options.cases]:
        air_percent, found = errors_gy(path, options.cover)
        errors.append(found)
        rows.append([path.stem, f"{air_percent:.0f}", *(f"{error:.2f}" for error in found)])
    rows.append(["mean", "", *(f"{error:.2f}" for error in np.mean(errors, axis=0))])
    print(text_table(["Case", "Air in the body, %", *(f"{cover:g} mm" for cover in options.cover)], rows))
    print("Mean absolute difference of fitted and reference dose over the body, in Gy.")
    return 0


def errors_gy(path: Path, covers_mm: Sequence[float]) -> tuple[float, list[float]]:
    """Percentage of the body that is air, and the mean absolute difference from the reference in Gy with each cover."""
    case, reference = read_case(path), read_reference(path)
    region = planning_region(case)
    wanted = torch.from_numpy(onto_region(reference.dose_gy, case, region)[region.body])
    found = []
    for cover_mm in covers_mm:
        beams = trace_beams(case, region, cover_mm=cover_mm).beams
        found.append(float((fitted(beams, wanted) - wanted).abs().mean()))
    return 100 * float((region.ct_hu[region.body] < AIR_HU).mean()), found


def fitted(beams: PencilBeams, wanted_gy: torch.Tensor) -> torch.Tensor:
    """The dose (points,) of the non-negative fluence whose dose is nearest to `wanted_gy`, by the sum of squares."""
    opened = beams.open_beamlets.float()
    unit = wanted_gy.mean() / beams.dose(opened).mean()
    roots = opened.clone().requires_grad_(True)  # their squares are the fluence
    optimiser = torch.optim.LBFGS([roots], max_iter=ITERATIONS, history_size=12, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        error = (beams.dose(unit * roots.square() * opened) - wanted_gy).square().mean()
        error.backward()
        return error

    optimiser.step(loss)
    with torch.no_grad():
        return beams.dose(unit * roots.square() * opened)


if __name__ == "__main__":
    sys.exit(main())
