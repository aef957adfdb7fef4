"""How long gamma takes and how well it agrees with pymedphys.

    python Testing/benchmarks/bench_gamma.py [--size 128] [--spacing 2.5]

Two doses of 70 Gy in a cube of voxels, made of nine beams through a target; in the second every beam is moved and weighted a little otherwise.  Exits
with 1 if gamma at 3 %/3 mm took more than 5 s (elapsed, on two free cores), or if more than 0.2 % of the points of a smaller pair pass with one
program and fail with the other.  pymedphys is left out where it is not installed; it samples the dose, here at a fortieth of the distance criterion.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "DosePrediction"))

from dose_prediction.dosimetry import GammaCriteria, gamma_index, passing_percent

LONGEST_S = 5.0
MOST_DISAGREEING_PERCENT = 0.2
SMALL_SIZE = 22
SAMPLES_PER_CRITERION = 40


def plan_dose(size: int, spacing_mm: float, seed: int | None) -> np.ndarray:
    """Nine coplanar beams with soft edges through a target in the middle, 70 Gy at most; with a seed, each moved and weighted a little."""
    place = (np.arange(size) - (size - 1) / 2) * spacing_mm
    z, y, x = place[:, None, None], place[None, :, None], place[None, None, :]
    radius = size * spacing_mm / 8
    changes = np.random.default_rng(seed).normal(size=(9, 3)) if seed is not None else np.zeros((9, 3))
    dose = np.zeros((size, size, size))
    for number, (shift, lift, weight) in enumerate(changes):
        angle = np.deg2rad(40 * number)
        along, across = x * np.sin(angle) - y * np.cos(angle), x * np.cos(angle) + y * np.sin(angle) - 1.5 * shift
        edge = 1 / (1 + np.exp((np.abs(across) - radius) / 2.5)) / (1 + np.exp((np.abs(z - lift) - radius) / 2.5))
        dose += (1 + 0.03 * weight) * edge * np.exp(-0.004 * (along + size * spacing_mm / 2))
    return (70.0 / dose.max() * dose).astype(np.float32)


def main() -> int:
    """Time, compare, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="voxels along each axis (default 128)")
    parser.add_argument("--spacing", type=float, default=2.5, help="voxel spacing in mm (default 2.5)")
    arguments = parser.parse_args()
    criteria = GammaCriteria()
    doses = [plan_dose(arguments.size, arguments.spacing, seed) for seed in (None, 1)]
    start, cpu = time.perf_counter(), time.process_time()
    gamma = gamma_index(*doses, (arguments.spacing,) * 3, criteria)
    elapsed, cpu = time.perf_counter() - start, time.process_time() - cpu
    judged = int(np.isfinite(gamma).sum())
    print(f"{arguments.size}-cubed, {arguments.spacing:g} mm, {criteria}: {elapsed:.1f} s elapsed, {cpu:.1f} s of processor time, ", end="")
    print(f"{judged} points judged, {passing_percent(gamma):.2f} % pass")
    return max(int(elapsed > LONGEST_S), compare_with_pymedphys(arguments.spacing))


def compare_with_pymedphys(spacing_mm: float) -> int:
    try:
        import pymedphys
    except ImportError:
        print("pymedphys is not installed; not compared.")
        return 0
    doses = [plan_dose(SMALL_SIZE, spacing_mm, seed) for seed in (None, 1)]
    axes = tuple(np.arange(SMALL_SIZE) * spacing_mm for _ in range(3))
    worst = 0.0
    for percent, local in ((3, False), (2, False), (3, True)):
        criteria = GammaCriteria(percent, percent, local=local, max_gamma=1.5)
        ours = gamma_index(*doses, (spacing_mm,) * 3, criteria)
        theirs = pymedphys.gamma(
            axes,
            doses[0],
            axes,
            doses[1],
            percent,
            percent,
            lower_percent_dose_cutoff=10,
            interp_fraction=SAMPLES_PER_CRITERION,
            max_gamma=1.5,
            local_gamma=local,
        )
        judged = np.isfinite(theirs)
        disagreeing = 100 * float(np.mean((ours <= 1)[judged] != (theirs <= 1)[judged]))
        worst = max(worst, disagreeing)
        print(f"{SMALL_SIZE}-cubed, {criteria}: {passing_percent(ours):.2f} % pass, pymedphys {passing_percent(theirs):.2f} %, ", end="")
        print(f"{disagreeing:.2f} % of {np.count_nonzero(judged)} points differ")
    return int(worst > MOST_DISAGREEING_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
