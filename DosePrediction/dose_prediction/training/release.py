"""Release a trained model: score it on validation cases exactly as it will be used, and write it with its card to where releases lie.

python -m dose_prediction.training.release --model RUN --validation DIR --output DosePrediction/Resources/Models
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dose_prediction import __version__
from dose_prediction.case import CaseError
from dose_prediction.model.bundle import Bundle, load_bundle, save_bundle
from dose_prediction.openkbp import CaseScore, Scores, find_cases, read_case, read_reference, score_case
from dose_prediction.prediction import predict


@dataclass(frozen=True)
class Validation:
    """Scores of the model and of the physics prior alone on the same cases, and the seconds of each prediction."""

    model: Scores
    prior: Scores
    seconds: tuple[float, ...]


def validate(model: Bundle, data: Path) -> Validation:
    """Predict and score every OpenKBP case in `data` on the CPU."""
    paths = find_cases(data)
    if not paths:
        raise CaseError(f"{data} has no OpenKBP case; give a folder of pt_*.npz files or of the challenge's CSV folders.")
    ours: list[CaseScore] = []
    prior: list[CaseScore] = []
    seconds = []
    for path in tqdm(paths, desc="Scoring", unit="case"):
        case, reference = read_case(path), read_reference(path)
        start = time.perf_counter()
        found = predict(case, model, device="cpu")
        seconds.append(time.perf_counter() - start)
        ours.append(score_case(case, reference, found.dose_gy))
        prior.append(score_case(case, reference, found.prior_gy))
    return Validation(Scores(tuple(ours)), Scores(tuple(prior)), tuple(seconds))


def card_entry(validation: Validation) -> dict[str, Any]:
    """What the card says of the validation; errors in Gy are means over the cases that have the structure."""
    errors: dict[str, list[float]] = defaultdict(list)
    for case in validation.model.cases:
        for (structure, metric), error in case.dvh_errors_gy.items():
            errors[f"{structure} {metric}"].append(error)
    return {
        "cases": len(validation.model.cases),
        "dose_score_gy": round(validation.model.dose_gy, 3),
        "dvh_score_gy": round(validation.model.dvh_gy, 3),
        "prior_alone_dose_score_gy": round(validation.prior.dose_gy, 3),
        "prior_alone_dvh_score_gy": round(validation.prior.dvh_gy, 3),
        "dvh_errors_gy": {name: round(statistics.fmean(values), 2) for name, values in sorted(errors.items())},
        "seconds_median": round(statistics.median(validation.seconds), 2),
        "seconds_largest": round(max(validation.seconds), 2),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dose_prediction.training.release", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the output folder of a finished training")
    parser.add_argument("--validation", type=Path, required=True, metavar="DIR", help="OpenKBP cases that the model was not trained on")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the model and its card are written")
    options = parser.parse_args()
    model = load_bundle(options.model)
    entry = card_entry(validate(model, options.validation))
    card = {**model.card, "product_version": __version__, "validation": {"data": "OpenKBP validation cases", **entry}}
    save_bundle(options.output, model.network, card)
    print(f"Dose score {entry['dose_score_gy']} Gy, DVH score {entry['dvh_score_gy']} Gy; written to {options.output}.")


if __name__ == "__main__":
    main()
