"""What the denoiser composes of the beams' doses."""

from __future__ import annotations

from dataclasses import replace

import torch

from dose_prediction.model import diffusion
from dose_prediction.model.condition import CHANNELS, FIRST_MOMENT, TOKEN_SIZE
from dose_prediction.model.network import ADDiffDose
from tiny_model import TINY

SHAPE = (48, 48, 64)


def expected(network: ADDiffDose, volumes: torch.Tensor) -> torch.Tensor:
    condition = network.condition(volumes, torch.zeros(1, 2, TOKEN_SIZE))
    return diffusion.expected(network.bound(condition), (1, 1, *SHAPE), network.levels, torch.device("cpu"))


def random_volumes() -> torch.Tensor:
    return torch.rand(1, len(CHANNELS), *SHAPE, generator=torch.Generator().manual_seed(0))


def test_the_answer_may_be_composed_of_the_beams_doses() -> None:
    network, volumes = ADDiffDose(TINY), random_volumes()
    ramp = torch.linspace(0, 1, SHAPE[2]).expand(SHAPE)
    volumes[0, FIRST_MOMENT + 3] = ramp
    assert network.denoiser.composition is not None
    assert expected(network, volumes).abs().max() == 0  # a network that was not trained leaves the prior as it is
    bias = network.denoiser.composition.weights.bias
    with torch.no_grad():
        bias[0] = 0.5  # of the prior, which counts at full resolution
        bias[2 + 3] = -2.0  # of a moment, which is smooth
    wanted = 0.5 * volumes[:, [CHANNELS.index("prior")]] - 2.0 * ramp
    difference = expected(network, volumes) - network.levels.data * wanted
    assert difference[..., 2:-2].abs().max() < 1e-4  # at the faces, interpolation is flat


def test_a_network_without_moments_does_not_look_at_them() -> None:
    torch.manual_seed(1)
    network, volumes = ADDiffDose(replace(TINY, beam_moments=False)), random_volumes()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    other = volumes.clone()
    other[:, FIRST_MOMENT:] = 0
    assert torch.equal(expected(network, volumes), expected(network, other))
    other[:, 0] = 0
    assert not torch.equal(expected(network, volumes), expected(network, other))
