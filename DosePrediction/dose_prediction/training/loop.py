"""The training loop, read top to bottom: first the CT autoencoder, then, with it frozen, condition encoder and denoiser.

Every random choice of a step is drawn from a generator seeded by that step, so that a resumed training does exactly what an uninterrupted one would
have done.  The learning rate rises, stays, and falls to zero over the last part of the steps (warm-up, stable, decay), so that a training can be
prolonged from any checkpoint of its stable part.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from dose_prediction import __version__
from dose_prediction.case import CaseError
from dose_prediction.device import choose_device, working_precision
from dose_prediction.model import diffusion
from dose_prediction.model.bundle import save_bundle
from dose_prediction.model.condition import (
    CHANNELS,
    DOSE_SCALE_GY,
    FIRST_ORGAN,
    ORGANS,
    DoseGoal,
    goal_tokens,
    mirrored_channels,
    mirrored_tokens,
    padded,
)
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.training.augmentation import draw_pose, posed_tokens, posed_volumes
from dose_prediction.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from dose_prediction.training.dataset import TrainingCase, load_cases, prepare_cases, structures_in
from dose_prediction.training.losses import absolute_error, autoencoder_loss, dvh_error, squared_error
from dose_prediction.training.validation import validation_scores


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides a training but its data."""

    steps: int = 12_000
    autoencoder_steps: int = 500
    learning_rate: float = 8e-4
    autoencoder_learning_rate: float = 2e-3
    weight_decay: float = 5e-2
    warm_up: int = 200
    decay_fraction: float = 0.3
    average_decay: float = 0.999
    expected_share: float = 0.65  # of the steps, at the infinite noise level
    goal_share: float = 0.25  # of the steps, with some of the plan's own doses as goals
    posed_share: float = 0.75  # of the steps, with the case turned, zoomed and shifted
    dvh_weight: float = 0.3
    noise_weight: float = 0.6
    validate_every: int = 500
    checkpoint_every: int = 250
    seed: int = 0


