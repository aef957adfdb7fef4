"""One short training at half resolution with parts of the design left out or exchanged, and how good its answers are.

The loop is that of `dose_prediction.training` in miniature: the same network, loss terms, poses, order of draws and learning rates, in float32 on one
thread.  What a `Recipe` exchanges stands here and not in the product.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dose_prediction.model import condition, diffusion
from dose_prediction.model.autoencoder import CTAutoencoder
from dose_prediction.model.condition import CHANNELS, DOSE_SCALE_GY, mirrored_channels, mirrored_tokens, padded
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY, Network, NoiseLevels
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.training.augmentation import draw_pose, posed_channels, posed_tokens, posed_volumes
from dose_prediction.training.dataset import TrainingCase, structures_in
from dose_prediction.training.loop import follow, schedule
from dose_prediction.training.losses import absolute_error, autoencoder_loss, dvh_error, squared_error
from dose_prediction.training.settings import TrainingSettings
from dose_prediction.training.validation import prior_gy, scores

PRIOR, BODY = CHANNELS.index("prior"), CHANNELS.index("body")
# The beam planner, which is left alone here, as small as it can be.
HALF_WIDTH = NetworkConfig(
    widths=(16, 32, 64, 96),
    autoencoder_widths=(8, 16, 32, 48),
    latent=16,
    planner_rounds=(1,),
    planner_volume_widths=(8, 8, 8),
    planner_map_widths=(8, 8),
)
AUTOENCODER_STEPS = 60
JUDGED_LEVELS = (0.25, 1.0, 4.0)  # of noise, in standard deviations of the residual / 10 Gy
DRAWN, DRAWN_CASES = 4, 4  # samples a case, and of how many cases
Denoised = Callable[[Network, Tensor, Tensor, NoiseLevels], Tensor]
Weights = dict[float, dict[str, Tensor]]


@dataclass(frozen=True)
class Recipe:
    """The design, where nothing is given."""

    seed: int = 0
    cases: int = 1000  # at most so many to train on
    emptied: tuple[str, ...] = ()  # channels that are zero
    prior_is_base: bool = True  # what is learnt is the difference from the prior
    still: tuple[str, ...] = ()  # layers whose output stays zero
    squared: bool = False  # error of the expected dose
    kl_weight: float = 1e-3
    denoised: Denoised = diffusion.denoised
    levels: NoiseLevels = field(default_factory=NoiseLevels)
    white_noise: bool = False
    is_mirrored: bool = True
    is_refined: bool = False  # a second pass of the denoiser sees the first one's answer
    config: NetworkConfig = HALF_WIDTH
    settings: TrainingSettings = field(default_factory=lambda: TrainingSettings(average_decay=0.98))

    @property
    def noise_levels(self) -> NoiseLevels:
        """A whole dose is wider spread than a residual."""
        return self.levels if self.prior_is_base else replace(self.levels, data=2.5)


@dataclass(frozen=True)
class Measured:
    """What a recipe reached on the validation cases, in Gy, and the processor time of a step.

    `denoised_gy` are errors of the denoised dose at `JUDGED_LEVELS`; `drawn_gy` is the dose score of the mean of some samples.
    """

    dose_score_gy: float
    dvh_score_gy: float
    denoised_gy: tuple[float, ...]
    drawn_gy: float
    step_ms: float
    commit: str = ""


def measured(recipe: Recipe, cases: Sequence[TrainingCase], held_out: Sequence[TrainingCase], steps: int, autoencoders: Weights) -> Measured:
    """Train the recipe for `steps` and judge it; CT autoencoders are taken from `autoencoders`, by their KL weight, and added to them."""
    with _exchanged(recipe):
        if recipe.kl_weight not in autoencoders:
            autoencoders[recipe.kl_weight] = trained_autoencoder(cases, recipe)
        start = time.process_time()
        network = _trained(recipe, cases[: recipe.cases], steps, autoencoders[recipe.kl_weight])
        step_ms = (time.process_time() - start) / steps * 1000
        return _judged(recipe, network.eval(), held_out, step_ms)


@contextmanager
def _exchanged(recipe: Recipe) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(patch.object(condition, "SMALLEST", condition.MULTIPLE))  # float32 needs no more
        stack.enter_context(patch.object(diffusion, "denoised", recipe.denoised))
        if recipe.white_noise:
            stack.enter_context(patch.object(diffusion, "draw_noise", lambda shape, generator: torch.randn(shape, generator=generator)))
        if recipe.is_refined:
            stack.enter_context(patch.object(diffusion, "expected", expected_in_two_passes))
        yield


def expected_in_two_passes(network: Network, shape: tuple[int, ...], levels: NoiseLevels, device: torch.device) -> Tensor:
    """The expected x, improved by a pass that is shown it."""
    first = levels.data * network(torch.zeros(shape, device=device), torch.full((shape[0],), diffusion.EXPECTED_CODE))
    return first + levels.data * network(first / levels.data, torch.full((shape[0],), diffusion.EXPECTED_CODE / 2))


def denoised_from_noise(network: Network, noisy: Tensor, level: Tensor, levels: NoiseLevels) -> Tensor:
    """Epsilon-prediction: the network answers what the noise is."""
    sigma = level.view(-1, 1, 1, 1, 1)
    return noisy - sigma * network(noisy / (sigma**2 + levels.data**2).sqrt(), level.log() / 4).float()


def denoised_at_once(network: Network, noisy: Tensor, level: Tensor, levels: NoiseLevels) -> Tensor:
    """x0-prediction: the network answers the clean x."""
    sigma = level.view(-1, 1, 1, 1, 1)
    return levels.data * network(noisy / (sigma**2 + levels.data**2).sqrt(), level.log() / 4).float()


@dataclass(frozen=True)
class EvenNoiseWeight(NoiseLevels):
    """Every level's squared error of the noise weighs the same, as in DDPM."""

    def loss_weight(self, level: Tensor) -> Tensor:
        return level**-2


