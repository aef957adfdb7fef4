"""Diffusion of the dose given the prior: noise levels, preconditioning, loss weighting and sampler, apart from the network.

What is diffused is the residual: x = (dose - prior) / RESIDUAL_SCALE_GY.  Noise levels, preconditioning and sampler follow Karras, Aittala, Aila and
Laine, "Elucidating the design space of diffusion-based generative models" (EDM, 2022).  At an infinite noise level the noisy input says nothing, so
that the denoiser's answer is the expected dose of the plan; it is asked there with an empty input, and one step is enough.

The noise is smooth, of about the width at which plausible plans differ: two plans never differ by white noise, and a network of this size would spend
itself on removing it.  Equations hold for noise of any covariance C: the flow's slope -sigma C grad log p is (x - expected x) / sigma whatever C is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

RESIDUAL_SCALE_GY = 10.0
EXPECTED_CODE = 4.0  # the noise code of the infinite level, well above that of `highest`
NOISE_VOXELS = 4  # spacing of the lattice on which noise is drawn, in voxels of the dose
# Brings the mean variance of interpolated noise back to 1: along an axis the weights are 7/8 and 1/8, or 5/8 and 3/8.
NOISE_GAIN = ((50 + 34) / 128) ** -1.5

# (noisy dose, noise code (batch,)) -> network output; a denoiser with its condition bound
Network = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class NoiseLevels:
    """The range of noise levels (standard deviations of x) and how training and sampling walk through it."""

    data: float = 0.5  # standard deviation of x itself
    lowest: float = 0.02
    highest: float = 8.0
    curvature: float = 7.0  # rho of EDM
    log_mean: float = -0.8
    log_spread: float = 1.3

    def schedule(self, steps: int) -> list[float]:
        """`steps` levels from `highest` down to `lowest`, then 0 (EDM, equation 5)."""
        if steps < 1:
            raise ValueError(f"Number of denoising steps is {steps}; give at least 1.")
        high, low = self.highest ** (1 / self.curvature), self.lowest ** (1 / self.curvature)
        fractions = [i / (steps - 1) for i in range(steps)] if steps > 1 else [0.0]
        return [(high + fraction * (low - high)) ** self.curvature for fraction in fractions] + [0.0]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Levels (count,) for training, log-normal (EDM, table 1)."""
        return (self.log_mean + self.log_spread * torch.randn(count, generator=generator)).exp()

    def loss_weight(self, level: Tensor) -> Tensor:
        """Weight of the squared error at each level, so that all levels weigh the same at the start (EDM, equation 8)."""
        return (level**2 + self.data**2) / (level * self.data) ** 2


def draw_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Smooth Gaussian noise (batch, 1, z, y, x) of mean variance 1, on the CPU; axes are multiples of `NOISE_VOXELS`."""
    # A lattice wider by one point on every side, so that the variance at the faces is that of the middle.
    coarse = torch.randn((*shape[:2], *(size // NOISE_VOXELS + 2 for size in shape[2:])), generator=generator)
    fine = torch.nn.functional.interpolate(coarse, scale_factor=NOISE_VOXELS, mode="trilinear", align_corners=False)
    inner = slice(NOISE_VOXELS, -NOISE_VOXELS)
    return NOISE_GAIN * fine[:, :, inner, inner, inner]


def denoised(network: Network, noisy: Tensor, level: Tensor, levels: NoiseLevels) -> Tensor:
    """The expected x given the noisy x (batch, 1, z, y, x) at `level` (batch,) (EDM, equation 7)."""
    sigma = level.view(-1, 1, 1, 1, 1)
    total = (sigma**2 + levels.data**2).sqrt()
    skip = levels.data**2 / total**2
    return skip * noisy + (sigma * levels.data / total) * network(noisy / total, level.log() / 4).float()


def expected(network: Network, shape: tuple[int, ...], levels: NoiseLevels, device: torch.device) -> Tensor:
    """The expected x when nothing is known but the condition: the limit of `denoised` at an infinite level, with an empty input."""
    empty = torch.zeros(shape, device=device)
    return levels.data * network(empty, torch.full((shape[0],), EXPECTED_CODE, device=device)).float()


def sample(
    network: Network,
    mean: Tensor,
    levels: NoiseLevels,
    steps: int,
    generator: torch.Generator,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """One draw of x by Heun's second-order method (EDM, algorithm 1), from noise about `mean`, which is what `expected` answered.

    Starting about the mean instead of about zero lets the highest level be low: the few steps go where something is decided.  Noise is drawn on the
    CPU, so that a seed gives the same noise on every device.  `on_step` is called after each step and may raise to stop.
    """
    schedule = levels.schedule(steps)
    x = mean + schedule[0] * draw_noise(tuple(mean.shape), generator).to(mean.device)
    for i, (level, following) in enumerate(pairwise(schedule)):
        # At the highest level the noisy input carries nothing worth reading.
        clean = mean if i == 0 else denoised(network, x, _batch(level, x), levels)
        slope = (x - clean) / level
        proposal = x + (following - level) * slope
        if following > 0:
            clean = denoised(network, proposal, _batch(following, x), levels)
            slope = 0.5 * (slope + (proposal - clean) / following)
            proposal = x + (following - level) * slope
        x = proposal
        if on_step is not None:
            on_step(i + 1)
    return x


def _batch(level: float, like: Tensor) -> Tensor:
    return torch.full((like.shape[0],), level, device=like.device)
