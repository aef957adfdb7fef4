"""The least of functions of non-negative numbers, where it is known and where SciPy finds it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls

from dose_prediction.physics.projected_lbfgs import minimised


def problem(rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix whose columns overlap, as beamlets do, and wanted sums that no numbers without negative ones among them give."""
    generator = torch.Generator().manual_seed(3)
    matrix = torch.rand(rows, columns, dtype=torch.float64, generator=generator) ** 4
    return matrix, torch.rand(rows, dtype=torch.float64, generator=generator) * 3


def squares(matrix: torch.Tensor, wanted: torch.Tensor, x: torch.Tensor) -> tuple[float, torch.Tensor]:
    left = matrix @ x - wanted
    return float(left @ left), 2 * matrix.T @ left


def test_the_least_squares_are_those_of_lawson_and_hanson() -> None:
    matrix, wanted = problem(80, 50)
    found = minimised(lambda x: squares(matrix, wanted, x), torch.ones(50, dtype=torch.float64), 300)
    known, _ = nnls(matrix.numpy(), wanted.numpy())
    assert 5 < (known == 0).sum() < 45  # what is to be tested: some rest at zero, others do not
    assert found.min() >= 0
    assert found.numpy() == pytest.approx(known, abs=1e-4)


def test_an_iteration_lowers_a_curved_function_as_far_as_scipys_does() -> None:
    matrix, wanted = problem(300, 200)

    def function(x: torch.Tensor) -> tuple[float, torch.Tensor]:
        x = x.clone().requires_grad_()
        value = torch.nn.functional.smooth_l1_loss(matrix @ x, wanted, reduction="sum", beta=0.5)
        (gradient,) = torch.autograd.grad(value, x)
        return value.item(), gradient

    def of_arrays(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = function(torch.from_numpy(x))
        return value, gradient.numpy()

    start = torch.ones(200, dtype=torch.float64)
    least = minimize(of_arrays, start.numpy(), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 200, options={"maxiter": 2000}).fun
    scipys = minimize(of_arrays, start.numpy(), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 200, options={"maxiter": 40, "maxcor": 40}).fun
    ours, _ = function(minimised(function, start, 40))
    assert ours - least < 1.5 * (scipys - least) + 1e-3
    assert function(minimised(function, start, 2000))[0] == pytest.approx(least, rel=1e-5)


def test_numbers_that_are_best_at_zero_go_there_and_come_back_when_they_should() -> None:
    aim = torch.tensor([2.0, -3.0, 0.0])

    def function(x: torch.Tensor) -> tuple[float, torch.Tensor]:
        return float((x - aim).square().sum()), 2 * (x - aim)

    assert minimised(function, torch.tensor([0.0, 5.0, 1.0]), 50).tolist() == pytest.approx([2.0, 0.0, 0.0], abs=1e-4)


def test_it_ends_at_the_least_and_tells_of_every_iteration() -> None:
    calls: list[int] = []
    found = minimised(lambda x: (float(((x - 1) ** 2).sum()), 2 * (x - 1)), torch.ones(4), 30, calls.append)
    assert found.tolist() == [1.0] * 4
    assert calls == []  # nothing is left to do
    minimised(lambda x: squares(*problem(40, 30), x), torch.ones(30, dtype=torch.float64), 7, calls.append)
    assert calls == [1, 2, 3, 4, 5, 6, 7]


def test_what_cannot_be_lowered_stays_as_it_is() -> None:
    start = torch.tensor([1.0, 2.0])
    assert minimised(lambda x: (float("nan"), torch.ones_like(x)), start, 5).tolist() == start.tolist()