@dataclass(frozen=True)
class EvenDoseWeight(NoiseLevels):
    """Every level's squared error of the dose weighs the same."""

    def loss_weight(self, level: Tensor) -> Tensor:
        return torch.full_like(level, self.data**-2)


@dataclass(frozen=True)
class LinearSchedule(NoiseLevels):
    """Levels as those of DDPM: T = 1000, beta from 1e-4 to 0.02, every step drawn as often."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
        return self.data * ((1 - kept) / kept).sqrt()[torch.randint(1000, (count,), generator=generator)]


def _trained(recipe: Recipe, cases: Sequence[TrainingCase], steps: int, autoencoder: dict[str, Tensor]) -> ADDiffDose:
    torch.manual_seed(recipe.seed)
    network = ADDiffDose(recipe.config, recipe.noise_levels)
    for name in recipe.still:
        for parameter in network.get_submodule(name).parameters():
            torch.nn.init.zeros_(parameter).requires_grad_(False)
    order = [int(i) for epoch in range(steps // len(cases) + 1) for i in np.random.default_rng([recipe.seed, epoch]).permutation(len(cases))]
    network.autoencoder.load_state_dict(autoencoder)
    network.autoencoder.requires_grad_(False)
    average = copy.deepcopy(network).requires_grad_(False)
    settings = replace(recipe.settings, steps=steps, warm_up=max(1, steps // 10))
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(step, settings)
        _loss(recipe, network, cases[order[step]], torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        follow(average, network, min(settings.average_decay, (1 + step) / (10 + step)))
    return average


def trained_autoencoder(cases: Sequence[TrainingCase], recipe: Recipe) -> dict[str, Tensor]:
    """Weights of the recipe's CT autoencoder after a short training."""
    torch.manual_seed(0)
    network = CTAutoencoder(recipe.config.autoencoder_widths, recipe.config.latent)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for step in range(AUTOENCODER_STEPS):
        ct = padded(torch.from_numpy(cases[step % len(cases)].volumes[:1]).float())[None]
        reconstruction, divergence = network(ct)
        autoencoder_loss(reconstruction, ct, divergence, recipe.kl_weight).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return network.state_dict()


