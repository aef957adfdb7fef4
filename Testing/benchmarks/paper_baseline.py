"""ADDiff-Dose close to how it was published (arXiv 2508.02043), small: latent diffusion of the whole dose, without a physics prior.

A variational autoencoder compresses the dose; with it frozen, a denoiser in its latent space predicts the noise (DDPM, T = 1000, beta from 1e-4 to
0.02) under conditions: CT, body, targets and organs through strided convolutions, the plan's tokens through attention.  Its loss is the squared error
of the noise, and half the violated clinical goals of the decoded dose, of organs that are there.  Samples are drawn by DDIM in 20 steps.

Other than as published: the denoiser has four residual blocks of 128 channels at the latents' own size, which is too small for four levels;
one case a step; no mixup, patches or adversarial term; latents are scaled to unit variance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from short_training import DRAWN, DRAWN_CASES, Measured
from torch import Tensor, nn

from dose_prediction.model.autoencoder import CTAutoencoder
from dose_prediction.model.condition import CHANNELS, DOSE_SCALE_GY, FIRST_ORGAN, MULTIPLE, ORGANS, TOKEN_SIZE, mirrored_channels, mirrored_tokens
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.model.layers import Attention, ResidualBlock, sinusoids
from dose_prediction.training.dataset import TrainingCase
from dose_prediction.training.validation import prior_gy, scores

HIGHEST_GY = 90.0  # the decoder ends in a sigmoid
SHOWN = ("ct", "prescription", "body", *ORGANS)
KEPT = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)  # of the signal's variance after each step
SAMPLING_STEPS = 20
KL_WEIGHT, GOAL_WEIGHT = 1e-3, 0.5
LEAST_VOXELS = 5
AUTOENCODER_SHARE = 0.4  # of the processor time
WIDTH, EMBEDDING = 128, 128
# Limits of the paper's table: mean or maximum dose in Gy of an organ.
GOALS = {
    "SpinalCord": ("max", 45.0),
    "Brainstem": ("max", 54.0),
    "Parotid_R": ("mean", 26.0),
    "Parotid_L": ("mean", 26.0),
    "Esophagus": ("mean", 34.0),
    "Bone_Mandible": ("max", 60.0),
}


@dataclass(frozen=True)
class Baseline:
    """A latent voxel is 2 to the power of `halvings` voxels wide; the paper has four."""

    halvings: int = 4

    def autoencoder(self) -> CTAutoencoder:
        return CTAutoencoder((16, 32, 64, 128)[: self.halvings], 32)


class LatentDenoiser(nn.Module):
    """What the noise in a latent is, given the step (batch,), the condition's volumes and the plan's tokens."""

    def __init__(self, halvings: int, latent: int = 32) -> None:
        super().__init__()
        widths = (16, 32, 64, WIDTH)[4 - halvings :]
        down: list[nn.Module] = []
        for channels_in, channels_out in zip((len(SHOWN), *widths), widths, strict=False):
            down += [nn.Conv3d(channels_in, channels_out, 4, stride=2, padding=1), nn.GroupNorm(8, channels_out), nn.SiLU()]
        self.anatomy = nn.Sequential(*down)
        self.plan = nn.Sequential(nn.Linear(TOKEN_SIZE, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.step = nn.Sequential(nn.Linear(EMBEDDING, EMBEDDING), nn.SiLU())
        self.stem = nn.Conv3d(latent + WIDTH, WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(WIDTH, EMBEDDING) for _ in range(4))
        self.to_plan, self.to_itself = Attention(WIDTH, WIDTH), Attention(WIDTH, WIDTH)
        self.out = nn.Conv3d(WIDTH, latent, 3, padding=1)

    def forward(self, noisy: Tensor, step: Tensor, shown: Tensor, tokens: Tensor) -> Tensor:
        embedding = self.step(sinusoids(step, EMBEDDING, 1e4))
        h = self.stem(torch.cat([noisy, self.anatomy(shown)], 1))
        for i, block in enumerate(self.blocks):
            h = block(h, embedding)
            if i == 1:
                attended = self.to_itself(self.to_plan(h.flatten(2).transpose(1, 2), self.plan(tokens)))
                h = attended.transpose(1, 2).reshape(h.shape)
        return self.out(h)


@dataclass(frozen=True, eq=False)
class Shown:
    """A case as the baseline sees it: conditions (1, channels, z, y, x) and dose (1, 1, z, y, x) / HIGHEST_GY, on axes of multiples of 16."""

    volumes: Tensor
    dose: Tensor
    tokens: Tensor

    @classmethod
    def of(cls, case: TrainingCase, mirror: bool = False) -> Shown:
        volumes, dose = torch.from_numpy(case.volumes).float(), torch.from_numpy(_reference_gy(case)) / HIGHEST_GY
        tokens = torch.from_numpy(case.tokens)
        if mirror:
            volumes, dose, tokens = mirrored_channels(volumes), dose.flip(-1), mirrored_tokens(tokens)
        return cls(_padded(volumes)[None], _padded(dose)[None, None], tokens[None])

    @property
    def conditions(self) -> Tensor:
        return self.volumes[:, [CHANNELS.index(name) for name in SHOWN]]


def measured_baseline(baseline: Baseline, cases: Sequence[TrainingCase], held_out: Sequence[TrainingCase], seconds: float) -> Measured:
    """Both trainings within `seconds` of processor time, and the scores: of one sample as the expected dose, and of the mean of some."""
    torch.manual_seed(0)
    autoencoder, denoiser = baseline.autoencoder(), LatentDenoiser(baseline.halvings)
    _train(lambda case, _: _autoencoder_loss(autoencoder, case), autoencoder, cases, AUTOENCODER_SHARE * seconds, 1e-3)
    autoencoder.requires_grad_(False)
    spread = torch.stack([_latent(autoencoder, Shown.of(case)).std() for case in cases[:10]]).mean()
    start = time.process_time()
    steps = _train(
        lambda case, generator: _denoiser_loss(autoencoder, denoiser, case, spread, generator),
        denoiser,
        cases,
        (1 - AUTOENCODER_SHARE) * seconds,
        5e-4,
    )
    step_ms = 1000 * (time.process_time() - start) / steps
    with torch.inference_mode():
        through = scores((case, _dose_gy(autoencoder.decode(_latent(autoencoder, Shown.of(case))), case)) for case in held_out)
        print(f"The autoencoder alone, given the reference dose: {through[0]:.2f} / {through[1]:.2f} Gy")
        drawn = [[_dose_gy(_sampled(autoencoder, denoiser, case, spread, seed), case) for seed in range(DRAWN)] for case in held_out]
    dose, dvh = scores((case, plans[0]) for case, plans in zip(held_out, drawn, strict=True))
    mean = scores((case, np.mean(plans, axis=0)) for case, plans in zip(held_out[:DRAWN_CASES], drawn, strict=False))
    return Measured(dose, dvh, (), mean[0], step_ms)


def _train(loss_of, module: nn.Module, cases: Sequence[TrainingCase], seconds: float, learning_rate: float) -> int:  # type: ignore[no-untyped-def]
    """Steps of one case until the processor time is over, which the learning rate follows to zero; returns their number."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=learning_rate)
    order, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    start, steps = time.process_time(), 0
    while (gone := (time.process_time() - start) / seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * 0.5 * (1 + math.cos(math.pi * gone))
        loss_of(Shown.of(cases[order.integers(len(cases))], bool(order.random() < 0.5)), generator).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        steps += 1
    return steps


def _autoencoder_loss(autoencoder: CTAutoencoder, case: Shown) -> Tensor:
    reconstruction, divergence = autoencoder(case.dose)
    return (reconstruction.sigmoid() - case.dose).abs().mean() + KL_WEIGHT * divergence


def _denoiser_loss(autoencoder: CTAutoencoder, denoiser: LatentDenoiser, case: Shown, spread: Tensor, generator: torch.Generator) -> Tensor:
    clean = _latent(autoencoder, case) / spread
    step = torch.randint(len(KEPT), (1,), generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    kept = KEPT[step]
    noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    answer = denoiser(noisy, step, case.conditions, case.tokens)
    dose_gy = autoencoder.decode((noisy - (1 - kept).sqrt() * answer) / kept.sqrt() * spread).sigmoid() * HIGHEST_GY
    return (answer - noise).square().mean() + GOAL_WEIGHT * violated_goals(dose_gy[0, 0], case.volumes[0])


def violated_goals(dose_gy: Tensor, volumes: Tensor) -> Tensor:
    """Mean squared violation, in parts of 70 Gy, of D95 of the targets and of the goals of organs that are there."""
    violations = []
    prescription = volumes[CHANNELS.index("prescription")] * DOSE_SCALE_GY
    for level in prescription.unique():
        if level > 0:
            violations.append(torch.relu(level - dose_gy[prescription == level].quantile(0.05)))
    for organ, (metric, limit_gy) in GOALS.items():
        inside = dose_gy[volumes[FIRST_ORGAN + ORGANS.index(organ)] > 0.5]
        if len(inside) > LEAST_VOXELS:
            violations.append(torch.relu((inside.max() if metric == "max" else inside.mean()) - limit_gy))
    return (torch.stack(violations) / DOSE_SCALE_GY).square().mean()


def _sampled(autoencoder: CTAutoencoder, denoiser: LatentDenoiser, case: TrainingCase, spread: Tensor, seed: int) -> Tensor:
    """The decoder's answer for one sample by DDIM without added noise (Song, Meng and Ermon, 2021, equation 12)."""
    shown = Shown.of(case)
    size = _latent(autoencoder, shown).shape
    z = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    steps = torch.linspace(len(KEPT) - 1, 0, SAMPLING_STEPS).round().long()
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        noise = denoiser(z, step[None], shown.conditions, shown.tokens)
        clean = (z - (1 - KEPT[step]).sqrt() * noise) / KEPT[step].sqrt()
        kept = KEPT[following] if following is not None else torch.tensor(1.0)
        z = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    return autoencoder.decode(z * spread)


def _latent(autoencoder: CTAutoencoder, case: Shown) -> Tensor:
    return autoencoder.encode(case.dose)[0]


def _dose_gy(decoded: Tensor, case: TrainingCase) -> NDArray[np.float32]:
    depth, height, width = case.residual.shape
    return decoded.sigmoid()[0, 0, :depth, :height, :width].numpy() * np.float32(HIGHEST_GY)


def _reference_gy(case: TrainingCase) -> NDArray[np.float32]:
    return np.where(case.body, prior_gy(case) + case.residual.astype(np.float32) * RESIDUAL_SCALE_GY, 0).astype(np.float32)


def _padded(volumes: Tensor) -> Tensor:
    ends = [-size % MULTIPLE for size in volumes.shape[-3:]]
    return nn.functional.pad(volumes, (0, ends[2], 0, ends[1], 0, ends[0]))
