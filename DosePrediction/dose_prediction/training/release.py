"""Release a trained model: score it on validation cases exactly as it will be used, and write it with its card to where releases lie.

python -m dose_prediction.training.release --model RUN --validation DIR --training RUN/prepared --output DosePrediction/Resources/Models

On the way it is given what its training cases tell of the DVHs of targets (`target_dvhs`), its samples are calibrated (`calibrate`), and what its
training cases are like is written down (`familiarity`).  Beam planners of another training are added with --planners-of.  Simulated plans that it was
trained on are given with --simulated, held-out ones to score it on with --simulated-tests.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dose_prediction import __version__
from dose_prediction.case import CaseError
from dose_prediction.familiarity import Familiarity, features
from dose_prediction.model.bundle import Bundle, load_bundle, save_bundle
from dose_prediction.model.network import ADDiffDose
from dose_prediction.openkbp import CaseScore, Scores, find_cases, read_case, read_reference, score_case
from dose_prediction.option_types import positive_count
from dose_prediction.prediction import predict
from dose_prediction.region import onto_region, planning_region
from dose_prediction.training import simulated_scores
from dose_prediction.training.calibrate import HALVINGS, NOT_CALIBRATED, DrawnCase, cross_judged, drawn_case, fitted_calibration
from dose_prediction.training.dataset import PreparedCases
from dose_prediction.training.simulated_plans import site_of
from dose_prediction.training.target_dvhs import fitted_target_dvhs, targets_of
from dose_prediction.training.tool import run_tool

SAMPLES = 10


@dataclass(frozen=True)
class Validation:
    """Scores of the model and of the physics prior alone on the same cases, the seconds of each dose and of its samples, and what was drawn."""

    model: Scores
    prior: Scores
    seconds: tuple[float, ...]
    sampling_seconds: tuple[float, ...]
    drawn: tuple[DrawnCase, ...]


def uncalibrated(model: Bundle) -> Bundle:
    """The model whose samples are as they were drawn."""
    return replace(model, card={**model.card, "calibration": None})


def validate(model: Bundle, data: Path, samples: int) -> Validation:
    """Predict, sample and score every OpenKBP case in `data` on the CPU; the model's card holds no calibration yet."""
    paths = find_cases(data)
    if not paths:
        raise CaseError(f"{data} has no OpenKBP case; give a folder of pt_*.npz files or of the challenge's CSV folders.")
    ours: list[CaseScore] = []
    prior: list[CaseScore] = []
    seconds, sampling_seconds, drawn = [], [], []
    for path in tqdm(paths, desc="Scoring", unit="case"):
        case, reference = read_case(path), read_reference(path)
        found = predict(case, model, samples=samples, device="cpu")
        sampling_seconds.append(found.provenance.stage_seconds["Sampling plans"])
        seconds.append(sum(found.provenance.stage_seconds.values()) - sampling_seconds[-1])
        region = planning_region(case)
        reference_gy, dose_gy, *samples_gy = (onto_region(dose, case, region) for dose in (reference.dose_gy, found.dose_gy, *found.samples_gy))
        drawn.append(drawn_case(case.name, region, reference_gy, dose_gy, samples_gy))
        ours.append(score_case(case, reference, found.dose_gy))
        prior.append(score_case(case, reference, found.prior_gy))
    return Validation(Scores(tuple(ours)), Scores(tuple(prior)), tuple(seconds), tuple(sampling_seconds), tuple(drawn))


def joined(model: Bundle, other: Bundle) -> Bundle:
    """The model with the beam planners of `other` beside its own; steps and hours are those of both trainings."""
    own, added = model.network, other.network
    network = ADDiffDose(replace(own.config, planner_rounds=own.config.planner_rounds + added.config.planner_rounds), own.levels)
    weights = own.state_dict()
    for name, tensor in added.planners.state_dict().items():
        index, _, rest = name.partition(".")
        weights[f"planners.{int(index) + len(own.planners)}.{rest}"] = tensor
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CaseError(f"The planners of {other.version} have other widths than those of {model.version}; train them with the same.") from error
    steps = int(model.card["steps"]) + int(other.card["steps"])
    hours = round(float(model.card["hours"]) + float(other.card["hours"]), 2)
    version = f"{__version__}+{steps}"
    return Bundle(network.eval().requires_grad_(False), {**model.card, "version": version, "steps": steps, "hours": hours}, model.target_dvhs)


