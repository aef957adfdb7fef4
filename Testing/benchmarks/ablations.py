"""What each part of the design is worth: short trainings that differ in one thing, of equal steps, scored on the same validation cases.

    python Testing/benchmarks/ablations.py --data ../shared/openkbp --output DIR [--steps 300] [--cases 12] [NAME ...]

Prepared cases are kept in the output folder, and so is every result: a second run goes on where the first stopped.  Prints the table of
`ablations.md`.  Scores after so few steps rank the parts; they are far from those of a full training.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from dose_prediction.model.condition import CHANNELS, DOSE_SCALE_GY
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.output_files import whole_file
from dose_prediction.training import loop
from dose_prediction.training.dataset import TrainingCase, load_cases, prepare_cases
from dose_prediction.training.settings import TrainingSettings

PRIOR, OPEN_FIELD = CHANNELS.index("prior"), CHANNELS.index("open_field")


def unchanged(case: TrainingCase) -> TrainingCase:
    return case


def without(channel: str) -> Callable[[TrainingCase], TrainingCase]:
    """Cases whose `channel` is empty."""

    def emptied(case: TrainingCase) -> TrainingCase:
        volumes = case.volumes.copy()
        volumes[CHANNELS.index(channel)] = 0
        return replace(case, volumes=volumes)

    return emptied


def without_prior(case: TrainingCase) -> TrainingCase:
    """The whole dose is to be learnt, and the quick plan is not shown."""
    volumes = case.volumes.copy()
    dose_gy = volumes[PRIOR].astype(np.float32) * DOSE_SCALE_GY + case.residual.astype(np.float32) * RESIDUAL_SCALE_GY
    volumes[PRIOR] = 0
    return replace(case, volumes=volumes, residual=(dose_gy / RESIDUAL_SCALE_GY).astype(np.float16))


def prior_as_input_only(case: TrainingCase) -> TrainingCase:
    """The whole dose is to be learnt; the quick plan is shown in the place of the open fields."""
    bare = without_prior(case)
    volumes = bare.volumes.copy()
    volumes[OPEN_FIELD] = case.volumes[PRIOR]
    return replace(bare, volumes=volumes)


def still(*layers: str) -> Callable[[ADDiffDose], None]:
    """Layers whose output stays zero, so that what they add is nothing."""

    def freeze(network: ADDiffDose) -> None:
        for name in layers:
            for parameter in network.get_submodule(name).parameters():
                torch.nn.init.zeros_(parameter).requires_grad_(False)

    return freeze


def nothing(_: ADDiffDose) -> None:
    pass


@dataclass(frozen=True)
class Variant:
    """One thing that differs from the design."""

    settings: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    case: Callable[[TrainingCase], TrainingCase] = unchanged
    network: Callable[[ADDiffDose], None] = nothing


VARIANTS = {
    "the design": Variant(),
    "no physics prior": Variant(case=without_prior),
    "prior as input only": Variant(case=prior_as_input_only),
    "no open fields": Variant(case=without("open_field")),
    "no distance map": Variant(case=without("distance")),
    "no CT autoencoder": Variant(network=still("condition_encoder.latent_in")),
    "no attention": Variant(network=still("denoiser.to_plan.out", "denoiser.to_itself.out", "condition_encoder.mix.out")),
    "expected dose alone, no noise levels": Variant(settings={"expected_share": 1.0}),
    "no DVH term": Variant(settings={"dvh_weight": 0.0}),
    "DVH term twice": Variant(settings={"dvh_weight": 0.6}),
    "no turning, zoom and shift": Variant(settings={"posed_share": 0.0}),
    "no averaging of weights": Variant(settings={"average_decay": 0.0}),
    "learning rate halved": Variant(settings={"learning_rate": 4e-4}),
    "wider at half resolution": Variant(config={"widths": (48, 64, 128, 160)}),
    "deeper at half resolution": Variant(config={"encoder_blocks": (2, 2, 2, 1), "denoiser_blocks": (2, 2, 2, 1)}),
}


@dataclass(frozen=True)
class Measured:
    """What a variant reached, and what a step of it took."""

    dose_score_gy: float
    dvh_score_gy: float
    seconds_a_step: float


def run(name: str, variant: Variant, cases: Sequence[TrainingCase], held_out: Sequence[TrainingCase], steps: int, folder: Path) -> Measured:
    """Train the variant for `steps` and score it."""
    settings = TrainingSettings(
        steps=steps, autoencoder_steps=60, warm_up=min(100, steps // 3), validate_every=steps, checkpoint_every=steps, average_decay=0.98
    )
    settings = replace(settings, **variant.settings)
    cohort = loop.Cohort([variant.case(case) for case in cases], [], [variant.case(case) for case in held_out])

    class Altered(ADDiffDose):
        def __init__(self, config: NetworkConfig) -> None:
            super().__init__(config)
            variant.network(self)

    start = time.perf_counter()
    with patch.object(loop, "ADDiffDose", Altered), patch.object(loop, "_load_cohort", lambda *_: cohort):
        loop.train(folder, folder, settings=settings, config=replace(NetworkConfig(), **variant.config))
    seconds = time.perf_counter() - start
    card = json.loads((folder / "addiff_dose.json").read_text(encoding="utf-8"))
    last = card["validation_curve"][-1]
    print(f"{name}: {last['dose_score_gy']:.3f} / {last['dvh_score_gy']:.3f} Gy", flush=True)
    return Measured(last["dose_score_gy"], last["dvh_score_gy"], seconds / steps)


def table(results: dict[str, Measured]) -> str:
    """The results as a table in Markdown, the design first."""
    lines = ["| what differs | dose score (Gy) | DVH score (Gy) | seconds a step |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {found.dose_score_gy:.2f} | {found.dvh_score_gy:.2f} | {found.seconds_a_step:.2f} |" for name, found in results.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("variants", nargs="*", metavar="NAME", help=f"which to run (default: all): {', '.join(VARIANTS)}")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with OpenKBP's train and validation cases")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where prepared cases and results are kept")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--cases", type=int, default=12, help="validation cases to score (default 12)")
    options = parser.parse_args()
    cases = load_cases(prepare_cases(options.data / "train", options.output / "prepared"))
    held_out = load_cases(prepare_cases(options.data / "validation", options.output / "prepared_validation")[: options.cases])
    file = options.output / f"ablations_{options.steps}.json"
    results = {name: Measured(**found) for name, found in json.loads(file.read_text(encoding="utf-8")).items()} if file.exists() else {}
    for name in options.variants or VARIANTS:
        if name not in results:
            results[name] = run(name, VARIANTS[name], cases, held_out, options.steps, options.output / name.replace(" ", "_").replace(",", ""))
            with whole_file(file) as unfinished:
                unfinished.write_text(json.dumps({each: vars(found) for each, found in results.items()}, indent=1), encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
