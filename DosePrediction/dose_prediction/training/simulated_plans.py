"""Training cases of other sites: drawn patients, and targets placed in the CTs of OpenKBP, planned by the engine.

    python -m dose_prediction.training.simulated_plans --data DIR --output DIR --variants N

Beams are drawn at random.  The dose to learn is the quick plan's objective optimised to convergence.  Files are named after what they hold
(`simulated_lung_slim_0.npz`, `pt_1_brain_0.npz`) and are added to, never made again; builds that are held out for tests are left out.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dose_prediction import openkbp
from dose_prediction.anatomies import SITES, simulated_case
from dose_prediction.anatomies.build import BUILDS
from dose_prediction.case import PlanCase
from dose_prediction.cohort import Outcome, run_each
from dose_prediction.physics.prior import PlanObjective, physics_prior, trace_beams
from dose_prediction.region import planning_region
from dose_prediction.training.dataset import one_thread_in_a_worker, store_case
from dose_prediction.training.placed_targets import PRESCRIPTIONS_GY, with_placed_target
from dose_prediction.training.random_beams import random_beams

CONVERGED = PlanObjective(iterations=150, sampled_points=100_000)


@dataclass(frozen=True)
class SimulatedPlan:
    """One plan to be made: the site, the CT (a case of OpenKBP) or else the build of a drawn patient, the variant's number and the file."""

    site: str
    number: int
    file: Path
    source: Path | None = None
    build: str = ""

    def case(self) -> PlanCase:
        generator = np.random.default_rng(zlib.crc32(self.file.stem.encode()))
        if self.source is None:
            case = simulated_case(self.site, self.number, self.build)
        else:
            case = with_placed_target(openkbp.read_case(self.source), self.site, generator)
        return case.with_beams(random_beams(generator))


def plans(data: Path | None, output: Path, variants: int) -> list[SimulatedPlan]:
    """All plans in the order in which they are made: first every patient once."""
    builds = [build.name for build in BUILDS if not build.is_held_out]
    sources = openkbp.find_cases(data) if data is not None else []
    drawn = [
        SimulatedPlan(site, number, output / f"simulated_{site}_{build}_{number}.npz", build=build)
        for number in range(variants)
        for build in builds
        for site in SITES
    ]
    placed = [
        SimulatedPlan(site, number, output / f"{source.stem}_{site}_{number}.npz", source)
        for number in range(variants)
        for source in sources
        for site in PRESCRIPTIONS_GY
    ]
    return sorted(drawn + placed, key=lambda plan: plan.number)


def make_plans(wanted: Sequence[SimulatedPlan], processes: int = 1) -> list[Outcome[SimulatedPlan, None]]:
    """Make the plans that are missing; returns those that failed, with their errors."""
    missing = [plan for plan in wanted if not plan.file.exists()]
    outcomes = tqdm(run_each(_make, missing, processes=processes), total=len(missing), desc="Planning", unit="plan")
    return [outcome for outcome in outcomes if outcome.error is not None]


def _make(plan: SimulatedPlan) -> None:
    one_thread_in_a_worker()
    case = plan.case()
    region = planning_region(case)
    traced = trace_beams(case, region)
    plan.file.parent.mkdir(parents=True, exist_ok=True)
    store_case(plan.file, region, physics_prior(region, traced), physics_prior(region, traced, CONVERGED).dose_gy, case.beams)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if some plan could not be made (a CT without the organ it needs, for one); the others are there."""
    parser = argparse.ArgumentParser(description="Plan drawn patients and placed targets of other sites.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="training cases of OpenKBP, to place targets in (default: drawn patients only)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the prepared cases go; what is there is kept")
    parser.add_argument("--variants", type=int, default=1, metavar="N", help="plans a patient and site (default 1)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="plans made at a time (default 1)")
    options = parser.parse_args(arguments)
    failed = make_plans(plans(options.data, options.output, options.variants), options.processes)
    for outcome in failed:
        print(f"failed: {outcome.item.file.name}: {outcome.error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