def released_limits(model: Bundle) -> list[str]:
    """The limits in a released model's card, when it is calibrated and knows the DVHs of some targets."""
    limits = [limit for limit in model.card["limits"] if limit != NOT_CALIBRATED]
    if known := sorted(model.target_dvhs.known):
        prescriptions = ", ".join(f"{gy:g}" for gy in known)
        limit = f"Targets of {prescriptions} Gy, or about it, get the DVHs that plans of the training cases have, where a case is like them."
        limits += [limit] if limit not in limits else []
    return limits


def training_files(prepared: Path) -> list[Path]:
    """The prepared training cases in a folder, each once."""
    files = sorted(file for file in prepared.glob("*.npz") if "_prior_" not in file.stem)
    if not files:
        raise CaseError(f"{prepared} has no prepared case (*.npz); give the folder 'prepared' of the training.")
    return files


def simulated_familiarity(folders: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """What the simulated training plans in the folders are like, by what they are for."""
    files_of: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(file for folder in folders for file in folder.glob("*.npz")):
        files_of[site_of(file.stem)].append(file)
    return {site: familiarity_of(files).as_dict() for site, files in files_of.items()}


def familiarity_of(files: Sequence[Path]) -> Familiarity:
    """What prepared cases are like."""
    cases = tqdm(PreparedCases(files), desc="Reading training cases", unit="case")
    return Familiarity.of(features(case.volumes, case.tokens) for case in cases)


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
        "seconds_of_samples_median": round(statistics.median(validation.sampling_seconds), 2),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dose_prediction.training.release", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the output folder of a finished training")
    parser.add_argument("--planners-of", type=Path, metavar="DIR", help="another finished training, whose beam planners are added")
    parser.add_argument("--validation", type=Path, required=True, metavar="DIR", help="OpenKBP cases that the model was not trained on")
    parser.add_argument("--training", type=Path, required=True, metavar="DIR", help="the prepared training cases (pt_*.npz), RUN/prepared")
    parser.add_argument(
        "--simulated", type=Path, action="append", default=[], metavar="DIR", help="simulated plans that it was trained on, once a folder"
    )
    parser.add_argument("--simulated-tests", type=Path, metavar="DIR", help="held-out simulated plans to score it on, site by site")
    parser.add_argument("--samples", type=positive_count, default=SAMPLES, metavar="N", help=f"samples a case for calibrating (default {SAMPLES})")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the model and its card are written")
    options = parser.parse_args()
    trained = load_bundle(options.model)
    loaded = uncalibrated(joined(trained, load_bundle(options.planners_of)) if options.planners_of else trained)
    files = training_files(options.training)
    known = {"familiarity": familiarity_of(files).as_dict(), "simulated_familiarity": simulated_familiarity(options.simulated)}
    targets = targets_of(tqdm(PreparedCases(files), desc="DVHs of targets", unit="case"))
    model = replace(loaded, card={**loaded.card, **known}, target_dvhs=fitted_target_dvhs(targets))
    validation = validate(model, options.validation, options.samples)
    entry, uncertainty = card_entry(validation), cross_judged(validation.drawn).as_dict()
    card = {
        **model.card,
        "product_version": __version__,
        "limits": released_limits(model),
        "validation": {"data": "OpenKBP validation cases", **entry},
        "target_dvhs": {
            "fitted_on": "the training cases",
            "errors_gy_of_cases_left_out": {f"{gy:g} Gy": found.cross_validated_errors_gy() for gy, found in targets.items()},
        },
        "calibration": fitted_calibration(validation.drawn).as_dict(),
        "uncertainty": {
            "fitted_on": f"the other half of the validation cases, in {HALVINGS} ways to halve them",
            "samples": options.samples,
            **uncertainty,
        },
    }
    if options.simulated_tests:
        sites = simulated_scores.card_entry(model.network, options.simulated_tests)
        card["simulated_validation"] = {"data": "simulated plans for bodies and CTs that no training plan has", "sites": sites}
    save_bundle(options.output, model.network, card, model.target_dvhs)
    print(json.dumps(card["uncertainty"], indent=2))
    print(f"Dose score {entry['dose_score_gy']} Gy, DVH score {entry['dvh_score_gy']} Gy; written to {options.output}.")
    return 0


if __name__ == "__main__":
    run_tool(main)
