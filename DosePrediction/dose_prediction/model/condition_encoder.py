"""The condition encoder: digests CT, prior, masks and plan once a case, whatever the number of denoising steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from dose_prediction.model.condition import CHANNELS, TOKEN_SIZE
from dose_prediction.model.layers import Attention, ResidualBlock, downsample, position_code


@dataclass(frozen=True, eq=False)
class Condition:
    """What the denoiser is given: feature volumes at 1/2, 1/4, 1/8 and 1/16 of the resolution, and context tokens (batch, n, channels)."""

    features: tuple[Tensor, ...]
    context: Tensor


class ConditionEncoder(nn.Module):
    """Volumes through a residual pyramid; plan tokens and the CT's latent through self-attention to one list of context tokens."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], context: int, latent: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(len(CHANNELS), widths[0], 2, stride=2)
        self.levels = nn.ModuleList(nn.ModuleList(ResidualBlock(width) for _ in range(count)) for width, count in zip(widths, blocks, strict=True))
        self.downs = nn.ModuleList(downsample(fine, coarse) for fine, coarse in pairwise(widths))
        self.plan_in = nn.Sequential(nn.Linear(TOKEN_SIZE, context), nn.SiLU(), nn.Linear(context, context))
        self.latent_in = nn.Linear(latent, context)
        self.mix = Attention(context, context)

    def forward(self, volumes: Tensor, ct_latent: Tensor, tokens: Tensor) -> Condition:
        """`volumes` (batch, channels, z, y, x), `ct_latent` (batch, latent, z/16, y/16, x/16), `tokens` (batch, n, TOKEN_SIZE)."""
        h = self.stem(volumes)
        features = []
        for i, level in enumerate(self.levels):
            if i:
                h = self.downs[i - 1](h)
            for block in cast(nn.ModuleList, level):
                h = block(h)
            features.append(h)
        shape = (ct_latent.shape[2], ct_latent.shape[3], ct_latent.shape[4])
        anatomy = self.latent_in(ct_latent.flatten(2).transpose(1, 2))
        anatomy = anatomy + position_code(shape, anatomy.shape[-1], anatomy.device)
        context = self.mix(torch.cat([self.plan_in(tokens), anatomy], dim=1))
        return Condition(tuple(features), context)
