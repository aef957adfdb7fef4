"""Tune the quick plan's objective on training cases: the weights with which its dose comes nearest to the reference plans' doses.

    python Testing/benchmarks/tune_objective.py --data DIR --cases 14 --minutes 20

Every number of `PlanObjective` in turn is made larger, then smaller.  What comes nearer is kept, and the next step is longer; else it is shorter.
Every improvement is printed, and the objective at the end.  The cases are not part of this repository: DIR is a folder of OpenKBP's `pt_*.npz`, by
default `../shared/openkbp/train` beside it; validation cases are not to be tuned on.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.openkbp import find_cases, read_case, read_reference
from dose_prediction.physics.prior import OrganObjective, PlanObjective, TracedBeams, physics_prior, trace_beams
from dose_prediction.region import PlanningRegion, onto_region, planning_region

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = ROOT.parent / "shared" / "openkbp" / "train"
NUMBERS = ("coverage", "homogeneity", "aim", "highest_ceiling", "lower_ceiling_gy", "fall_off", "fall_off_start_mm", "fall_off_length_mm")
NUMBERS += ("fall_off_floor", "integral", "smoothness", "simplicity")
ABOVE_ONE = ("aim", "highest_ceiling")  # what they are above 1 is changed
PAIRS = {"Parotid_L": "Parotid_R"}  # the same on both sides
OF_AN_ORGAN = ("quadratic", "ceiling", "ceiling_gy")
FIRST_STEP, SHORTEST_STEP = 0.3, 0.04  # of the logarithm
LONGER, SHORTER = 1.5, 0.45

Case = tuple[PlanningRegion, TracedBeams, NDArray[np.float32]]
_cases: list[Case] = []  # of a worker


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of pt_*.npz training cases")
    parser.add_argument("--cases", type=int, default=14, help="how many cases, evenly chosen (default 14)")
    parser.add_argument("--minutes", type=float, default=20, help="when to begin no further sweep over the numbers (default 20)")
    options = parser.parse_args()
    paths = find_cases(options.data)
    if not paths:
        print(f"No OpenKBP case in {options.data}: nothing is tuned. Give their folder with --data.")
        return 0
    chosen = paths[:: max(1, len(paths) // options.cases)][: options.cases]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"), initializer=_load, initargs=(chosen,)) as workers:

        def error_gy(objective: PlanObjective) -> float:
            return float(np.mean(list(workers.map(_error_gy, [objective] * len(chosen), range(len(chosen))))))

        until = time.monotonic() + 60 * options.minutes
        best = PlanObjective()
        best_gy = error_gy(best)
        print(f"{best_gy:.4f} Gy with the objective as it is")
        steps = dict.fromkeys(_names(best), FIRST_STEP)
        while time.monotonic() < until and max(map(abs, steps.values())) > SHORTEST_STEP:
            for name, step in steps.items():
                for signed in (step, -step):
                    tried = changed(best, name, math.exp(signed))
                    if (found_gy := error_gy(tried)) < best_gy:
                        print(f"{found_gy:.4f} Gy with {math.exp(signed):.2f} times {name}", flush=True)
                        best, best_gy, steps[name] = tried, found_gy, LONGER * signed
                        break
                else:
                    steps[name] = SHORTER * step
    print(best)
    return 0


def changed(objective: PlanObjective, name: str, factor: float) -> PlanObjective:
    """The objective with one number times `factor`; of an organ it is called as `SpinalCord.ceiling`."""
    of, _, part = name.partition(".")
    if not part:
        value = getattr(objective, name)
        return replace(objective, **{name: 1 + (value - 1) * factor if name in ABOVE_ONE else value * factor})

    def scaled(organ: OrganObjective) -> OrganObjective:
        return replace(organ, **{part: getattr(organ, part) * factor})

    if of == "behind_cord":
        return replace(objective, behind_cord=scaled(objective.behind_cord))
    return replace(objective, organs=tuple((organ, scaled(known) if organ in (of, PAIRS.get(of)) else known) for organ, known in objective.organs))


def _names(objective: PlanObjective) -> Iterator[str]:
    yield from NUMBERS
    for organ, known in (*objective.organs, ("behind_cord", objective.behind_cord)):
        if organ not in PAIRS.values():
            yield from (f"{organ}.{part}" for part in OF_AN_ORGAN if 0 < getattr(known, part) < math.inf)


def _load(paths: list[Path]) -> None:
    torch.set_num_threads(1)
    for path in paths:
        case, reference = read_case(path), read_reference(path)
        region = planning_region(case)
        _cases.append((region, trace_beams(case, region), onto_region(reference.dose_gy, case, region)))


def _error_gy(objective: PlanObjective, number: int) -> float:
    """Mean absolute difference from the reference plan over the body."""
    region, traced, reference_gy = _cases[number]
    return float(np.abs(physics_prior(region, traced, objective).dose_gy - reference_gy)[region.body].mean())


if __name__ == "__main__":
    sys.exit(main())
