"""The `dose-prediction` command.

Exit codes: 0 all went well; 1 some cases of a cohort failed; 2 the input or the output folder is at fault and nothing was written.
Libraries that take long to load are imported by the commands that need them.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dose_prediction import __version__
from dose_prediction.beam_options import add_beam_options, beams_of, open_planned
from dose_prediction.case import CaseError, CaseWarning, PlanCase, parse_dose_goal
from dose_prediction.cohort import RAY_HELP, run_each
from dose_prediction.dose_commands import add_commands
from dose_prediction.dosimetry import ClinicalGoal, StructureDose, evaluate_goals, load_goal_set, structure_doses
from dose_prediction.error_sentences import is_deliberate, sentence_for
from dose_prediction.option_types import count
from dose_prediction.output_files import require_writable
from dose_prediction.warm_model import Predictor, WarmModel, warm_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dose_prediction.case_files import OpenedCase
    from dose_prediction.prediction import Prediction, Progress

DEVICES = ("auto", "cpu", "cuda", "mps")
MOST_SAMPLES = 100
PHANTOM_SITES = ("head-and-neck", "lung", "oesophagus", "breast", "liver", "prostate")
SIMULATED_HELP = "prepared plans that no clinic made, of training.beam_sets or training.simulated_plans; may be given once a folder"


def main(arguments: Sequence[str] | None = None, predictor: Predictor | None = None) -> int:
    """Run one command; `predictor` replaces the model that the arguments name."""
    options = parser().parse_args(arguments)
    if options.command == "predict":
        options.predictor = predictor or WarmModel(options.model)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        print("Cancelled; nothing half-done was left behind.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        with suppress(OSError):
            sys.stdout.close()
        return 0
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None:
            raise
        print(f"dose-prediction: {sentence}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    top = argparse.ArgumentParser(
        prog="dose-prediction",
        description="Predict the radiotherapy dose that a good plan would give. Research software, not for clinical use.",
    )
    top.add_argument("--version", action="version", version=f"dose-prediction {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    predict = commands.add_parser("predict", help="predict the dose of one case, or of many")
    what = predict.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "case",
        nargs="?",
        type=Path,
        metavar="CASE",
        help="folder of DICOM files, folder with CT, segmentation (NRRD or NIfTI) and plan.json, OpenKBP folder or pt_*.npz",
    )
    what.add_argument(
        "--cases", type=Path, metavar="DIR", help="every case in this folder; a bad one is named at the end, one that was predicted before is left"
    )
    predict.add_argument("--output", type=Path, required=True, metavar="DIR", help="where dose, DVH, picture and provenance are written")
    add_beam_options(predict)
    predict.add_argument("--samples", type=_samples, default=0, metavar="N", help="also draw N plausible doses and write their spread (default 0)")
    predict.add_argument("--seed", type=count, default=0, metavar="S", help="seed of the samples (default 0)")
    predict.add_argument(
        "--goal", action="append", default=[], metavar="GOAL", help='steer the dose: "Parotid_R mean <= 20" (Gy; or max); may be repeated'
    )
    predict.add_argument("--deliverable", action="store_true", help="give what the beams can deliver of the predicted dose")
    predict.add_argument("--device", choices=DEVICES, default="auto", help="what the model runs on (default auto: the GPU if there is one)")
    predict.add_argument("--model", type=Path, metavar="DIR", help="folder of another trained model (default: the released one)")
    predict.add_argument("--ray", metavar="ADDRESS", help=RAY_HELP)
    predict.set_defaults(run=_predict)

    evaluate = commands.add_parser("evaluate", help="both OpenKBP scores of predicted doses; how far samples can be trusted")
    evaluate.add_argument("--reference", type=Path, required=True, metavar="DIR", help="OpenKBP cases with their reference doses")
    doses = evaluate.add_mutually_exclusive_group(required=True)
    doses.add_argument("--prediction", type=Path, metavar="DIR", help="folder of pt_N.csv doses")
    doses.add_argument(
        "--samples",
        type=_several_samples,
        metavar="N",
        help="predict the cases here, with N samples each, and print the coverage of their bands as well, calibrated on the other half of the cases",
    )
    evaluate.add_argument("--model", type=Path, metavar="DIR", help="with --samples: folder of another trained model (default: the released one)")
    evaluate.add_argument("--deliverable", action="store_true", help="with --prediction: score what the beams of the plan can deliver of each dose")
    evaluate.add_argument("--json", action="store_true", help="print JSON, with the error of every DVH metric")
    evaluate.set_defaults(run=_evaluate)

    goals = commands.add_parser("goals", help="clinical goals of a dose: value, margin, met or missed")
    goals.add_argument("case", type=Path, metavar="CASE", help="the case, as for predict")
    goals.add_argument("--dose", type=Path, required=True, metavar="FILE", help="dose in Gy: RTDOSE, NRRD or NIfTI")
    goals.add_argument("--goals", type=Path, metavar="FILE", help="goal set in JSON (default: head and neck)")
    goals.set_defaults(run=_goals)

    add_commands(commands)

    train = commands.add_parser("train", help="train a model on OpenKBP cases")
    train.add_argument("--data", type=Path, required=True, metavar="DIR", help="training cases (pt_*.npz)")
    train.add_argument("--output", type=Path, required=True, metavar="DIR", help="where checkpoints and the finished model are written")
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the output folder")
    train.add_argument(
        "--start-from", type=Path, metavar="DIR", help="folder of a finished model whose weights to begin with and whose steps to go on from"
    )
    train.add_argument("--validation", type=Path, metavar="DIR", help="cases that are scored during the training and never trained on")
    train.add_argument("--simulated", type=Path, action="append", default=[], metavar="DIR", help=SIMULATED_HELP)
    train.add_argument("--steps", type=count, metavar="N", help="number of training steps (default: as for the released model)")
    train.add_argument(
        "--cases-per-step", type=count, metavar="N", help="cases that a step averages over, shared by torchrun's processes (default 1)"
    )
    train.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, mps or auto (default cpu)")
    train.add_argument("--ray", metavar="ADDRESS", help=RAY_HELP)
    train.set_defaults(run=_train)

    phantom = commands.add_parser("phantom", help="write a phantom as a case to try things on")
    phantom.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the case: CT, segmentation and plan.json")
    phantom.add_argument("--site", choices=PHANTOM_SITES, default=PHANTOM_SITES[0], help="what is treated (default head-and-neck)")
    phantom.add_argument("--dicom", action="store_true", help="write it as DICOM: CT series, RTSTRUCT and RTPLAN")
    phantom.add_argument("--seed", type=count, default=0, metavar="S", help="which phantom (default 0)")
    phantom.set_defaults(run=_phantom)
    return top


def _samples(text: str) -> int:
    if count(text) > MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"{text} samples are too many; give 0 to {MOST_SAMPLES}")
    return int(text)


def _several_samples(text: str) -> int:
    if _samples(text) < 2:
        raise argparse.ArgumentTypeError(f"{text} samples have no spread; give 2 to {MOST_SAMPLES}")
    return int(text)


def _predict(options: argparse.Namespace) -> int:
    from dose_prediction.case_files import find_cases

    beams_of(options)  # a mistake in them is told before anything is read
    options.goals = [parse_dose_goal(text) for text in options.goal]
    require_writable(options.output)
    if options.case is not None:
        return _predict_one(options.case, options)
    paths = find_cases(options.cases)
    if options.ray is None:
        options.predictor.load()
    return _predict_many(paths, options)


def _predict_one(path: Path, options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from dose_prediction.report import goals_table, stages_table
    from dose_prediction.trade_offs import goal_sentences

    with _notes(lambda note: print(f"Note: {note}", file=sys.stderr)):
        opened = open_planned(path, options)
    case = opened.case
    with tqdm(total=100, disable=None, leave=False, bar_format="{desc:<24}|{bar}| {n:3.0f} %") as bar:

        def show(progress: Progress) -> None:
            bar.set_description_str(progress.stage)
            bar.update(100 * progress.fraction - bar.n)

        prediction = _run_model(case, options, show, options.predictor)
    doses = structure_doses(prediction.dose_gy, case)
    files = _write(path, opened, prediction, doses, options)
    for warning in prediction.provenance.warnings:
        print(f"Note: {warning}", file=sys.stderr)
    print(goals_table(evaluate_goals(_goal_set(None), doses, case)))
    print(f"\n{prediction.deliverability}")
    if prediction.changes:
        print("", *goal_sentences(options.goals, prediction.changes), sep="\n")
    print(f"\n{stages_table(prediction.provenance.as_dict())}\n\nWritten:", *files, sep="\n  ")
    return 0


def _predict_many(paths: Sequence[Path], options: argparse.Namespace) -> int:
    """Every case, in turn or on a Ray cluster; whatever is wrong with one, the others are predicted.

    Only what concerns them all (model, device, output) ends it.  A case whose very prediction lies in the output folder already is left as it is.
    """
    from tqdm import tqdm

    failed: list[tuple[Path, str]] = []
    there = 0
    if options.ray is not None:  # each worker loads the model for itself
        options = argparse.Namespace(**{**vars(options), "predictor": None})
    outcomes = run_each(partial(_predict_of_many, options), paths, ray_address=options.ray)
    with tqdm(outcomes, total=len(paths), disable=None, unit="case") as bar:
        for outcome in bar:
            if outcome.error is not None:
                if is_deliberate(outcome.error) and not isinstance(outcome.error, CaseError):
                    raise outcome.error
                failed.append((outcome.item, sentence_for(outcome.error) or f"{type(outcome.error).__name__}: {outcome.error}"))
                continue
            there += outcome.result is None
            for note in outcome.result or ():
                bar.write(f"{outcome.item.name}: {note}", file=sys.stderr)
    been = f", {there} of them by an earlier run" if there else ""
    print(f"{len(paths) - len(failed)} of {len(paths)} cases predicted into {options.output}{been}")
    for path, sentence in sorted(failed):
        print(f"  failed: {path.name}: {sentence}", file=sys.stderr)
    return 1 if failed else 0


def _predict_of_many(options: argparse.Namespace, path: Path) -> list[str] | None:
    """Predict one case into the output folder; returns what is to be said of it, None where its prediction was there before."""
    from dose_prediction.report import is_predicted

    notes: list[str] = []
    with _notes(notes.append):
        opened = open_planned(path, options)
    predictor: Predictor = options.predictor or warm_model(options.model)
    wanted = {
        "case_sha256": opened.case.digest,
        "model_sha256": predictor.model_sha256,
        "seed": options.seed,
        "samples": options.samples,
        "goals": [str(goal) for goal in options.goals],
        "is_deliverable": options.deliverable,
    }
    if is_predicted(options.output, opened.case, wanted):
        return None
    prediction = _run_model(opened.case, options, None, predictor)
    _write(path, opened, prediction, structure_doses(prediction.dose_gy, opened.case), options)
    return [*notes, *prediction.provenance.warnings]


def _run_model(case: PlanCase, options: argparse.Namespace, show: Callable[[Progress], None] | None, predictor: Predictor) -> Prediction:
    return predictor.predict(
        case,
        samples=options.samples,
        seed=options.seed,
        device=options.device,
        goals=options.goals,
        is_deliverable=options.deliverable,
        on_progress=show,
        is_cancelled=None,
    )


@contextmanager
def _notes(show: Callable[[str], None]) -> Iterator[None]:
    """Show what reading a case warns of in the tone of this command instead of Python's."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CaseWarning)
        yield
    for note in caught:
        if issubclass(note.category, CaseWarning):
            show(str(note.message))
        else:
            warnings.warn_explicit(note.message, note.category, note.filename, note.lineno)


