"""Training cases for other beams: every case of a folder, planned anew for random beam sets.

    python -m dose_prediction.training.beam_sets --data DIR --output DIR --variants N

Beams are drawn, the physics prior is planned for them, and the reference plan is re-planned with them (`physics.replan`).  A file `pt_1_beams_0.npz`
holds what a prepared `TrainingCase` holds.  The beams of a variant depend on the case's name and the variant's number alone; all cases get their
first variant before any gets its second, and files that exist are left as they are, so that a longer run only adds to a shorter one.
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
from dose_prediction.case import CaseError
from dose_prediction.cohort import RAY_HELP, Outcome, run_each
from dose_prediction.option_types import positive_count
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.physics.replan import replanned
from dose_prediction.region import onto_region, planning_region
from dose_prediction.training.dataset import one_thread_in_a_worker, store_case
from dose_prediction.training.random_beams import random_beams
from dose_prediction.training.tool import run_tool


@dataclass(frozen=True)
class Variant:
    """A case to be planned anew: its source, the number of its beam set, and the file to be made."""

    source: Path
    number: int
    file: Path


def variants_of(data: Path, output: Path, count: int) -> list[Variant]:
    """`count` variants of every OpenKBP case in `data`, in the order in which they are made."""
    sources = openkbp.find_cases(data)
    if not sources:
        raise CaseError(f"No OpenKBP case in {data}; give the folder that holds the training cases.")
    return [Variant(source, number, output / f"{source.stem}_beams_{number}.npz") for number in range(count) for source in sources]


def make_beam_sets(data: Path, output: Path, count: int, processes: int = 1, ray_address: str | None = None) -> list[Outcome[Variant, None]]:
    """Make the variants that are missing; returns those that failed, with their errors."""
    missing = [variant for variant in variants_of(data, output, count) if not variant.file.exists()]
    output.mkdir(parents=True, exist_ok=True)
    outcomes = tqdm(run_each(_make, missing, processes=processes, ray_address=ray_address), total=len(missing), desc="Planning", unit="plan")
    return [outcome for outcome in outcomes if outcome.error is not None]


def seeded(variant: Variant) -> np.random.Generator:
    """What draws a variant's beams: the same on every machine and in every run."""
    return np.random.default_rng([zlib.crc32(variant.source.stem.encode()), variant.number])


def _make(variant: Variant) -> None:
    one_thread_in_a_worker()
    case = openkbp.read_case(variant.source).with_beams(random_beams(seeded(variant)))
    region = planning_region(case)
    traced = trace_beams(case, region)
    prior = physics_prior(region, traced)
    reference = onto_region(openkbp.read_reference(variant.source).dose_gy, case, region)
    store_case(variant.file, region, traced, prior, replanned(traced, region, reference, prior.beamlets).dose_gy, case.beams)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if some plan could not be made; the others are there."""
    parser = argparse.ArgumentParser(description="Plan training cases anew for random beam sets.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="training cases of OpenKBP")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the prepared cases go; what is there is kept")
    parser.add_argument("--variants", type=positive_count, default=1, metavar="N", help="beam sets a case (default 1)")
    parser.add_argument("--processes", type=positive_count, default=1, metavar="N", help="plans made at a time (default 1)")
    parser.add_argument("--ray", metavar="ADDRESS", help=RAY_HELP)
    options = parser.parse_args(arguments)
    failed = make_beam_sets(options.data, options.output, options.variants, options.processes, options.ray)
    for outcome in failed:
        print(f"failed: {outcome.item.file.name}: {outcome.error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    run_tool(main)
