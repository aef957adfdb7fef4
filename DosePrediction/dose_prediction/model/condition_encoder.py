"""The condition encoder: digests CT, prior, masks and plan once a case, whatever the number of denoising steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from dose_prediction.model.condition import CHANNELS, FIRST_MOMENT, TOKEN_SIZE
from dose_prediction.model.layers import Attention, ResidualBlock, downsample, position_code


@dataclass(frozen=True, eq=False)
class Condition:
    """What the denoiser is given.

    Feature volumes at 1/2, 1/4, 1/8 and 1/16 of the resolution, context tokens (batch, n, channels), and doses to compose the answer of: prior and
    open fields (batch, 2, z, y, x), and the moments of both (batch, MOMENTS, z/2, y/2, x/2).
    """

    features: tuple[Tensor, ...]
    context: Tensor
    doses: Tensor
    moments: Tensor


DOSES = slice(CHANNELS.index("prior"), CHANNELS.index("open_field") + 1)
MOMENTS = len(CHANNELS) - FIRST_MOMENT


class ConditionEncoder(nn.Module):
    """Volumes through a residual pyramid; plan tokens and the CT's latent through self-attention to one list of context tokens."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...], context: int, latent: int, beam_moments: bool) -> None:
        super().__init__()
        self.stem = nn.Conv3d(FIRST_MOMENT, widths[0], 2, stride=2)
        # The moments, which are smooth, come in at half the resolution; so many do not pass through the first level unharmed, hence the second.
        self.moments_in = nn.ModuleList(nn.Conv3d(MOMENTS, widths[i], i + 1, stride=i + 1, bias=False) for i in range(2 if beam_moments else 0))
        self.levels = nn.ModuleList(nn.ModuleList(ResidualBlock(width) for _ in range(count)) for width, count in zip(widths, blocks, strict=True))
        self.downs = nn.ModuleList(downsample(fine, coarse) for fine, coarse in pairwise(widths))
        self.plan_in = nn.Sequential(nn.Linear(TOKEN_SIZE, context), nn.SiLU(), nn.Linear(context, context))
        self.latent_in = nn.Linear(latent, context)
        self.mix = Attention(context, context)

    def forward(self, volumes: Tensor, ct_latent: Tensor, tokens: Tensor) -> Condition:
        """`volumes` (batch, channels, z, y, x), `ct_latent` (batch, latent, z/16, y/16, x/16), `tokens` (batch, n, TOKEN_SIZE)."""
        h = self.stem(volumes[:, :FIRST_MOMENT].contiguous(memory_format=torch.channels_last_3d))
        moments = nn.functional.avg_pool3d(volumes[:, FIRST_MOMENT:], 2)
        features = []
        for i, level in enumerate(self.levels):
            if i:
                h = self.downs[i - 1](h)
            if i < len(self.moments_in):
                h = h + self.moments_in[i](moments.contiguous(memory_format=torch.channels_last_3d))
            for block in cast(nn.ModuleList, level):
                h = block(h)
            features.append(h)
        shape = (ct_latent.shape[2], ct_latent.shape[3], ct_latent.shape[4])
        anatomy = self.latent_in(ct_latent.flatten(2).transpose(1, 2))
        anatomy = anatomy + position_code(shape, anatomy.shape[-1], anatomy.device)
        context = self.mix(torch.cat([self.plan_in(tokens), anatomy], dim=1))
        return Condition(tuple(features), context, volumes[:, DOSES], moments)
