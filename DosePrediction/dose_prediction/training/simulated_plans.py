"""Cases of other sites to train and to test on: drawn patients, and targets placed in the CTs of OpenKBP, planned by the engine.

    python -m dose_prediction.training.simulated_plans --data DIR --output DIR --count N

Beams are drawn at random, as the site has them.  The dose to learn is the quick plan's objective optimised to convergence.  Files are named after
what they hold (`simulated_lung_slim_0.npz`, `simulated_brain_ct_0.npz`) and are added to, never made again.  Test plans are made with --held-out
from builds that no training plan has; their DIR must hold other CTs than that of the training.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dose_prediction import openkbp
from dose_prediction.anatomies import SITES, simulated_case
from dose_prediction.anatomies.build import BUILDS
from dose_prediction.case import Arc, Beam, CaseError, PlanCase
from dose_prediction.cohort import RAY_HELP, Outcome, run_each
from dose_prediction.option_types import positive_count
from dose_prediction.physics.learnt_objective import objective_for
from dose_prediction.physics.plan_objective import ITERATIONS, plan_places
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import planning_region
from dose_prediction.training.dataset import one_thread_in_a_worker, store_case
from dose_prediction.training.placed_targets import PRESCRIPTIONS_GY, with_placed_target
from dose_prediction.training.random_beams import MOSTLY_NON_COPLANAR, beams_about, random_beams
from dose_prediction.training.tool import run_tool

CONVERGED_ITERATIONS, CONVERGED_POINTS = 2 * ITERATIONS, 50_000
OTHER_BEAMS = "head and neck with other beams"
BREAST_DEG = 40.0  # the gantry angle that looks at the left breast


@dataclass(frozen=True)
class SimulatedPlan:
    """One plan to be made: the site, the patient's number, the file, and the CTs (cases of OpenKBP) to try or else the build of a drawn patient."""

    site: str
    number: int
    file: Path
    sources: tuple[Path, ...] = ()
    build: str = ""

    def case(self) -> PlanCase:
        generator = np.random.default_rng(zlib.crc32(self.file.stem.encode()))
        case = self._placed(generator) if self.sources else simulated_case(self.site, self.number, self.build)
        return case.with_beams(_beams(self.site, generator))

    def _placed(self, generator: np.random.Generator) -> PlanCase:
        """A target in the first of the CTs that shows enough of the site."""
        for source in self.sources:
            with suppress(CaseError):
                return with_placed_target(openkbp.read_case(source), self.site, generator)
        raise CaseError(f"None of {len(self.sources)} CTs shows enough of the site {self.site}; give others with --data.")


def site_of(name: str) -> str:
    """What a simulated plan is for, by its file's name without the suffix.

    >>> site_of("simulated_brain_ct_0"), site_of("pt_1_beams_0")
    ('brain', 'head and neck with other beams')
    """
    return name.split("_")[1] if name.startswith("simulated_") else OTHER_BEAMS


def plans(data: Path | None, output: Path, count: int, is_held_out: bool = False) -> list[SimulatedPlan]:
    """The first `count` plans in the order in which they are made: the sites in turn, and for each the patients in turn."""
    builds = [build.name for build in BUILDS if build.is_held_out == is_held_out]
    sources = openkbp.find_cases(data) if data is not None else []
    kinds = [(site, True) for site in SITES] + [(site, False) for site in PRESCRIPTIONS_GY if sources]
    wanted = []
    for index in range(count):
        number, kind = divmod(index, len(kinds))
        site, is_drawn = kinds[kind]
        who = builds[number % len(builds)] if is_drawn else "ct"
        file = output / f"simulated_{site}_{who}_{number}.npz"
        if is_drawn:
            wanted.append(SimulatedPlan(site, number, file, build=who))
        else:
            start = (number * len(PRESCRIPTIONS_GY) + kind) % len(sources)
            wanted.append(SimulatedPlan(site, number, file, (*sources[start:], *sources[:start])))
    return wanted


def make_plans(wanted: Sequence[SimulatedPlan], processes: int = 1, ray_address: str | None = None) -> list[Outcome[SimulatedPlan, None]]:
    """Make the plans that are missing; returns those that failed, with their errors."""
    missing = [plan for plan in wanted if not plan.file.exists()]
    outcomes = tqdm(run_each(_make, missing, processes=processes, ray_address=ray_address), total=len(missing), desc="Planning", unit="plan")
    return [outcome for outcome in outcomes if outcome.error is not None]


def _beams(site: str, generator: np.random.Generator) -> tuple[Beam | Arc, ...]:
    """Around the patient at random; for a brain mostly with a turned couch, for a breast from its own side."""
    if site == "breast":
        return beams_about(BREAST_DEG, generator)
    return random_beams(generator, MOSTLY_NON_COPLANAR) if site == "brain" else random_beams(generator)


def _make(plan: SimulatedPlan) -> None:
    one_thread_in_a_worker()
    case = plan.case()
    region = planning_region(case)
    traced = trace_beams(case, region)
    converged = replace(objective_for(region, plan_places(region)), iterations=CONVERGED_ITERATIONS, sampled_points=CONVERGED_POINTS)
    plan.file.parent.mkdir(parents=True, exist_ok=True)
    store_case(plan.file, region, traced, physics_prior(region, traced), physics_prior(region, traced, converged).dose_gy, case.beams)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if some plan could not be made; the others are there."""
    parser = argparse.ArgumentParser(description="Plan drawn patients and placed targets of other sites.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="cases of OpenKBP to place targets in (default: drawn patients only)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the prepared cases go; what is there is kept")
    parser.add_argument("--count", type=positive_count, default=60, metavar="N", help="plans, the sites in turn (default 60)")
    parser.add_argument("--held-out", action="store_true", help="plans for tests, of builds that no training plan has")
    parser.add_argument("--processes", type=positive_count, default=1, metavar="N", help="plans made at a time (default 1)")
    parser.add_argument("--ray", metavar="ADDRESS", help=RAY_HELP)
    options = parser.parse_args(arguments)
    failed = make_plans(plans(options.data, options.output, options.count, options.held_out), options.processes, options.ray)
    for outcome in failed:
        print(f"failed: {outcome.item.file.name}: {outcome.error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    run_tool(main)
