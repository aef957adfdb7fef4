"""The denoiser: a U-Net on the noisy dose that reads the case from the condition encoder's features and attends to CT latent and plan tokens.

What it could draw only with pains it composes: it may weight the beams' doses anew, by direction and place, with weights that vary as slowly as
fluence does; the streaks are those of the physics.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from dose_prediction.model.condition_encoder import MOMENTS, Condition
from dose_prediction.model.layers import Attention, ResidualBlock, downsample, position_code, sinusoids, upsample


class Denoiser(nn.Module):
    """Maps a noisy dose, its noise level and a condition to the network's output, of the shape of the dose (batch, 1, z, y, x)."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], context: int, beam_moments: bool, embedding: int = 128) -> None:
        super().__init__()
        self.embedding = embedding
        self.noise_in = nn.Sequential(nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU())
        self.stem = nn.Conv3d(1, widths[0], 2, stride=2)
        self.downs = nn.ModuleList(downsample(fine, coarse) for fine, coarse in pairwise(widths))
        self.to_plan = Attention(widths[-1], context)
        self.to_itself = Attention(widths[-1], widths[-1])
        self.levels = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width, embedding) for _ in range(count)) for width, count in zip(widths, blocks, strict=True)
        )
        self.ups = nn.ModuleList(upsample(coarse, fine) for fine, coarse in pairwise(widths))
        self.out_norm = nn.GroupNorm(8, widths[0])
        self.out = nn.ConvTranspose3d(widths[0], 1, 2, stride=2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias if self.out.bias is not None else torch.zeros(1))
        self.composition = Composition(widths[1]) if beam_moments else None

    def forward(self, noisy: Tensor, noise_code: Tensor, condition: Condition) -> Tensor:
        """`noise_code` (batch,) is what `diffusion` makes of the noise level."""
        embedding = self.noise_in(sinusoids(100.0 * noise_code, self.embedding, 1e4).to(noisy.dtype))
        h = self.stem(noisy) + condition.features[0]
        skips = [h]
        for down, feature in zip(self.downs, condition.features[1:], strict=True):
            h = down(h) + feature
            skips.append(h)
        h = self._attend(skips.pop(), condition.context)
        composed: Tensor | float = 0.0
        for i in reversed(range(len(self.levels))):
            if i < len(self.ups):
                h = self.ups[i](h) + skips.pop()
            for block in cast(nn.ModuleList, self.levels[i]):
                h = block(h, embedding)
            if i == 1 and self.composition is not None:
                composed = self.composition(h, condition)
        return self.out(nn.functional.silu(self.out_norm(h))) + composed

    def _attend(self, h: Tensor, context: Tensor) -> Tensor:
        batch, channels, *shape = h.shape
        tokens = h.flatten(2).transpose(1, 2)
        tokens = tokens + position_code((shape[0], shape[1], shape[2]), channels, h.device).to(h.dtype)
        tokens = self.to_itself(self.to_plan(tokens, context))
        return tokens.transpose(1, 2).reshape(batch, channels, *shape)


class Composition(nn.Module):
    """A dose composed of the beams: weights for prior, open fields and the moments of both, at 1/4 of the resolution; zero when untrained."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.weights = nn.Conv3d(channels, 2 + MOMENTS, 1)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(cast(Tensor, self.weights.bias))

    def forward(self, h: Tensor, condition: Condition) -> Tensor:
        """`h` (batch, channels, z/4, y/4, x/4); returns (batch, 1, z, y, x)."""
        weights = self.weights(nn.functional.silu(self.norm(h))).float().contiguous()  # interpolated three times faster in this layout
        fine = (_finer(weights[:, :2], 4) * condition.doses).sum(1, keepdim=True)
        smooth = (_finer(weights[:, 2:], 2) * condition.moments).sum(1, keepdim=True)
        return fine + _finer(smooth, 2)


def _finer(volumes: Tensor, factor: int) -> Tensor:
    return nn.functional.interpolate(volumes, scale_factor=factor, mode="trilinear")