def _write(path: Path, opened: OpenedCase, prediction: Prediction, doses: Mapping[str, StructureDose], options: argparse.Namespace) -> list[Path]:
    from dose_prediction.openkbp import SHAPE, is_csv_folder
    from dose_prediction.report import write_report

    case = opened.case
    is_openkbp = case.grid.shape == SHAPE and (is_csv_folder(path) or (path.suffix == ".npz" and path.stem.startswith("pt_")))
    return write_report(options.output, case, prediction, doses, openkbp_csv=is_openkbp, dicom=opened.dicom)


def _goals(options: argparse.Namespace) -> int:
    from dose_prediction.case_files import open_case
    from dose_prediction.dose_files import read_dose_for_case
    from dose_prediction.report import goals_table

    goals = _goal_set(options.goals)
    with _notes(lambda note: print(f"Note: {note}", file=sys.stderr)):
        opened = open_case(options.case)
        dose_gy = read_dose_for_case(options.dose, opened.case, opened.frame_of_reference_uid)
    print(goals_table(evaluate_goals(goals, structure_doses(dose_gy, opened.case), opened.case)))
    return 0


def _goal_set(path: Path | None) -> tuple[ClinicalGoal, ...]:
    from dose_prediction.resources import resource_path

    return load_goal_set(path or resource_path("Goals") / "HeadAndNeck.json").goals


