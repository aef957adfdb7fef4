"""The training loop, read top to bottom: first the CT autoencoder, then, with it frozen, all else: a step is the
denoiser's, with its condition encoder, or the beam planner's.

Every random choice is drawn from a generator seeded by the step and the case's place in it, so that a resumed training does exactly what an
uninterrupted one would have done, and several processes what one would.  The learning rate rises, stays, and falls to zero over the last part of the
steps (warm-up, stable, decay), so that a training can be prolonged from any checkpoint of its stable part.
"""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from dose_prediction import __version__
from dose_prediction.case import CaseError
from dose_prediction.device import working_precision
from dose_prediction.model.bundle import Bundle, load_bundle, save_bundle
from dose_prediction.model.condition import padded
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.training.calibrate import NOT_CALIBRATED
from dose_prediction.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint, start_from_model
from dose_prediction.training.dataset import PreparedCases, TrainingCase, prepare_cases
from dose_prediction.training.losses import autoencoder_loss
from dose_prediction.training.muon import Muon
from dose_prediction.training.processes import Processes, training_processes
from dose_prediction.training.settings import TrainingSettings
from dose_prediction.training.simulated_plans import OTHER_BEAMS, site_of
from dose_prediction.training.training_step import TrainingStep
from dose_prediction.training.validation import validation_scores


def train(
    data: Path,
    output: Path,
    *,
    resume: bool = False,
    start_from: Path | None = None,
    validation: Path | None = None,
    simulated: Sequence[Path] = (),
    device: str = "cpu",
    ray_address: str | None = None,
    settings: TrainingSettings | None = None,
    config: NetworkConfig | None = None,
) -> None:
    """Train on the OpenKBP cases in `data`; checkpoints, log and the finished model go to `output`.

    `resume` goes on from the checkpoint in `output`, `start_from` from the weights of a finished model with as many blocks or fewer.
    `validation` is a folder of cases that choose nothing but are scored every `validate_every` steps; `simulated` are folders of prepared cases that
    no clinic planned, as `training.beam_sets` and `training.simulated_plans` make them.  Under `torchrun` the cases of a step are shared out to its
    processes.  `device` as in `choose_device`.  Cases are prepared on the Ray cluster at `ray_address` where one is given.
    """
    settings, config = settings or TrainingSettings(), config or NetworkConfig()
    if resume and start_from:
        raise CaseError(f"A training either resumes from the checkpoint in {output} or starts from the model in {start_from}; leave one out.")
    model = load_bundle(start_from) if start_from else None
    if model is not None and settings.steps <= (steps := int(model.card["steps"])):
        raise CaseError(f"The model in {start_from} has been trained for {steps} steps, {settings.steps} in all are asked for; give more steps.")
    with training_processes(device) as processes:
        if settings.cases_per_step < 1 or settings.cases_per_step % processes.count:
            raise CaseError(
                f"{settings.cases_per_step} cases a step cannot be shared by {processes.count} processes; give a multiple of their number."
            )
        cohort = _load_cohort(data, output, validation, simulated, settings.priors, ray_address, processes)
        _train(cohort, output, resume, model, settings, config, processes)


