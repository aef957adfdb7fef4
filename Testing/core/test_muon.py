"""Muon against PyTorch's own, which knows matrices only, and against AdamW for what is no hidden layer."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from dose_prediction.training.muon import Muon, orthogonalised

RATE, DECAY = 0.01, 0.1


def steps_of(optimiser: torch.optim.Optimizer, parameter: nn.Parameter, gradients: list[Tensor]) -> Tensor:
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimiser.step()
    return parameter.detach()


def gradients_like(shape: tuple[int, ...], count: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("shape", [(24, 60), (60, 24)])
def test_a_matrix_goes_as_with_pytorch(shape: tuple[int, int]) -> None:
    ours = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    theirs = copy.deepcopy(ours)
    before = ours.detach().clone()
    gradients = gradients_like(shape)
    reference = torch.optim.Muon([theirs], lr=RATE, weight_decay=DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    found, wanted = steps_of(Muon([ours], [], RATE, DECAY), ours, gradients), steps_of(reference, theirs, gradients)
    moved = (wanted - before).abs().mean()
    assert (found - wanted).abs().mean() < 0.02 * moved  # both work in bfloat16


def test_a_kernel_goes_as_the_matrix_of_its_rows() -> None:
    kernel = nn.Parameter(torch.randn(8, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last_3d))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    gradients = gradients_like(kernel.shape)
    found = steps_of(Muon([kernel], [], RATE, DECAY), kernel, gradients)
    wanted = steps_of(Muon([matrix], [], RATE, DECAY), matrix, [gradient.flatten(1) for gradient in gradients])
    assert torch.allclose(found.flatten(1), wanted, atol=1e-3 * float(wanted.abs().max()))


def test_what_is_no_hidden_layer_goes_by_adamw() -> None:
    ours = nn.Parameter(torch.randn(7, generator=torch.Generator().manual_seed(0)))
    theirs = copy.deepcopy(ours)
    gradients = gradients_like((7,))
    reference = torch.optim.AdamW([theirs], lr=RATE, weight_decay=DECAY, betas=(0.9, 0.98))
    assert torch.allclose(steps_of(Muon([], [ours], RATE, DECAY), ours, gradients), steps_of(reference, theirs, gradients), atol=1e-6)


def test_every_direction_of_a_step_weighs_about_the_same() -> None:
    rare_and_common = torch.diag(torch.tensor([1.0, 1e-2, 3.0])) @ torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(rare_and_common).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("size", [1.0, 1e-6])
def test_a_gradient_of_few_directions_stays_bounded(size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    few = size * torch.randn(64, 2, generator=generator) @ torch.randn(2, 500, generator=generator)
    values = torch.linalg.svdvals(orthogonalised(few).float())
    assert values[:2].min() > 0.6
    assert values.max() < 1.5


def test_a_parameter_without_a_gradient_stays() -> None:
    still, moved = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3, 3))
    moved.grad = torch.eye(3)
    Muon([still, moved], [], RATE, DECAY).step()
    assert torch.equal(still, torch.ones(3, 3))
    assert not torch.equal(moved, torch.ones(3, 3))