def _evaluate(options: argparse.Namespace) -> int:
    from dose_prediction.openkbp import evaluate
    from dose_prediction.report import scores_table

    if options.samples is not None:
        return _evaluate_samples(options)
    scores = evaluate(options.reference, options.prediction, _deliverable() if options.deliverable else None)
    print(json.dumps(scores.as_dict(), indent=2) if options.json else scores_table(scores))
    if scores.missing:
        print(f"{len(scores.missing)} reference cases have no prediction: {', '.join(scores.missing)}", file=sys.stderr)
    return 1 if scores.missing else 0


def _evaluate_samples(options: argparse.Namespace) -> int:
    from dose_prediction.model.bundle import load_bundle
    from dose_prediction.report import coverage_table, scores_table, text_table
    from dose_prediction.training.calibrate import cross_judged
    from dose_prediction.training.release import uncalibrated, validate

    validation = validate(uncalibrated(load_bundle(options.model)), options.reference, options.samples)
    judgement = cross_judged(validation.drawn)
    if options.json:
        print(json.dumps({**validation.model.as_dict(), "uncertainty": judgement.as_dict()}, indent=2))
        return 0
    correlations = [[case, f"{rank:.2f}"] for case, rank in judgement.correlation.items()]
    tables = (scores_table(validation.model), coverage_table(judgement), text_table(["Case", "Spearman of spread and error"], correlations))
    print(*tables, sep="\n\n")
    return 0