@dataclass(frozen=True, eq=False)
class Cohort:
    """What is trained on and scored: cases, simulated plans (for other beams and sites), and cases held out."""

    cases: PreparedCases
    simulated: PreparedCases
    held_out: PreparedCases

    def drawn(self, number: int, settings: TrainingSettings, generator: torch.Generator) -> TrainingCase:
        """The case that has this number in the whole training: each case once an epoch, in an order of its own."""
        cases = self.cases
        if self.simulated and float(torch.rand((), generator=generator)) < settings.simulated_share:
            cases = self.simulated
        order = torch.randperm(len(cases), generator=torch.Generator().manual_seed(settings.seed * 7919 + number // len(cases)))
        return cases[int(order[number % len(cases)])]


def _load_cohort(
    data: Path, output: Path, validation: Path | None, simulated: Sequence[Path], priors: int, ray_address: str | None, processes: Processes
) -> Cohort:
    if processes.is_first:
        prepare_cases(data, output / "prepared", priors, ray_address=ray_address)
        if validation:
            prepare_cases(validation, output / "prepared_validation", ray_address=ray_address)
    processes.wait()
    cases = PreparedCases(prepare_cases(data, output / "prepared", priors))
    held_out = PreparedCases(prepare_cases(validation, output / "prepared_validation") if validation and processes.is_first else ())
    both = sorted(cases.names & held_out.names)
    if both:
        raise CaseError(f"Case {both[0]} is in both {data} and {validation}; a case that is trained on cannot be scored.")
    return Cohort(cases, PreparedCases([file for folder in simulated for file in sorted(folder.glob("*.npz"))]), held_out)


def _train(
    cohort: Cohort, output: Path, resume: bool, model: Bundle | None, settings: TrainingSettings, config: NetworkConfig, processes: Processes
) -> None:
    torch.manual_seed(settings.seed)
    network = ADDiffDose(config).on(processes.device)
    average = copy.deepcopy(network).requires_grad_(False)
    hidden, others = network.hidden_and_other_parameters()
    optimiser = Muon(hidden, others, settings.learning_rate, settings.weight_decay)
    if resume:
        state = load_checkpoint(output, network, average, optimiser)
    else:
        state = start_from_model(model, network, average, settings) if model else TrainingState()
    precision = working_precision(processes.device)

    _train_autoencoder(network, average, Cohort(cohort.cases, PreparedCases(()), PreparedCases(())), state, settings, processes, precision)
    network.autoencoder.requires_grad_(False)
    losses_of: nn.Module = TrainingStep(network, settings, processes.device, precision)
    if processes.count > 1:
        losses_of = DistributedDataParallel(losses_of, find_unused_parameters=True)
    start = time.perf_counter() - state.seconds
    progress = _progress(range(state.step, settings.steps), "Training", settings.steps, processes)
    running: dict[str, float] = {}
    for step in progress:
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, settings, state.first_step)
        for number in range(step * settings.cases_per_step + processes.rank, (step + 1) * settings.cases_per_step, processes.count):
            generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + number)
            losses: dict[str, Tensor] = losses_of(cohort.drawn(number, settings, generator), generator)
            # Processes average their gradients, so that each divides by what it has itself.
            loss = sum(losses.values(), torch.zeros((), device=processes.device))
            (loss * processes.count / settings.cases_per_step).backward()
            for name, value in losses.items():
                running[name] = 0.98 * running.get(name, float(value.detach())) + 0.02 * float(value.detach())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        follow(average, network, min(settings.average_decay, (1 + step) / (10 + step)))

        progress.set_postfix({name: f"{value:.3f}" for name, value in running.items()}, refresh=False)
        state.step, state.seconds = step + 1, time.perf_counter() - start
        if processes.is_first:
            _validate_and_save(network, average, optimiser, cohort.held_out, state, settings, precision, output, progress)
    if processes.is_first:
        save_bundle(output, average, model_card(cohort, state, settings))


def _validate_and_save(
    network: ADDiffDose,
    average: ADDiffDose,
    optimiser: torch.optim.Optimizer,
    held_out: PreparedCases,
    state: TrainingState,
    settings: TrainingSettings,
    precision: torch.dtype,
    output: Path,
    progress: tqdm,
) -> None:
    """Whatever is due at this step."""
    is_last = state.step == settings.steps
    if held_out and (state.step % settings.validate_every == 0 or is_last):
        dose_score, dvh_score = validation_scores(average, held_out, precision)
        state.history.append({"step": state.step, "hours": round(state.seconds / 3600, 3), "dose_score_gy": dose_score, "dvh_score_gy": dvh_score})
        progress.write(f"step {state.step}: {state.seconds / 3600:.2f} h, dose score {dose_score:.3f} Gy, DVH score {dvh_score:.3f} Gy")
    if state.step % settings.checkpoint_every == 0 or is_last:
        save_checkpoint(output, network, average, optimiser, state)


