"""Building blocks of the networks: residual blocks, resampling and attention over tokens."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class VoxelNorm(nn.Module):
    """Layer normalisation over the channels of each voxel, or beamlet: what else is in the volume changes nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (batch, channels, ...), fastest where channels come last in memory."""
        last = x.movedim(1, -1)
        return nn.functional.layer_norm(last, last.shape[-1:], self.weight.to(x.dtype), self.bias.to(x.dtype)).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """Group normalisation, then two 3 x 3 x 3 convolutions; an embedding, where there is one, scales and shifts the normalised input (FiLM).

    One normalisation a block: on a CPU it costs nearly as much as a convolution.
    """

    def __init__(self, channels: int, embedding: int = 0) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels) if embedding else None
        # A block begins as nothing, so that a trained network may be given more of them.
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(cast(Tensor, self.conv2.bias))

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        h = self.norm(x)
        if self.modulation is not None and embedding is not None:
            scale, shift = self.modulation(embedding)[:, :, None, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return x + self.conv2(nn.functional.silu(self.conv1(nn.functional.silu(h))))


def downsample(channels_in: int, channels_out: int) -> nn.Conv3d:
    """Halves every axis."""
    return nn.Conv3d(channels_in, channels_out, 2, stride=2)


def upsample(channels_in: int, channels_out: int) -> nn.ConvTranspose3d:
    """Doubles every axis."""
    return nn.ConvTranspose3d(channels_in, channels_out, 2, stride=2)


class Attention(nn.Module):
    """Multi-head attention of queries (batch, n, channels) to a context (batch, m, context channels), added to the queries.

    Queries and keys are brought to one length (Dehghani et al., "Scaling vision transformers to 22 billion parameters", 2023): without it, in a long
    training on few patients, attention hardens to a look-up of single tokens, which remembers patients and whose gradients are noise.  In float32
    whatever surrounds it, as those gradients are small differences of large numbers.
    """

    def __init__(self, channels: int, context_channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(context_channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            normed = self.norm(x.float())
            query = self._split(self.query(normed))  # (batch, heads, n, channels / heads)
            key, value = (self._split(part) for part in self.key_value(normed if context is None else context.float()).chunk(2, dim=-1))
            attended = nn.functional.scaled_dot_product_attention(_of_one_length(query), _of_one_length(key), value)
            return x + self.out(attended.transpose(1, 2).flatten(2)).to(x.dtype)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _of_one_length(x: Tensor) -> Tensor:
    """Vectors (..., size) of root mean square 1."""
    return nn.functional.normalize(x, dim=-1) * x.shape[-1] ** 0.5


def sinusoids(values: Tensor, size: int, longest: float) -> Tensor:
    """Sines and cosines (..., size) of `values` (...) at wavelengths from 2 pi to 2 pi times `longest`, geometrically spaced."""
    frequencies = longest ** -torch.linspace(0, 1, size // 2, device=values.device)
    phases = values[..., None].float() * frequencies
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


def position_code(shape: tuple[int, int, int], size: int, device: torch.device) -> Tensor:
    """Positions of a (z, y, x) lattice relative to its centre, coded for attention: (z * y * x, size); `size` divides by 6."""
    axes = [torch.arange(n, device=device) - (n - 1) / 2 for n in shape]
    lattice = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 2)
    return sinusoids(lattice, size // 3, 20.0).flatten(1)
