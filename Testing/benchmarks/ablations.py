"""What each part of the design is worth: short trainings at half resolution that differ in one thing, of equal steps, on the same validation cases.

    python Testing/benchmarks/ablations.py --output DIR [--data ../shared/openkbp] [--steps 300] [--largest 32] [VARIANT ...]
    python Testing/benchmarks/ablations.py --output DIR --table

One thread.  Prepared cases are kept in the output folder, and so is every result: a second run goes on where the first stopped.  `--table` appends
the results to `ablations.md` beside this file.  Scores after so few steps rank the parts; they are far from a full training's.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from half_resolution import halved_cases
from paper_baseline import Baseline, measured_baseline
from short_training import (
    DRAWN,
    DRAWN_CASES,
    HALF_WIDTH,
    JUDGED_LEVELS,
    EvenDoseWeight,
    EvenNoiseWeight,
    LinearSchedule,
    Measured,
    Recipe,
    Weights,
    denoised_at_once,
    denoised_from_noise,
    measured,
    prior_scores,
)

from dose_prediction.model.condition import CHANNELS, OPEN_MOMENTS, PRIOR_MOMENTS
from dose_prediction.model.diffusion import NoiseLevels
from dose_prediction.output_files import whole_file
from dose_prediction.training.dataset import TrainingCase, prepare_cases

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("ablations.md")
DESIGN = "the design"
BASE = Recipe()
PRIOR, OPEN_FIELDS = ("prior", *PRIOR_MOMENTS), ("open_field", *OPEN_MOMENTS)


def settings(**changed: float) -> Recipe:
    return replace(BASE, settings=replace(BASE.settings, **changed))  # type: ignore[arg-type]


def sizes(**changed: tuple[int, ...] | bool) -> Recipe:
    return replace(BASE, config=replace(HALF_WIDTH, **changed))  # type: ignore[arg-type]


VARIANTS: dict[str, Recipe] = {
    DESIGN: BASE,
    "the design, other seed": replace(BASE, seed=1),
    "no physics prior": replace(BASE, emptied=PRIOR, prior_is_base=False),
    "prior as input only": replace(BASE, prior_is_base=False),
    "prior as residual base only": replace(BASE, emptied=PRIOR),
    "no open fields": replace(BASE, emptied=OPEN_FIELDS),
    "no angular moments": sizes(beam_moments=False),
    "moments shown, no dose composed of them": replace(BASE, still=("denoiser.composition.weights",)),
    "no distance map": replace(BASE, emptied=("distance",)),
    "no CT autoencoder": replace(BASE, still=("condition_encoder.latent_in",)),
    "no attention": replace(BASE, still=("denoiser.to_plan.out", "denoiser.to_itself.out", "condition_encoder.mix.out")),
    "noise predicted (epsilon)": replace(BASE, denoised=denoised_from_noise, levels=EvenNoiseWeight()),
    "clean dose predicted (x0)": replace(BASE, denoised=denoised_at_once, levels=EvenDoseWeight()),
    "white noise": replace(BASE, white_noise=True),
    "noise levels of DDPM's linear schedule": replace(BASE, levels=LinearSchedule()),
    "noise levels drawn higher": replace(BASE, levels=NoiseLevels(log_mean=0.4)),
    "expected dose alone, no noise levels": settings(expected_share=1.0),
    "squared instead of absolute error": replace(BASE, squared=True),
    "no DVH term": settings(dvh_weight=0.0),
    "DVH term twice": settings(dvh_weight=1.0),
    "no KL in the CT autoencoder": replace(BASE, kl_weight=0.0),
    "no mirror image": replace(BASE, is_mirrored=False),
    "no turning, zoom and shift": settings(posed_share=0.0),
    "no averaging of weights": settings(average_decay=0.0),
    "a second pass refines the first": replace(BASE, is_refined=True),
    "wider and shallower": sizes(widths=(24, 40, 72, 96), encoder_blocks=(0, 1, 1, 1), denoiser_blocks=(1, 1, 1, 1)),
    "narrower and deeper": sizes(widths=(8, 24, 48, 96), encoder_blocks=(2, 3, 3, 2), denoiser_blocks=(2, 3, 3, 2)),
}
BASELINES: dict[str, Baseline] = {
    "the paper's design": Baseline(halvings=4),
    "the paper's design, latents of its size in mm": Baseline(halvings=3),
}


def result_of(
    name: str, cases: Sequence[TrainingCase], held_out: Sequence[TrainingCase], steps: int, found: Mapping[str, Measured], weights: Weights
) -> Measured:
    """A baseline gets the processor time of the design."""
    if name in BASELINES:
        seconds = found[DESIGN].step_ms / 1000 * steps
        return measured_baseline(BASELINES[name], cases, held_out, seconds)
    return measured(VARIANTS[name], cases, held_out, steps, weights)


def section(results: Mapping[str, Measured], cases: Sequence[TrainingCase], held_out: Sequence[TrainingCase], options: argparse.Namespace) -> str:
    """The results as a chapter in Markdown."""
    dose, dvh = prior_scores(held_out)
    columns = ["what differs", "dose score (Gy)", "DVH score (Gy)", "denoised (Gy)", f"mean of {DRAWN} samples (Gy)", "ms a step", "commit"]
    lines = [
        f"## {options.steps} steps",
        "",
        f"{len(CHANNELS)} channels, {len(cases)} training and {len(held_out)} validation cases (samples: of {DRAWN_CASES}), no axis longer than",
        f"{options.largest} voxels of 8 mm, seed 0, one thread ({platform.machine()}, torch {torch.__version__}).  Denoised: error of the dose at",
        f"noise levels {', '.join(f'{level:g}' for level in JUDGED_LEVELS)}.  Prior alone: {dose:.2f} / {dvh:.2f} Gy.",
        "",
        f"| {' | '.join(columns)} |",
        "|" + " --- |" * len(columns),
    ]
    for name, found in results.items():
        denoised = ", ".join(f"{error:.2f}" for error in found.denoised_gy) or "-"
        numbers = f"{found.dose_score_gy:.2f} | {found.dvh_score_gy:.2f} | {denoised} | {found.drawn_gy:.2f} | {found.step_ms:.0f}"
        lines.append(f"| {name} | {numbers} | {found.commit} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*VARIANTS, *BASELINES]
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"which to run (default: all): {', '.join(names)}")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "openkbp", help="folder with OpenKBP's train and validation cases")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where prepared cases and results are kept")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--largest", type=int, default=32, help="leave out cases with more voxels of 8 mm on an axis (default 32)")
    parser.add_argument("--table", action="store_true", help="run nothing, append what is there to ablations.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases, held_out = (
        halved_cases(prepare_cases(options.data / part, options.output / name), options.output / f"{name}_half_{len(CHANNELS)}", options.largest)
        for part, name in (("train", "prepared"), ("validation", "prepared_validation"))
    )
    file = options.output / f"ablations_{options.steps}_{options.largest}_{len(CHANNELS)}.json"
    results = {name: Measured(**found) for name, found in json.loads(file.read_text(encoding="utf-8")).items()} if file.exists() else {}
    if options.table:
        with TABLE.open("a", encoding="utf-8") as table:
            table.write("\n" + section(results, cases, held_out, options))
        return
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    weights: Weights = {}
    for name in options.variants or names:
        if name not in results:
            results[name] = replace(result_of(name, cases, held_out, options.steps, results, weights), commit=commit)
            print(f"{name}: {results[name]}", flush=True)
            with whole_file(file) as unfinished:
                unfinished.write_text(json.dumps({each: asdict(found) for each, found in results.items()}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
