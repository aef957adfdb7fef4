"""What each part of the beam planner is worth: short trainings at half resolution that differ in one thing, of equal steps, on the same cases.

    python Testing/benchmarks/planner_ablations.py --output DIR [--data ../shared/openkbp] [--steps 200] [--largest 32] [VARIANT ...]
    python Testing/benchmarks/planner_ablations.py --output DIR --table

Losses, optimiser and learning rates are those of `dose_prediction.training`, in float32 on one thread; the planner has half its width.  Cases are
seen as they are or mirrored: other views pay in a long training only, and hold up so short a one.  Results are kept, as in `ablations.py`; `--table`
appends them to `ablations.md`.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from ablations import ROOT, TABLE
from half_resolution import halved
from torch import nn
from tqdm import tqdm

from dose_prediction.case import CaseError
from dose_prediction.model import condition
from dose_prediction.model.beam_planner import BeamScene, beam_scene
from dose_prediction.model.condition import CHANNELS, DOSE_SCALE_GY
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.model.planned_dose import planned_dose
from dose_prediction.output_files import whole_file
from dose_prediction.physics.prior import TracedBeams
from dose_prediction.training.dataset import PreparedCases, TrainingCase, prepare_cases
from dose_prediction.training.loop import follow, schedule
from dose_prediction.training.muon import Muon
from dose_prediction.training.settings import TrainingSettings
from dose_prediction.training.training_step import TrainingStep
from dose_prediction.training.validation import prior_gy, scores

CPU = torch.device("cpu")
# The denoiser, which is left alone here, as small as it can be.
HALF_WIDTH = NetworkConfig(
    widths=(8, 8, 8, 8),
    context=24,
    latent=8,
    autoencoder_widths=(8, 8, 8, 8),
    planner_rounds=(4,),
    planner_volume_widths=(16, 32, 48),
    planner_map_widths=(32, 48),
)
Optimiser = Callable[[ADDiffDose, TrainingSettings], torch.optim.Optimizer]


@dataclass(frozen=True, eq=False)
class HalvedCase(TrainingCase):
    """A case at half resolution with its beams, in memory."""

    traced: TracedBeams
    planned: BeamScene

    def scene(self) -> tuple[TracedBeams, BeamScene]:
        return self.traced, self.planned


def muon(network: ADDiffDose, settings: TrainingSettings) -> torch.optim.Optimizer:
    return Muon(*network.hidden_and_other_parameters(), settings.learning_rate, settings.weight_decay)


def adamw(network: ADDiffDose, settings: TrainingSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(network.planners.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98))


@dataclass(frozen=True)
class Recipe:
    """The design, where nothing is given."""

    seed: int = 0
    config: NetworkConfig = HALF_WIDTH
    settings: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(
            planner_step_share=1.0, average_decay=0.98, planner_posed_share=0.0, start_noise=0.0, swapped_share=0.0, upended_share=0.0
        )
    )
    optimiser: Optimiser = muon
    still: tuple[str, ...] = ()  # ends of the names of the planner's layers whose output stays zero
    starts_even: bool = False  # from even fluence instead of the quick plan's


@dataclass(frozen=True)
class Measured:
    """What a recipe reached on the validation cases, in Gy, and the processor time of a step."""

    dose_score_gy: float
    dvh_score_gy: float
    step_ms: float
    commit: str = ""


BASE = Recipe()


def settings(**changed: float) -> Recipe:
    return replace(BASE, settings=replace(BASE.settings, **changed))  # type: ignore[arg-type]


def sizes(**changed: int | tuple[int, ...]) -> Recipe:
    return replace(BASE, config=replace(HALF_WIDTH, **changed))  # type: ignore[arg-type]


VARIANTS: dict[str, Recipe] = {
    "the planner": BASE,
    "the planner, other seed": replace(BASE, seed=1),
    "one round": sizes(planner_rounds=(1,)),
    "two rounds": sizes(planner_rounds=(2,)),
    "six rounds": sizes(planner_rounds=(6,)),
    "a quarter of the width": sizes(planner_volume_widths=(8, 16, 24), planner_map_widths=(16, 24)),
    "begins with even fluence": replace(BASE, starts_even=True),
    "no last correction": replace(BASE, still=("correction",)),
    "beams tell each other nothing": replace(BASE, still=("agreed",)),
    "structures tell each other nothing": replace(BASE, still=("told",)),
    "maps send the volume their dose alone": replace(BASE, still=("messages",)),
    "rounds are not judged": settings(rounds_weight=0.0),
    "no DVH term": settings(dvh_weight=0.0),
    "the views and the noise of a long training": replace(BASE, settings=TrainingSettings(planner_step_share=1.0, average_decay=0.98)),
    "AdamW instead of Muon": replace(BASE, optimiser=adamw),
}


def halved_with_beams(case: TrainingCase) -> HalvedCase:
    """A case whose voxels are means over blocks of 2 x 2 x 2, and beams at the middle of what of each block is body."""
    small, (traced, scene) = halved(case), case.scene()
    lattice = small.body.shape
    z, y, x = (torch.from_numpy(index) // 2 for index in np.nonzero(case.body))
    blocks, block_of_voxel = torch.unique((z * lattice[1] + y) * lattice[2] + x, return_inverse=True)
    kept = torch.from_numpy(small.body.ravel())[blocks].nonzero()[:, 0]
    beams = traced.beams.averaged(block_of_voxel, len(blocks)).at(kept)
    there = replace(traced, beams=beams, body=small.body)
    prescription_gy = small.volumes[CHANNELS.index("prescription")].astype(np.float32) * np.float32(DOSE_SCALE_GY)
    return HalvedCase(**vars(small), traced=there, planned=beam_scene(there, prescription_gy, scene.start[beams.open_beamlets], small.voxel_mm3))


def halved_cases(files: Sequence[Path], largest: int) -> list[HalvedCase]:
    """The prepared cases in `files` of at most `largest` halved voxels on every axis."""
    cases = (case for case in tqdm(PreparedCases(files), desc="Halving cases", unit="case") if max(case.residual.shape) <= 2 * largest)
    if not (found := [halved_with_beams(case) for case in cases]):
        raise CaseError(f"No case in {files[0].parent} has at most {largest} voxels of 8 mm on every axis; give a larger --largest.")
    return found


def measured(recipe: Recipe, cases: Sequence[HalvedCase], held_out: Sequence[HalvedCase], steps: int) -> Measured:
    """Train the recipe for `steps` and judge the planner."""
    start = time.process_time()
    network = trained(recipe, [begun(case, recipe) for case in cases], steps).eval()
    step_ms = (time.process_time() - start) / steps * 1000
    planned = []
    for case in (begun(case, recipe) for case in held_out):
        found = planned_dose(network.planners, torch.from_numpy(case.volumes).float(), *case.scene(), CPU)
        planned.append((case, found.dose_gy))
    return Measured(*scores(planned), step_ms)


def begun(case: HalvedCase, recipe: Recipe) -> HalvedCase:
    """The case with the fluence that the recipe starts from."""
    if not recipe.starts_even:
        return case
    even = case.planned.unit * case.traced.beams.open_beamlets.float()
    return replace(case, planned=replace(case.planned, start=even))


def trained(recipe: Recipe, cases: Sequence[HalvedCase], steps: int) -> ADDiffDose:
    torch.manual_seed(recipe.seed)
    network = ADDiffDose(recipe.config)
    for name, layer in network.planners.named_modules():
        if isinstance(layer, nn.Module) and name.rpartition(".")[2] in recipe.still:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter).requires_grad_(False)
    average = copy.deepcopy(network).requires_grad_(False)
    settings = replace(recipe.settings, steps=steps, warm_up=max(1, steps // 10))
    optimiser = recipe.optimiser(network, settings)
    losses_of = TrainingStep(network, settings, CPU, torch.float32)
    order = [int(i) for epoch in range(steps // len(cases) + 1) for i in np.random.default_rng([recipe.seed, epoch]).permutation(len(cases))]
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, settings)
        losses = losses_of(cases[order[step]], torch.Generator().manual_seed(recipe.seed * 1_000_003 + step))
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        follow(average, network, min(settings.average_decay, (1 + step) / (10 + step)))
    return average


def section(results: Mapping[str, Measured], cases: Sequence[TrainingCase], held_out: Sequence[TrainingCase], options: argparse.Namespace) -> str:
    """The results as a chapter in Markdown."""
    dose, dvh = scores((case, prior_gy(case)) for case in held_out)
    lines = [
        f"## The beam planner, {options.steps} steps",
        "",
        f"{len(cases)} training and {len(held_out)} validation cases, no axis longer than {options.largest} voxels of 8 mm, seed 0, one thread",
        f"({platform.machine()}, torch {torch.__version__}).  The planner alone.  Prior alone: {dose:.2f} / {dvh:.2f} Gy.",
        "",
        "| what differs | dose score (Gy) | DVH score (Gy) | ms a step | commit |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {name} | {r.dose_score_gy:.2f} | {r.dvh_score_gy:.2f} | {r.step_ms:.0f} | {r.commit} |" for name, r in results.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=f"which to run (default: all): {', '.join(VARIANTS)}")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "openkbp", help="folder with OpenKBP's train and validation cases")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where prepared cases and results are kept")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--largest", type=int, default=32, help="leave out cases with more voxels of 8 mm on an axis (default 32)")
    parser.add_argument("--table", action="store_true", help="run nothing, append what is there to ablations.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    file = options.output / f"planner_ablations_{options.steps}_{options.largest}.json"
    results = {name: Measured(**found) for name, found in json.loads(file.read_text(encoding="utf-8")).items()} if file.exists() else {}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    with patch.object(condition, "SMALLEST", condition.MULTIPLE):  # float32 needs no more
        cases, held_out = (
            halved_cases(prepare_cases(options.data / part, options.output / name), options.largest)
            for part, name in (("train", "prepared"), ("validation", "prepared_validation"))
        )
        if options.table:
            with TABLE.open("a", encoding="utf-8") as table:
                table.write("\n" + section(results, cases, held_out, options))
            return
        for name in options.variants or VARIANTS:
            if name not in results:
                results[name] = replace(measured(VARIANTS[name], cases, held_out, options.steps), commit=commit)
                print(f"{name}: {results[name]}", flush=True)
                with whole_file(file) as unfinished:
                    unfinished.write_text(json.dumps({each: asdict(found) for each, found in results.items()}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
