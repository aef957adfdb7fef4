"""The least of a function of many non-negative numbers: L-BFGS on those that are free to move.

Two-metric projection (Bertsekas, "Projected Newton methods for optimization problems with simple constraints", SIAM J. Control Optim. 20, 221, 1982):
numbers that are zero and would become negative rest; the others go where the curvature along the last steps says, and stop where they reach zero.
An iteration lowers a fluence's cost as far as one of SciPy's L-BFGS-B does, and needs about one gradient, too.  But it is a handful of products that
torch shares out among the processors.  SciPy needs a quarter of the whole time on one of them, and many times that where its BLAS has threads: these
wait busily and keep the processors from torch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

REMEMBERED = 40  # steps
FIRST_STEP = 0.1  # mean change of the numbers, which are to be about 1
HALVINGS = 10  # of a step, until it is given up
ENOUGH = 1e-4  # of the decrease that the slope promises
CURVED = 1e-7  # of the largest possible product of a step and its change of gradient; below that there is nothing to learn from it

Function = Callable[[torch.Tensor], tuple[float, torch.Tensor]]


def minimised(function: Function, start: torch.Tensor, iterations: int, on_iteration: Callable[[int], None] | None = None) -> torch.Tensor:
    """Non-negative numbers (n,) at which `function` is about least, from `start` (n,); they should be about 1.

    `function` gives its value and its gradient (n,).  It ends early where no step lowers the value any more.  `on_iteration` is called with the
    number of iterations done and may raise to stop.
    """
    x = start.clamp_min(0)
    value, gradient = function(x)
    curvature = _Curvature(x)
    for done in range(1, iterations + 1):
        free = (x > 0) | (gradient < 0)
        slope = gradient * free
        found = _lower(function, x, value, gradient, curvature.direction(slope, free))
        if found is None and curvature.known:  # what is remembered misleads
            curvature = _Curvature(x)
            found = _lower(function, x, value, gradient, curvature.direction(slope, free))
        if found is None:
            break
        new, value, new_gradient = found
        curvature.learn(new - x, new_gradient - gradient)
        x, gradient = new, new_gradient
        if on_iteration is not None:
            on_iteration(done)
    return x


def _lower(
    function: Function, x: torch.Tensor, value: float, gradient: torch.Tensor, direction: torch.Tensor
) -> tuple[torch.Tensor, float, torch.Tensor] | None:
    """Where the value is enough lower along a direction, with value and gradient there; None where it is not (Armijo's rule, by halving)."""
    for halving in range(HALVINGS + 1):
        new = (x + 0.5**halving * direction).clamp_min(0)
        promised = float(gradient @ (new - x))
        if promised >= 0:
            return None
        new_value, new_gradient = function(new)
        if new_value <= value + ENOUGH * promised:
            return new, new_value, new_gradient
    return None


class _Curvature:
    """What the last steps and the changes of the gradient along them tell."""

    def __init__(self, like: torch.Tensor) -> None:
        self._steps = like.new_zeros(REMEMBERED, len(like))
        self._changes = torch.zeros_like(self._steps)
        self._learnt = 0

    @property
    def known(self) -> bool:
        return self._learnt > 0

    def learn(self, step: torch.Tensor, change: torch.Tensor) -> None:
        """Remember a step (n,), unless there is nothing to learn from it, and forget the oldest."""
        if step @ change > CURVED * step.norm() * change.norm():
            row = self._learnt % REMEMBERED
            self._steps[row], self._changes[row] = step, change
            self._learnt += 1

    def direction(self, slope: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
        """Where the least is supposed to be from here, in the free numbers, in which there is this `slope` (n,).

        The compact form of Byrd, Nocedal and Schnabel, "Representations of quasi-Newton matrices and their use in limited memory methods", Math.
        Program. 63, 129, 1994, of the steps that are curved among the free numbers.
        """
        rows = torch.arange(max(self._learnt - REMEMBERED, 0), self._learnt, device=slope.device) % REMEMBERED  # the oldest first
        steps, changes = self._steps, self._changes * free
        along, squares = (steps @ changes.T).double(), (changes @ changes.T).double()
        sizes = steps.norm(dim=1) * squares.diagonal().sqrt()
        rows = rows[along.diagonal()[rows] > CURVED * sizes[rows]]
        if not len(rows):
            return -slope * (FIRST_STEP / slope.abs().mean().clamp_min(torch.finfo(slope.dtype).tiny))
        among = rows[:, None], rows
        along, squares = along[among].triu(), squares[among]
        scale = along[-1, -1] / squares[-1, -1]
        of_changes = torch.linalg.solve_triangular(along, (steps @ slope).double()[rows, None], upper=True)
        rest = along.diagonal()[:, None] * of_changes + scale * (squares @ of_changes - (changes @ slope).double()[rows, None])
        of_steps = torch.linalg.solve_triangular(along.T, rest, upper=False)
        weights = torch.zeros(2, len(steps), dtype=slope.dtype, device=slope.device)
        weights[:, rows] = torch.stack([of_steps[:, 0], -scale * of_changes[:, 0]]).to(slope.dtype)
        return (float(-scale) * slope - weights[0] @ steps - weights[1] @ changes) * free
