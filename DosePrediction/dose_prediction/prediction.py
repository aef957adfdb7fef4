"""One prediction: a case goes in, the dose of a good plan comes out, with where it came from.

    case -> planning region -> physics prior -> condition encoder, once -> expected dose and samples -> dose on the case's own grid

Every stage is a function from values to values.  Between steps the progress is told and a cancel is obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction import __version__
from dose_prediction.case import CaseError, DoseGoal, PlanCase
from dose_prediction.device import choose_device, working_precision
from dose_prediction.model import diffusion
from dose_prediction.model.bundle import Bundle
from dose_prediction.model.condition import ORGANS, goal_tokens, mirrored_channels, mirrored_tokens, padded, plan_tokens, volume_channels
from dose_prediction.model.condition_encoder import Condition
from dose_prediction.model.network import ADDiffDose
from dose_prediction.physics.prior import PhysicsPrior, PlanObjective, physics_prior, trace_beams
from dose_prediction.prediction_cache import PredictionCache, digest_of
from dose_prediction.progress import Cancelled, Progress, Run
from dose_prediction.region import PlanningRegion, onto_case_grid, planning_region

Volume = NDArray[np.float32]
SAMPLING_STEPS = 8

__all__ = ["Cancelled", "Prediction", "Progress", "Provenance", "predict"]


@dataclass(frozen=True)
class Provenance:
    """Where a dose came from.  Holds no name, date or other trace of a patient; `case_sha256` is a digest of the input."""

    product: str
    model_version: str
    model_sha256: str
    seed: int
    samples: int
    sampling_steps: int
    device: str
    precision: str
    case_sha256: str
    goals: list[str] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Prediction:
    """A predicted dose in Gy on the case's grid (z, y, x): zero outside the body, never negative, never NaN.

    `dose_gy` is the expected dose, `prior_gy` the physics prior that it started from; `samples_gy` are single plausible plans and `spread_gy` their
    standard deviation, where samples were asked for.
    """

    dose_gy: Volume
    prior_gy: Volume
    samples_gy: tuple[Volume, ...]
    spread_gy: Volume | None
    provenance: Provenance


def predict(
    case: PlanCase,
    model: Bundle,
    *,
    samples: int = 0,
    seed: int = 0,
    device: str = "auto",
    goals: Sequence[DoseGoal] = (),
    cache: PredictionCache | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Prediction:
    """The dose that a good plan would give `case`, steered by `goals` where there are any.

    The same case, model, seed, goals and machine give the same dose; `cache` only saves time.  Raises Cancelled when `is_cancelled` says so between
    steps, DeviceError and CaseError for input that cannot be used.
    """
    if not 0 <= samples <= 100:
        raise ValueError(f"Number of samples is {samples}; give 0 to 100.")
    torch_device = choose_device(device)
    precision = working_precision(torch_device)
    cache = cache or PredictionCache()
    run = Run(on_progress, is_cancelled, steps=5 + samples * SAMPLING_STEPS)

    with run.stage("Preparing the case"):
        named = [(structure.name, structure.role) for structure in case.structures]
        region = cache.recall("region", digest_of(case.patient_digest, named), lambda: planning_region(case))
        _check_goals(goals, region)
    prior = _prior(case, region, cache, run)
    with run.stage("Encoding the case"), _autocast(torch_device, precision):
        network = model.network.to(torch_device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        depends_on = digest_of(case.digest, tuple(goals), model.sha256, str(torch_device))
        encoded = cache.recall("condition", depends_on, lambda: _encoded(network, region, prior, case, goals, torch_device))
    with run.stage("Predicting the dose"), _autocast(torch_device, precision):
        direct, mirrored = (diffusion.expected(network.bound(c), encoded.shape, network.levels, torch_device) for c in encoded.conditions)
        residual = 0.5 * (direct + mirrored.flip(-1))
    drawn: list[torch.Tensor] = []
    if samples:
        with run.stage("Sampling plans", steps=samples * SAMPLING_STEPS), _autocast(torch_device, precision):
            for index in range(samples):
                drawn.append(_sampled(network.bound(encoded.conditions[0]), direct, network.levels, (seed, index), run))
    with run.stage("Finishing"):
        dose = _finished(residual, prior, region, case)
        plans = tuple(_finished(x, prior, region, case) for x in drawn)
        spread = np.std(plans, axis=0, dtype=np.float32) if plans else None
        prior_gy = _on_case(prior.dose_gy, region, case)
    provenance = Provenance(
        product=f"DosePrediction {__version__}",
        model_version=model.version,
        model_sha256=model.sha256,
        seed=seed,
        samples=samples,
        sampling_steps=SAMPLING_STEPS if samples else 1,
        device=str(torch_device),
        precision=str(precision).removeprefix("torch."),
        case_sha256=case.digest,
        goals=[str(goal) for goal in goals],
        stage_seconds={name: round(seconds, 3) for name, seconds in run.seconds.items()},
        warnings=_warnings(case, model),
    )
    return Prediction(dose, prior_gy, plans, spread, provenance)


@dataclass(frozen=True, eq=False)
class _Encoded:
    """The condition of a case and of its mirror image, and the shape (batch, 1, z, y, x) of what is denoised."""

    conditions: tuple[Condition, Condition]
    shape: tuple[int, ...]


def _encoded(
    network: ADDiffDose, region: PlanningRegion, prior: PhysicsPrior, case: PlanCase, goals: Sequence[DoseGoal], device: torch.device
) -> _Encoded:
    volumes = padded(torch.from_numpy(volume_channels(region, prior)))[None].to(device, memory_format=torch.channels_last_3d)
    tokens = torch.from_numpy(np.concatenate([plan_tokens(region, case.fields), goal_tokens(goals)]))[None].to(device)
    mirrored = network.condition(mirrored_channels(volumes), mirrored_tokens(tokens))
    return _Encoded((network.condition(volumes, tokens), mirrored), (1, 1, *volumes.shape[2:]))


def _check_goals(goals: Sequence[DoseGoal], region: PlanningRegion) -> None:
    for goal in goals:
        if goal.organ not in region.organs:
            raise CaseError(f"The goal '{goal}' is for an organ that the case has not; give one of {', '.join(sorted(region.organs)) or 'none'}.")


def _prior(case: PlanCase, region: PlanningRegion, cache: PredictionCache, run: Run) -> PhysicsPrior:
    objective = PlanObjective()
    with run.stage("Physics prior"):
        beams_depend_on = digest_of(case.ct_hu, case.grid, case.body, region.grid, region.prescription_map_gy > 0, case.fields, case.isocentre)
        traced = cache.recall(
            "beams", beams_depend_on, lambda: trace_beams(case, region, on_beam=lambda done: run.report(0.6 * done / len(case.fields)))
        )
        return cache.recall(
            "prior",
            digest_of(case.digest, objective),
            lambda: physics_prior(region, traced, objective, on_iteration=lambda done: run.report(min(0.6 + 0.4 * done / objective.iterations, 1.0))),
        )


def _sampled(network: diffusion.Network, mean: torch.Tensor, levels: diffusion.NoiseLevels, seed: tuple[int, int], run: Run) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    before = seed[1] * SAMPLING_STEPS
    return diffusion.sample(network, mean, levels, SAMPLING_STEPS, generator, on_step=lambda done: run.report(before + done))


def _finished(residual: torch.Tensor, prior: PhysicsPrior, region: PlanningRegion, case: PlanCase) -> Volume:
    """The dose on the case's grid of a residual on the padded grid of the region."""
    depth, height, width = region.grid.shape
    correction = residual[0, 0, :depth, :height, :width].float().cpu().numpy() * diffusion.RESIDUAL_SCALE_GY
    if not np.isfinite(correction).all():
        raise FloatingPointError("The network returned values that are not numbers; the model does not fit this case.")
    return _on_case(np.where(region.body, np.maximum(prior.dose_gy + correction, 0), 0).astype(np.float32), region, case)


