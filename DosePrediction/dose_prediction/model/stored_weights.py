"""Weights as a model's file holds them: 8 bits each, with a scale for every row of a matrix or kernel, so that 15 million take 15 MB.

Rounding to 1/127 of the largest weight of its row moves a predicted dose by about 0.03 Gy, as much as bfloat16 arithmetic does.  What has one axis
only (biases, normalisation) is kept in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"  # ends the name of the scales (rows, 1, ...) of the weights before it
LARGEST = 127


def packed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is written of `weights`.  Packing what was unpacked changes nothing more."""
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        values = tensor.detach().float().contiguous()
        if values.ndim < 2:
            stored[name] = values.half()
            continue
        largest = values.abs().amax(dim=tuple(range(1, values.ndim)), keepdim=True)
        scale = largest.clamp_min(torch.finfo(torch.float32).tiny * LARGEST) / LARGEST
        stored[name], stored[name + SCALE] = (values / scale).round().to(torch.int8), scale
    return stored


def unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights in float32, of a file in 8 bits or in half precision throughout.  Raises KeyError where weights lack their scales."""
    weights: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if tensor.dtype == torch.int8:
            weights[name] = tensor.float() * stored[name + SCALE]
        elif not name.endswith(SCALE):
            weights[name] = tensor.float()
    return weights