def _progress(steps: range, name: str, total: int, processes: Processes) -> tqdm:
    return tqdm(steps, initial=steps.start, total=total, desc=name, unit="step", mininterval=10, disable=not processes.is_first)


def schedule(step: int, settings: TrainingSettings, first_step: int = 0) -> float:
    """The learning rate at `step` as a fraction of its highest: a linear rise from `first_step` on, a plateau, and a decay by cosine to zero."""
    rise = min(1.0, (step - first_step + 1) / settings.warm_up)
    decay_steps = max(1.0, settings.decay_fraction * settings.steps)
    left = min(1.0, (settings.steps - step) / decay_steps)
    return rise * 0.5 * (1 - math.cos(math.pi * left))


def model_card(cohort: Cohort, state: TrainingState, settings: TrainingSettings) -> dict[str, Any]:
    """What can be said of a model when its training ends; `release` adds its scores."""
    simulated = Counter(site_of(name) for name in sorted(cohort.simulated.names))
    return {
        "name": "ADDiff-Dose",
        "version": f"{__version__}+{state.step}",
        "intended_use": "Research only; not for clinical use.",
        "limits": [
            "Head-and-neck plans of one clinic's kind: clinical plans of other sites and prescriptions are untested.",
            "Its plans for other beam sets and other sites are simulated ones.",
            NOT_CALIBRATED,
            "Organs without a channel are seen by the physics prior only.",
        ],
        "training_data": {
            "source": "OpenKBP challenge (Babier et al., Med. Phys. 48, 5549, 2021)",
            "cases": len(cohort.cases) // settings.priors,
            "simulated_plans": dict(simulated),
        },
        "sites": ["head and neck", *(f"{site} (simulated plans)" for site in simulated if site != OTHER_BEAMS)],
        "trained_prescriptions_gy": [56.0, 63.0, 70.0],
        "technique": "IMRT, 9 coplanar 6 MV beams" + (", and simulated plans for 5 to 11 fields and for arcs" if simulated else ""),
        "steps": state.step,
        "autoencoder_steps": state.autoencoder_step,
        "hours": round(state.seconds / 3600, 2),
        "settings": asdict(settings),
        "validation_curve": state.history,
    }


def _train_autoencoder(
    network: ADDiffDose,
    average: ADDiffDose,
    cohort: Cohort,
    state: TrainingState,
    settings: TrainingSettings,
    processes: Processes,
    precision: torch.dtype,
) -> None:
    """Short, on the cases themselves, and the same in every process."""
    optimiser = torch.optim.Adam(network.autoencoder.parameters(), lr=settings.autoencoder_learning_rate)
    progress = _progress(range(state.autoencoder_step, settings.autoencoder_steps), "CT autoencoder", settings.autoencoder_steps, processes)
    for step in progress:
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
        case = cohort.drawn(step, settings, generator)
        ct = padded(torch.from_numpy(case.volumes[:1]).float())[None].to(processes.device, memory_format=torch.channels_last_3d)
        for group in optimiser.param_groups:
            group["lr"] = settings.autoencoder_learning_rate * 0.5 * (1 + math.cos(math.pi * step / settings.autoencoder_steps))
        with torch.autocast(processes.device.type, precision, enabled=precision is not torch.float32):
            reconstruction, divergence = network.autoencoder(ct, generator)
            loss = autoencoder_loss(reconstruction.float(), ct, divergence.float())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        progress.set_postfix(loss=f"{float(loss.detach()):.4f}", refresh=False)
        state.autoencoder_step = step + 1
    average.autoencoder.load_state_dict(network.autoencoder.state_dict())


def follow(average: ADDiffDose, network: ADDiffDose, decay: float) -> None:
    """Exponential moving average of the weights."""
    with torch.no_grad():
        ours: list[Tensor] = list(average.parameters())
        theirs: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - decay)