def _deliverable() -> Callable[[PlanCase, NDArray[np.float32]], NDArray[np.float32]]:
    from dose_prediction.physics.mimic import deliverable_dose

    return deliverable_dose


def _train(options: argparse.Namespace) -> int:
    from dose_prediction.training.loop import train
    from dose_prediction.training.settings import TrainingSettings

    require_writable(options.output)
    given = {"steps": options.steps, "cases_per_step": options.cases_per_step}
    settings = TrainingSettings(**{name: value for name, value in given.items() if value is not None})
    train(
        options.data,
        options.output,
        resume=options.resume,
        start_from=options.start_from,
        validation=options.validation,
        simulated=options.simulated,
        device=options.device,
        ray_address=options.ray,
        settings=settings,
    )
    return 0


def _phantom(options: argparse.Namespace) -> int:
    from dose_prediction.anatomies import simulated_case
    from dose_prediction.case_files import write_case_folder
    from dose_prediction.dicom import write_case_as_dicom
    from dose_prediction.phantom import head_and_neck_phantom

    require_writable(options.output)
    case = head_and_neck_phantom(options.seed) if options.site == PHANTOM_SITES[0] else simulated_case(options.site, options.seed)
    write = write_case_as_dicom if options.dicom else write_case_folder
    write(options.output, case)
    print(f"Phantom written to {options.output}; predict its dose with: dose-prediction predict {options.output} --output DIR")
    return 0
