"""Muon: steps whose matrices have been made orthogonal, so that rare directions of the gradient weigh as much as common ones.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), with the step's size and weight decay of Liu et al., "Muon is
scalable for LLM training" (2025), which let it share AdamW's learning rate.  `torch.optim.Muon` takes matrices only; here a convolution's kernel
(out, in, z, y, x) is the matrix (out, z * y * x * in), and what is no matrix, or is the first or last layer, goes by AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ADAM_BETAS = (0.9, 0.98)
ADAM_EPSILON = 1e-8
STEP_RMS = 0.2  # of a step's entries at a learning rate of 1, as AdamW's are about
# Coefficients of the fifth-order iteration: it brings singular values near 1 in five rounds, and to 1 in none, which does no harm.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """Muon for the parameters `hidden`, AdamW for `others`."""

    def __init__(self, hidden: Iterable[nn.Parameter], others: Iterable[nn.Parameter], learning_rate: float, weight_decay: float) -> None:
        groups = [{"params": list(hidden), "is_hidden": True}, {"params": list(others), "is_hidden": False}]
        super().__init__([group for group in groups if group["params"]], {"lr": learning_rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step; parameters without a gradient stay as they are."""
        assert closure is None, "a step is taken on gradients that are there"
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            if group["is_hidden"]:
                self._step_hidden(parameters, group["lr"])
            else:
                self._step_others(parameters, group["lr"])

    def _step_hidden(self, parameters: list[nn.Parameter], learning_rate: float) -> None:
        for parameter in parameters:
            gradient = _gradient(parameter)
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(gradient)
            momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
            matrix = _as_matrix(gradient.lerp(momentum, MOMENTUM))  # Nesterov's look ahead
            step = orthogonalised(matrix).to(parameter.dtype)
            parameter.sub_(_as_kernel(step, parameter), alpha=learning_rate * STEP_RMS * max(matrix.shape) ** 0.5)

    def _step_others(self, parameters: list[nn.Parameter], learning_rate: float) -> None:
        for parameter in parameters:
            gradient = _gradient(parameter)
            state = self.state[parameter]
            if not state:
                state.update(step=torch.zeros(1), mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
            step = float(state["step"].add_(1))
            mean = state["mean"].lerp_(gradient, 1 - ADAM_BETAS[0]) / (1 - ADAM_BETAS[0] ** step)
            square = state["square"].lerp_(gradient.square(), 1 - ADAM_BETAS[1]) / (1 - ADAM_BETAS[1] ** step)
            parameter.addcdiv_(mean, square.sqrt_().add_(ADAM_EPSILON), value=-learning_rate)


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix (rows, columns) with all singular values brought to about 1 (0.7 to 1.2), in bfloat16.

    The rounds are done on the products of its rows alone, which are few numbers, so in float32: less work than on the matrix, and nearer the truth.
    The matrix itself is rounded first, so that a gradient summed up in another order gives the same step.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if is_tall else matrix
    x = (x / (x.norm() + 1e-12)).bfloat16()
    products, turned = x.float() @ x.mT.float(), torch.eye(len(x), device=x.device)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        turn = b * products + c * (products @ products)
        turn.diagonal().add_(a)
        products, turned = turn @ products @ turn, turn @ turned
    x = turned.bfloat16() @ x
    return x.mT if is_tall else x


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


def _as_matrix(kernel: Tensor) -> Tensor:
    """(out, in, ...) as (out, ... * in), which is a view where channels come last in memory."""
    return kernel.movedim(1, -1).flatten(1)


def _as_kernel(matrix: Tensor, like: Tensor) -> Tensor:
    return matrix.view(like.shape[0], *like.shape[2:], like.shape[1]).movedim(-1, 1)
