"""One prediction: a case goes in, the dose of a good plan comes out, with where it came from.

    case -> planning region -> physics prior -> condition encoder, once -> expected dose, and samples about it -> dose on the case's own grid
                                             -> beam planner ------------^                    -> what the beams cannot do of it

The expected dose is the mean of what the denoiser expects and what the beam planner plans, which err in different ways; the DVHs of its targets are
brought to those of plans for cases like this one.

Every stage is a function from values to values.  Between steps the progress is told and a cancel is obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction import __version__
from dose_prediction.calibration import Calibration
from dose_prediction.case import CaseError, DoseGoal, PlanCase
from dose_prediction.device import choose_device, working_precision
from dose_prediction.familiarity import Features, experience_from_card, features
from dose_prediction.guidance import Guide, guided_change
from dose_prediction.model import diffusion
from dose_prediction.model.beam_planner import beam_scene
from dose_prediction.model.bundle import Bundle
from dose_prediction.model.condition import ORGANS, goal_tokens, padded, plan_tokens, volume_channels
from dose_prediction.model.condition_encoder import Condition
from dose_prediction.model.network import ADDiffDose
from dose_prediction.model.planned_dose import PlannedDose, mixed, planned_dose
from dose_prediction.physics.mimic import ITERATIONS, Deliverability, Mimicked, deliverability, fit_dose
from dose_prediction.physics.plan_objective import ITERATIONS as PLAN_ITERATIONS
from dose_prediction.physics.prior import PhysicsPrior, TracedBeams, physics_prior, trace_beams
from dose_prediction.prediction_cache import PredictionCache
from dose_prediction.progress import Cancelled, Progress, Run
from dose_prediction.region import PlanningRegion, onto_case_grid, planning_region
from dose_prediction.trade_offs import MetricChange, metric_changes

Volume = NDArray[np.float32]
SAMPLING_STEPS = 8
GUIDE = Guide()

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
    is_deliverable: bool = False
    deliverability: Deliverability | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Prediction:
    """A predicted dose in Gy on the case's grid (z, y, x): zero outside the body, never negative, never NaN.

    `dose_gy` is the expected dose, `prior_gy` the physics prior that it started from.  `samples_gy` are single plausible plans, calibrated so that
    bands of their DVHs hold what they promise, and `spread_gy` their standard deviation, where samples were asked for.  `changes` says what goals
    gained and cost: every structure's metrics without and with them.
    """

    dose_gy: Volume
    prior_gy: Volume
    samples_gy: tuple[Volume, ...]
    spread_gy: Volume | None
    provenance: Provenance
    changes: tuple[MetricChange, ...] = ()

    @property
    def deliverability(self) -> Deliverability | None:
        """What the beams cannot do of the predicted dose; None until that is known."""
        return self.provenance.deliverability


def predict(
    case: PlanCase,
    model: Bundle,
    *,
    samples: int = 0,
    seed: int = 0,
    device: str = "auto",
    goals: Sequence[DoseGoal] = (),
    is_deliverable: bool = False,
    cache: PredictionCache | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_dose: Callable[[Prediction], None] | None = None,
    is_cancelled: Callable[[], bool] | None = None,
) -> Prediction:
    """The dose that a good plan would give `case`, steered by `goals` where there are any; `is_deliverable` asks for what the beams can give of it.

    The same case, model, seed, goals and machine give the same dose; `cache` only saves time.  Fitting the beams to the dose takes as long as all
    before it: `on_dose` is called once with the finished dose, which then lacks its deliverability unless the dose itself had to be fitted.
    Raises Cancelled when `is_cancelled` says so between steps, DeviceError and CaseError for input that cannot be used.
    """
    if not 0 <= samples <= 100:
        raise ValueError(f"Number of samples is {samples}; give 0 to 100.")
    torch_device = choose_device(device)
    precision = working_precision(torch_device)
    cache = cache or PredictionCache()
    run = Run(on_progress, is_cancelled, steps=6 + bool(goals) + samples * SAMPLING_STEPS)

    with run.stage("Preparing the case"):
        named = tuple((structure.name, structure.role) for structure in case.structures)
        region = cache.recall("region", (case.patient_digest, named), lambda: planning_region(case))
        _check_goals(goals, region)
    traced, prior = _prior(case, region, cache, run)
    with run.stage("Encoding the case"), _autocast(torch_device, precision):
        network = model.network.on(torch_device)
        depends_on = (case.digest, model.sha256, str(torch_device))
        encoded = cache.recall("condition", depends_on, lambda: _encoded(network, region, prior, case, (), torch_device))
    with run.stage("Predicting the dose"), _autocast(torch_device, precision):
        residual = _expected(network, encoded)
        denoised_gy = _dose(residual, prior, region)
        planned = cache.recall("planned", depends_on, lambda: _planned(network, encoded.channels, region, traced, prior, torch_device))
        mean_gy = denoised_gy if planned is None else mixed(planned.dose_gy, denoised_gy, network.config.planner_share, len(case.fields))
        free_gy = dose_gy = model.target_dvhs.applied(mean_gy, encoded.channels.numpy(), region.grid.spacing_zyx_mm)
    if goals:
        with run.stage("Steering to the goals"):
            with _autocast(torch_device, precision):
                encoded = _encoded(network, region, prior, case, goals, torch_device)
                residual = _expected(network, encoded)
            dose_gy = np.maximum(free_gy + _dose(residual, prior, region) - denoised_gy, 0)
            change_gy = guided_change(traced, region, prior, dose_gy, goals, GUIDE, lambda done: run.report(done / (GUIDE.iterations + 1)))
            dose_gy = np.maximum(dose_gy + change_gy, 0)
    gap = None
    if is_deliverable:
        fitted, gap = _fitted(dose_gy, region, traced, prior, planned, run)
        dose_gy = fitted.dose_gy
    drawn: list[Volume] = []
    if samples:
        about = dose_gy - _dose(residual, prior, region)  # samples are drawn about what the denoiser expects of the case as it is
        with run.stage("Sampling plans", steps=samples * SAMPLING_STEPS), _autocast(torch_device, precision):
            for index in range(samples):
                plan = _sampled(network.bound(encoded.condition), residual, network.levels, (seed, index), run)
                drawn.append(np.maximum(_dose(plan, prior, region) + about, 0))
        if calibration := Calibration.from_card(model.card):
            drawn = calibration.applied(drawn, dose_gy, region)
    with run.stage("Finishing"):
        dose, prior_gy = (_on_case(volume, region, case) for volume in (dose_gy, prior.dose_gy))
        plans = tuple(_on_case(plan_gy, region, case) for plan_gy in drawn)
        spread = np.std(plans, axis=0, dtype=np.float32) if plans else None
        changes = metric_changes(case, _on_case(free_gy, region, case), dose) if goals else ()
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
        stage_seconds=_rounded(run.seconds),
        warnings=_doubts(model, region, encoded.features),
        is_deliverable=is_deliverable,
        deliverability=gap,
    )
    prediction = Prediction(dose, prior_gy, plans, spread, provenance, changes)
    if on_dose is not None:
        on_dose(prediction)
    if gap is None:
        _, gap = _fitted(dose_gy, region, traced, prior, planned, run)
    return replace(prediction, provenance=replace(provenance, stage_seconds=_rounded(run.seconds), deliverability=gap))


@dataclass(frozen=True, eq=False)
class _Encoded:
    """The condition of a case, the shape (batch, 1, z, y, x) of what is denoised, and what the case is like.

    `channels` (channels, z, y, x) are not padded.
    """

    condition: Condition
    shape: tuple[int, ...]
    features: Features
    channels: torch.Tensor


def _encoded(
    network: ADDiffDose, region: PlanningRegion, prior: PhysicsPrior, case: PlanCase, goals: Sequence[DoseGoal], device: torch.device
) -> _Encoded:
    channels, plan = volume_channels(region, prior), plan_tokens(region, case.beams)
    volumes = padded(torch.from_numpy(channels))[None].to(device)
    tokens = torch.from_numpy(np.concatenate([plan, goal_tokens(goals)]))[None].to(device)
    return _Encoded(network.condition(volumes, tokens), (1, 1, *volumes.shape[2:]), features(channels, plan), torch.from_numpy(channels))


def _planned(
    network: ADDiffDose, channels: torch.Tensor, region: PlanningRegion, traced: TracedBeams, prior: PhysicsPrior, device: torch.device
) -> PlannedDose | None:
    """What the beam planners plan; None for weighted beams, as they have learnt plans whose beams weigh alike."""
    if prior.shares is not None:
        return None
    scene = beam_scene(traced, region.prescription_map_gy, prior.beamlets, region.grid.voxel_volume_mm3)
    return planned_dose(network.planners, channels, traced, scene, device)


def _check_goals(goals: Sequence[DoseGoal], region: PlanningRegion) -> None:
    for goal in goals:
        if goal.organ not in region.organs:
            raise CaseError(f"The goal '{goal}' is for an organ that the case has not; give one of {', '.join(sorted(region.organs)) or 'none'}.")


def _prior(case: PlanCase, region: PlanningRegion, cache: PredictionCache, run: Run) -> tuple[TracedBeams, PhysicsPrior]:
    with run.stage("Physics prior"):
        traced = trace_beams(case, region, on_beam=lambda done: run.report(0.6 * done / len(case.fields)), cache=cache.traces)
        prior = cache.recall(
            "prior",
            case.digest,
            lambda: physics_prior(region, traced, on_iteration=lambda done: run.report(min(0.6 + 0.4 * done / PLAN_ITERATIONS, 1.0))),
        )
    return traced, prior


def _fitted(
    dose_gy: Volume, region: PlanningRegion, traced: TracedBeams, prior: PhysicsPrior, planned: PlannedDose | None, run: Run
) -> tuple[Mimicked, Deliverability]:
    """What the beams can give of the dose, and how far that is from it."""
    with run.stage("Fitting the beams"):
        fitted = fit_dose(
            traced,
            region,
            dose_gy,
            start=planned.beamlets if planned else prior.beamlets,
            shares=prior.shares,
            on_iteration=lambda done: run.report(min(done / ITERATIONS, 1.0)),
        )
        return fitted, deliverability(dose_gy, fitted, region.body)


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(spent, 3) for name, spent in seconds.items()}


def _sampled(network: diffusion.Network, mean: torch.Tensor, levels: diffusion.NoiseLevels, seed: tuple[int, int], run: Run) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    before = seed[1] * SAMPLING_STEPS
    return diffusion.sample(network, mean, levels, SAMPLING_STEPS, generator, on_step=lambda done: run.report(before + done))


def _expected(network: ADDiffDose, encoded: _Encoded) -> torch.Tensor:
    """The residual that the denoiser expects."""
    return diffusion.expected(network.bound(encoded.condition), encoded.shape, network.levels, encoded.condition.context.device)


def _dose(residual: torch.Tensor, prior: PhysicsPrior, region: PlanningRegion) -> Volume:
    """The dose on the region's grid of a residual on its padded grid."""
    depth, height, width = region.grid.shape
    correction = residual[0, 0, :depth, :height, :width].float().cpu().numpy() * diffusion.RESIDUAL_SCALE_GY
    if not np.isfinite(correction).all():
        raise FloatingPointError("The network returned values that are not numbers; the model does not fit this case.")
    return np.where(region.body, np.maximum(prior.dose_gy + correction, 0), 0).astype(np.float32)


def _on_case(dose_gy: Volume, region: PlanningRegion, case: PlanCase) -> Volume:
    return np.where(case.body, np.maximum(onto_case_grid(dose_gy, region, case), 0), 0).astype(np.float32)


@contextmanager
def _autocast(device: torch.device, precision: torch.dtype) -> Iterator[None]:
    with torch.inference_mode(), torch.autocast(device.type, precision, enabled=precision is not torch.float32):
        yield


def _doubts(model: Bundle, region: PlanningRegion, case: Features) -> list[str]:
    """What of the case is unlike the training cases, in sentences."""
    experience = experience_from_card(model.card)
    if experience is None:
        return ["The model's card does not say what it was trained on; nobody checks whether this case is like it."]
    return experience.doubts(case, sorted(set(region.organs) - set(ORGANS)))