def train(
    data: Path,
    output: Path,
    *,
    resume: bool = False,
    validation: Path | None = None,
    settings: TrainingSettings | None = None,
    config: NetworkConfig | None = None,
) -> None:
    """Train on the OpenKBP cases in `data`; checkpoints, log and the finished model go to `output`.

    `validation` is a folder of cases that choose nothing but are scored every `validate_every` steps.
    """
    settings, config = settings or TrainingSettings(), config or NetworkConfig()
    cases = load_cases(prepare_cases(data, output / "prepared"))
    held_out = load_cases(prepare_cases(validation, output / "prepared_validation")) if validation else []
    both = sorted({case.name for case in cases} & {case.name for case in held_out})
    if both:
        raise CaseError(f"Case {both[0]} is in both {data} and {validation}; a case that is trained on cannot be scored.")

    torch.manual_seed(settings.seed)
    network = ADDiffDose(config).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98))
    state = load_checkpoint(output, network, average, optimiser) if resume else TrainingState()
    precision = working_precision(choose_device("cpu"))

    _train_autoencoder(network, average, cases, state, settings, precision)
    network.autoencoder.requires_grad_(False)
    start = time.perf_counter() - state.seconds
    progress = tqdm(range(state.step, settings.steps), initial=state.step, total=settings.steps, desc="Training", unit="step", mininterval=10)
    running: dict[str, float] = {}
    for step in progress:
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        case = cases[_case_order(len(cases), step // len(cases), settings.seed)[step % len(cases)]]
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, settings)
        losses = _losses(network, case, settings, generator, precision)
        sum(losses.values(), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        _follow(average, network, min(settings.average_decay, (1 + step) / (10 + step)))

        for name, loss in losses.items():
            running[name] = 0.98 * running.get(name, float(loss.detach())) + 0.02 * float(loss.detach())
        progress.set_postfix({name: f"{value:.3f}" for name, value in running.items()}, refresh=False)
        state.step, state.seconds = step + 1, time.perf_counter() - start
        if held_out and (state.step % settings.validate_every == 0 or state.step == settings.steps):
            dose_score, dvh_score = validation_scores(average, held_out, precision, mirror=state.step == settings.steps)
            state.history.append(
                {"step": state.step, "hours": round(state.seconds / 3600, 3), "dose_score_gy": dose_score, "dvh_score_gy": dvh_score}
            )
            progress.write(f"step {state.step}: {state.seconds / 3600:.2f} h, dose score {dose_score:.3f} Gy, DVH score {dvh_score:.3f} Gy")
        if state.step % settings.checkpoint_every == 0 or state.step == settings.steps:
            save_checkpoint(output, network, average, optimiser, state)
    save_bundle(output, average, model_card(cases, state, settings))


def schedule(step: int, settings: TrainingSettings) -> float:
    """The learning rate at `step` as a fraction of its highest: a linear rise, a plateau, and a decay by cosine to zero."""
    rise = min(1.0, (step + 1) / settings.warm_up)
    decay_steps = max(1.0, settings.decay_fraction * settings.steps)
    left = min(1.0, (settings.steps - step) / decay_steps)
    return rise * 0.5 * (1 - math.cos(math.pi * left))


def model_card(cases: list[TrainingCase], state: TrainingState, settings: TrainingSettings) -> dict[str, Any]:
    """What can be said of a model when its training ends; `release` adds its scores."""
    return {
        "name": "ADDiff-Dose",
        "version": f"{__version__}+{state.step}",
        "intended_use": "Research only; not for clinical use.",
        "limits": [
            "Head-and-neck plans of one kind: other sites, prescriptions, techniques and beam sets are untested.",
            "The spread of its samples is not calibrated.",
            "Organs without a channel are seen by the physics prior only.",
        ],
        "training_data": {"source": "OpenKBP challenge (Babier et al., Med. Phys. 48, 5549, 2021)", "cases": len(cases)},
        "sites": ["head and neck"],
        "trained_prescriptions_gy": [56.0, 63.0, 70.0],
        "trained_gantry_deg": [40.0 * i for i in range(9)],
        "technique": "IMRT, 9 coplanar 6 MV beams",
        "steps": state.step,
        "autoencoder_steps": state.autoencoder_step,
        "hours": round(state.seconds / 3600, 2),
        "settings": asdict(settings),
        "validation_curve": state.history,
    }


def _train_autoencoder(
    network: ADDiffDose, average: ADDiffDose, cases: list[TrainingCase], state: TrainingState, settings: TrainingSettings, precision: torch.dtype
) -> None:
    optimiser = torch.optim.Adam(network.autoencoder.parameters(), lr=settings.autoencoder_learning_rate)
    progress = tqdm(range(state.autoencoder_step, settings.autoencoder_steps), desc="CT autoencoder", unit="step", mininterval=10)
    for step in progress:
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        case = cases[_case_order(len(cases), step // len(cases), settings.seed)[step % len(cases)]]
        ct = padded(torch.from_numpy(case.volumes[:1]).float())[None].to(memory_format=torch.channels_last_3d)
        for group in optimiser.param_groups:
            group["lr"] = settings.autoencoder_learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.autoencoder_steps))
        with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
            reconstruction, divergence = network.autoencoder(ct, generator)
            loss = autoencoder_loss(reconstruction.float(), ct, divergence.float())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        progress.set_postfix(loss=f"{float(loss.detach()):.4f}", refresh=False)
        state.autoencoder_step = step + 1
    average.autoencoder.load_state_dict(network.autoencoder.state_dict())


def _losses(
    network: ADDiffDose, case: TrainingCase, settings: TrainingSettings, generator: torch.Generator, precision: torch.dtype
) -> dict[str, Tensor]:
    """The loss terms of one step on one case, by name."""
    volumes, residual, tokens = torch.from_numpy(case.volumes).float(), torch.from_numpy(case.residual).float(), torch.from_numpy(case.tokens)
    draw = torch.rand(4, generator=generator).tolist()
    if draw[1] < settings.goal_share:
        tokens = torch.cat([tokens, _reference_goals(case, volumes, residual, generator)])
    if draw[0] < 0.5:
        volumes, residual, tokens = mirrored_channels(volumes), residual.flip(-1), mirrored_tokens(tokens)
    voxel_mm3 = case.voxel_mm3
    if draw[3] < settings.posed_share:
        pose = draw_pose(tokens, generator)
        volumes, residual, tokens = posed_volumes(volumes, pose), posed_volumes(residual[None], pose)[0], posed_tokens(tokens, pose)
        voxel_mm3 /= pose.zoom**2
    depth, height, width = residual.shape
    body = volumes[CHANNELS.index("body")] > 0.5
    batch = padded(volumes)[None].to(memory_format=torch.channels_last_3d)
    shape = (1, 1, *batch.shape[2:])
    with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
        denoiser = network.bound(network.condition(batch, tokens[None]))
        if draw[2] >= settings.expected_share:
            level = network.levels.draw(1, generator)
            clean = padded(residual)[None, None]
            noisy = clean + level * diffusion.draw_noise(shape, generator)
            answer = diffusion.denoised(denoiser, noisy, level, network.levels)[0, 0, :depth, :height, :width]
            return {"noise": settings.noise_weight * squared_error(answer, residual, body, network.levels.loss_weight(level)[0])}
        answer = diffusion.expected(denoiser, shape, network.levels, batch.device)[0, 0, :depth, :height, :width]
    prior = volumes[CHANNELS.index("prior")] * (DOSE_SCALE_GY / RESIDUAL_SCALE_GY)
    dvh = dvh_error((prior + answer).flatten(), (prior + residual).flatten(), structures_in(volumes), voxel_mm3)
    return {"error": absolute_error(answer, residual, body), "dvh": settings.dvh_weight * dvh}


def _reference_goals(case: TrainingCase, volumes: Tensor, residual: Tensor, generator: torch.Generator) -> Tensor:
    """Tokens of what the reference plan kept some of its organs to, so that the network learns to follow goals that can be met."""
    dose = volumes[CHANNELS.index("prior")] * DOSE_SCALE_GY + residual * RESIDUAL_SCALE_GY
    goals = []
    for i, organ in enumerate(ORGANS):
        inside = volumes[FIRST_ORGAN + i] > 0.5
        if not inside.any() or torch.rand((), generator=generator) < 0.5:
            continue
        maximum = bool(torch.rand((), generator=generator) < 0.5)
        values = dose[inside]
        goals.append(DoseGoal(organ, "max" if maximum else "mean", float(values.max() if maximum else values.mean())))
    return torch.from_numpy(goal_tokens(goals))


def _follow(average: ADDiffDose, network: ADDiffDose, decay: float) -> None:
    """Exponential moving average of the weights."""
    with torch.no_grad():
        ours: list[Tensor] = list(average.parameters())
        theirs: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - decay)


def _case_order(count: int, epoch: int, seed: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 7919 + epoch)).tolist()