def _loss(recipe: Recipe, network: ADDiffDose, case: TrainingCase, generator: torch.Generator) -> Tensor:
    """As `TrainingStep.forward`, without goals."""
    settings, levels = recipe.settings, network.levels
    volumes, residual, tokens = torch.from_numpy(case.volumes).float(), torch.from_numpy(case.residual).float(), torch.from_numpy(case.tokens)
    mirror, expected, pose_it = torch.rand(3, generator=generator).tolist()
    voxel_mm3 = case.voxel_mm3
    if recipe.is_mirrored and mirror < 0.5:
        volumes, residual, tokens = mirrored_channels(volumes), residual.flip(-1), mirrored_tokens(tokens)
    if pose_it < settings.posed_share:
        pose = draw_pose(tokens, generator)
        volumes, residual, tokens = posed_channels(volumes, pose), posed_volumes(residual[None], pose)[0], posed_tokens(tokens, pose)
        voxel_mm3 /= pose.zoom**2
    base, wanted = _base_and_wanted(recipe, volumes, residual)
    body = volumes[BODY] > 0.5
    denoiser, shape = _bound(recipe, network, volumes, tokens)
    if expected < settings.expected_share:
        answer = _cropped(diffusion.expected(denoiser, shape, levels, torch.device("cpu")), residual)
        error = squared_error(answer, wanted, body, torch.tensor(1.0)) if recipe.squared else absolute_error(answer, wanted, body)
        if not settings.dvh_weight:
            return error
        return error + settings.dvh_weight * dvh_error((base + answer).flatten(), (base + wanted).flatten(), structures_in(volumes), voxel_mm3)
    level = levels.draw(1, generator)
    noisy = padded(wanted)[None, None] + level * diffusion.draw_noise(shape, generator)
    answer = _cropped(diffusion.denoised(denoiser, noisy, level, levels), residual)
    return settings.noise_weight * squared_error(answer, wanted, body, levels.loss_weight(level)[0])


def _base_and_wanted(recipe: Recipe, volumes: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """What the network's answer is added to and what it ought to be, in units of `RESIDUAL_SCALE_GY`."""
    prior = volumes[PRIOR] * (DOSE_SCALE_GY / RESIDUAL_SCALE_GY)
    return (prior, residual) if recipe.prior_is_base else (torch.zeros_like(prior), prior + residual)


def _bound(recipe: Recipe, network: ADDiffDose, volumes: Tensor, tokens: Tensor) -> tuple[Network, tuple[int, ...]]:
    """The denoiser with its condition, and the shape of what it denoises."""
    shown = padded(volumes)[None]
    for name in recipe.emptied:
        shown[:, CHANNELS.index(name)] = 0
    return network.bound(network.condition(shown, tokens[None])), (1, 1, *shown.shape[2:])


def _cropped(answer: Tensor, like: Tensor) -> Tensor:
    depth, height, width = like.shape
    return answer[0, 0, :depth, :height, :width]


@torch.inference_mode()
def _judged(recipe: Recipe, network: ADDiffDose, held_out: Sequence[TrainingCase], step_ms: float) -> Measured:
    expected, denoised, drawn = [], [], []
    for number, case in enumerate(held_out):
        volumes, residual = torch.from_numpy(case.volumes).float(), torch.from_numpy(case.residual).float()
        base, wanted = _base_and_wanted(recipe, volumes, residual)
        denoiser, shape = _bound(recipe, network, volumes, torch.from_numpy(case.tokens))
        mean = diffusion.expected(denoiser, shape, network.levels, torch.device("cpu"))
        expected.append((case, _dose_gy(base, mean)))
        generator = torch.Generator().manual_seed(number)
        noise = diffusion.draw_noise(shape, generator)
        clean = [
            diffusion.denoised(denoiser, padded(wanted)[None, None] + level * noise, torch.tensor([level]), network.levels) for level in JUDGED_LEVELS
        ]
        errors = [(_cropped(answer, wanted) - wanted)[case.body].abs().mean() * RESIDUAL_SCALE_GY for answer in clean]
        denoised.append(torch.stack(errors))
        if number < DRAWN_CASES:
            samples = [diffusion.sample(denoiser, mean, network.levels, 8, generator) for _ in range(DRAWN)]
            drawn.append((case, _dose_gy(base, torch.stack(samples).mean(0))))
    levels_gy = tuple(torch.stack(denoised).mean(0).tolist())
    return Measured(*scores(expected), levels_gy, scores(drawn)[0], step_ms)


def _dose_gy(base: Tensor, answer: Tensor) -> NDArray[np.float32]:
    return ((base + _cropped(answer, base)) * RESIDUAL_SCALE_GY).numpy()


def prior_scores(held_out: Sequence[TrainingCase]) -> tuple[float, float]:
    """Both scores of the prior alone."""
    return scores((case, prior_gy(case)) for case in held_out)
