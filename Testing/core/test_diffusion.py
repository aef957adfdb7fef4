"""Noise levels and sampler, held against a distribution whose best denoiser is known in closed form."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from dose_prediction.model import diffusion
from dose_prediction.model.diffusion import NoiseLevels

MEAN, SPREAD = 0.7, 0.3
LEVELS = NoiseLevels(data=0.5)
CPU = torch.device("cpu")


def gaussian_network(noisy_scaled: Tensor, code: Tensor) -> Tensor:
    """The network whose denoiser is the best one for x ~ N(MEAN, SPREAD^2): (SPREAD^2 x + sigma^2 MEAN) / (SPREAD^2 + sigma^2)."""
    if float(code[0]) == diffusion.EXPECTED_CODE:
        return torch.full_like(noisy_scaled, MEAN / LEVELS.data)
    sigma = (4 * code).exp().view(-1, 1, 1, 1, 1)
    total = (sigma**2 + LEVELS.data**2).sqrt()
    x = noisy_scaled * total
    best = (SPREAD**2 * x + sigma**2 * MEAN) / (SPREAD**2 + sigma**2)
    return (best - LEVELS.data**2 / total**2 * x) / (sigma * LEVELS.data / total)


def test_the_expected_value_is_the_mean() -> None:
    assert torch.allclose(diffusion.expected(gaussian_network, (1, 1, 2, 2, 2), LEVELS, CPU), torch.tensor(MEAN))


@pytest.mark.parametrize("steps", [8, 24])
def test_samples_have_the_mean_and_the_spread_of_the_distribution(steps: int) -> None:
    x = diffusion.sample(gaussian_network, torch.full((1, 1, 64, 64, 64), MEAN), LEVELS, steps, torch.Generator().manual_seed(0))
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(x.std()) == pytest.approx(SPREAD, rel=0.15 if steps == 8 else 0.06)


def test_a_seed_gives_the_same_sample_and_another_seed_another() -> None:
    def draw(seed: int) -> Tensor:
        return diffusion.sample(gaussian_network, torch.full((1, 1, 8, 8, 8), MEAN), LEVELS, 4, torch.Generator().manual_seed(seed))

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


def test_noise_is_smooth_and_of_variance_one() -> None:
    noise = diffusion.draw_noise((1, 1, 96, 96, 96), torch.Generator().manual_seed(0))
    assert float(noise.mean()) == pytest.approx(0.0, abs=0.03)
    assert float(noise.square().mean()) == pytest.approx(1.0, abs=0.03)
    assert float((noise[..., 1:] - noise[..., :-1]).square().mean()) < 0.2  # white noise has 2


def test_levels_fall_from_the_highest_to_the_lowest_and_then_to_zero() -> None:
    schedule = LEVELS.schedule(10)
    assert schedule[0] == pytest.approx(LEVELS.highest)
    assert schedule[-2] == pytest.approx(LEVELS.lowest)
    assert schedule[-1] == 0
    assert all(later < earlier for earlier, later in pairwise(schedule))


def test_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="denoising steps is 0"):
        LEVELS.schedule(0)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0])
def test_an_untrained_network_has_the_same_loss_at_every_level(sigma: float) -> None:
    # EDM's weighting: with the network's output zero, the weighted squared error of data of the assumed spread is 1.
    generator = torch.Generator().manual_seed(1)
    clean = LEVELS.data * torch.randn((1, 1, 64, 64, 64), generator=generator)
    level = torch.tensor([sigma])
    noisy = clean + level * diffusion.draw_noise(tuple(clean.shape), generator)
    answer = diffusion.denoised(lambda x, code: torch.zeros_like(x), noisy, level, LEVELS)
    assert float((LEVELS.loss_weight(level) * (answer - clean).square()).mean()) == pytest.approx(1.0, abs=0.03)


def test_stopping_in_a_step_stops_the_sampler() -> None:
    class Stop(Exception):
        pass

    def stop(done: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        diffusion.sample(gaussian_network, torch.zeros((1, 1, 8, 8, 8)), LEVELS, 4, torch.Generator(), on_step=stop)
