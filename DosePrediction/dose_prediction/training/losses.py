"""What the network is trained to make small.

The expected dose: absolute error plus the error of its DVHs at the points that clinical goals look at; a goal counts only for structures that are
there, and pulls towards the reference plan's value (not towards a limit that may be out of reach).  Noisy levels: squared error.  The CT autoencoder:
absolute error plus KL divergence.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

TARGET_PERCENTILES = (0.01, 0.05, 0.99)  # D99, D95, D1
HOTTEST_MM3 = 100.0  # D0.1cc
SMOOTHED = 0.005  # of a structure's voxels on either side of a point of its DVH count with it


def absolute_error(predicted: Tensor, wanted: Tensor, body: Tensor) -> Tensor:
    """Mean absolute error over the body, in the units of the residual; all (z, y, x)."""
    return (predicted - wanted).abs()[body].mean()


def dvh_error(dose: Tensor, reference: Tensor, structures: Sequence[tuple[bool, Tensor]], voxel_mm3: float) -> Tensor:
    """Mean absolute difference of the DVHs of `dose` and `reference` (both flat), over structures given as (is target, voxel indices).

    Of each structure: the whole curve (mean difference of the sorted doses), and D99, D95, D1 of a target or mean and D0.1cc of an organ.  A point
    of a DVH is the mean over a few ranks: the gradient of one voxel alone would drown all others.
    """
    terms = []
    for is_target, voxels in structures:
        ours, theirs = dose[voxels].sort().values, reference[voxels].sort().values
        curve = (ours - theirs).abs().mean()
        last = len(voxels) - 1
        if is_target:
            points = [round(fraction * last) for fraction in TARGET_PERCENTILES]
            metrics = torch.stack([(_about(ours, point) - _about(theirs, point)).abs() for point in points]).mean()
        else:
            hottest = last - min(last, max(1, round(HOTTEST_MM3 / voxel_mm3)) - 1)
            metrics = 0.5 * ((ours.mean() - theirs.mean()).abs() + (_about(ours, hottest) - _about(theirs, hottest)).abs())
        terms.append(0.5 * (curve + metrics))
    return torch.stack(terms).mean()


def _about(ranked: Tensor, rank: int) -> Tensor:
    """The mean of the `ranked` doses (n,) next to `rank`."""
    reach = max(1, round(SMOOTHED * len(ranked)))
    return ranked[max(rank - reach, 0) : rank + reach + 1].mean()


def squared_error(predicted: Tensor, wanted: Tensor, body: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared error over the body; `weight` is the noise level's."""
    return weight * (predicted - wanted).square()[body].mean()


def autoencoder_loss(reconstruction: Tensor, ct: Tensor, divergence: Tensor, kl_weight: float = 1e-3) -> Tensor:
    """Absolute error plus `kl_weight` times the KL divergence (the paper's weights)."""
    return (reconstruction - ct).abs().mean() + kl_weight * divergence