def _on_case(dose_gy: Volume, region: PlanningRegion, case: PlanCase) -> Volume:
    return np.where(case.body, np.maximum(onto_case_grid(dose_gy, region, case), 0), 0).astype(np.float32)


@contextmanager
def _autocast(device: torch.device, precision: torch.dtype) -> Iterator[None]:
    with torch.inference_mode(), torch.autocast(device.type, precision, enabled=precision is not torch.float32):
        yield


def _warnings(case: PlanCase, model: Bundle) -> list[str]:
    """What of the case the model was not trained on, in sentences."""
    found = []
    unseen = sorted({organ.role.standard_name or organ.name for organ in case.organs} - set(ORGANS))
    if unseen:
        found.append(f"The model does not know {', '.join(unseen)}; the physics prior spares them, the model does not look at them.")
    trained = set(map(float, model.card.get("trained_prescriptions_gy", [])))
    strange = sorted({target.role.prescription_gy or 0.0 for target in case.targets} - trained)
    if trained and strange:
        ours, theirs = (", ".join(f"{dose:g}" for dose in sorted(doses)) for doses in (strange, trained))
        found.append(f"No training plan has a prescription of {ours} Gy (trained: {theirs} Gy); check the dose with care.")
    beams = model.card.get("trained_gantry_deg")
    if beams and sorted(beam.gantry_deg for beam in case.fields) != sorted(map(float, beams)):
        found.append("The beams differ from those of the training plans; the physics prior follows them, the model has not seen them.")
    return found
