"""How well a model predicts simulated plans, site by site, beside the physics prior's own error.

    python -m dose_prediction.training.simulated_scores --model DIR --plans DIR

The plans are to be held-out ones, as `simulated_plans --held-out` makes them.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dose_prediction.case import CaseError
from dose_prediction.device import working_precision
from dose_prediction.model.bundle import load_bundle
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.model.network import ADDiffDose
from dose_prediction.training.dataset import PreparedCases, TrainingCase
from dose_prediction.training.simulated_plans import site_of
from dose_prediction.training.tool import run_tool
from dose_prediction.training.validation import expected_gy, prior_gy


@dataclass(frozen=True)
class SiteScore:
    """Mean absolute dose errors over the body of the model and of the physics prior alone, means over the plans."""

    plans: int
    dose_score_gy: float
    prior_alone_dose_score_gy: float


def site_scores(network: ADDiffDose, plans: PreparedCases) -> dict[str, SiteScore]:
    """The scores, in the precision of a prediction on the CPU, of every site that there is a plan of, by name."""
    precision = working_precision(torch.device("cpu"))
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for plan in tqdm(plans, desc="Scoring simulated plans", unit="plan"):
        errors[site_of(plan.name)].append(_errors_gy(network, plan, precision))
    found = {}
    for site, of_plans in sorted(errors.items()):
        ours, prior = (round(fmean(values), 3) for values in zip(*of_plans, strict=True))
        found[site] = SiteScore(len(of_plans), ours, prior)
    return found


def _errors_gy(network: ADDiffDose, plan: TrainingCase, precision: torch.dtype) -> tuple[float, float]:
    """Mean absolute errors over the body of the model's dose, which is not negative, and of the prior's."""
    left = plan.residual.astype(np.float32) * RESIDUAL_SCALE_GY
    change = expected_gy(network, plan, precision) - prior_gy(plan)
    return float(np.abs(change - left)[plan.body].mean()), float(np.abs(left)[plan.body].mean())


def card_entry(network: ADDiffDose, folder: Path) -> dict[str, Any]:
    """The scores on the plans in a folder, for the model's card.  CaseError if there is none."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise CaseError(f"{folder} has no prepared plan (*.npz); make some with training.simulated_plans --held-out.")
    return {site: asdict(score) for site, score in site_scores(network, PreparedCases(files)).items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dose_prediction.training.simulated_scores", description="Score a model on simulated plans.")
    parser.add_argument("--model", type=Path, metavar="DIR", help="folder of a trained model (default: the released one)")
    parser.add_argument("--plans", type=Path, required=True, metavar="DIR", help="prepared plans that the model was not trained on")
    options = parser.parse_args()
    print(json.dumps(card_entry(load_bundle(options.model).network, options.plans), indent=2))
    return 0


if __name__ == "__main__":
    run_tool(main)
