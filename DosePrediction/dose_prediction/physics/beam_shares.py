"""Weighted beams: what each beam gives of the targets' mean dose.

With equal weights the optimiser decides.  A beam of twice the others' weight is to give twice the share that it gives then, and the plan is optimised
again with these shares wanted; so is all that is planned on from it: the fit to a predicted dose, and steering to goals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dose_prediction.physics.pencil_beam import PencilBeams

# Weight of a squared deviation from the wanted share; a mean squared deviation from a prescription weighs about 1.
SHARE_WEIGHT = 10.0


@dataclass(frozen=True, eq=False)
class BeamShares:
    """The targets' mean dose in Gy, split up by beams.

    `beamlet_gy` (beamlets,) is what each open beamlet gives at unit fluence, `beam` (beamlets,) the number of its beam, `wanted_gy` (beams,) what
    each beam is to give.
    """

    beamlet_gy: torch.Tensor
    beam: torch.Tensor
    wanted_gy: torch.Tensor

    def given_gy(self, beamlets: torch.Tensor) -> torch.Tensor:
        """What each beam gives (beams,) of the mean target dose with this fluence (beamlets,)."""
        return torch.zeros_like(self.wanted_gy).index_add(0, self.beam, beamlets * self.beamlet_gy)

    def cost(self, beamlets: torch.Tensor) -> torch.Tensor:
        """What it costs that the beams do not share out what they give together, however much that is, as they are to."""
        given = self.given_gy(beamlets)
        return SHARE_WEIGHT * (given - self.wanted_gy * (given.sum() / self.wanted_gy.sum())).square().sum()

    def rescaled(self, beamlets: torch.Tensor) -> torch.Tensor:
        """The fluence with every beam scaled to what it is to give."""
        return beamlets * (self.wanted_gy / self.given_gy(beamlets).clamp_min(1e-6))[self.beam]


def beam_of_beamlets(beams: PencilBeams) -> torch.Tensor:
    """The number of the beam of each open beamlet (beamlets,)."""
    return beams.open_beamlets.nonzero()[:, 0]


def weighted_shares(in_target: PencilBeams, beamlets: torch.Tensor, weights: Sequence[float]) -> BeamShares:
    """The shares that beams of `weights` (beams,) are to have, where beams of equal weights have the fluence `beamlets`; the total stays.

    `in_target` are the beams at points of the targets.
    """
    unit = torch.ones_like(beamlets, requires_grad=True)
    (beamlet_gy,) = torch.autograd.grad(in_target.dose(in_target.to_maps(unit)).mean(), unit)
    beam = beam_of_beamlets(in_target)
    free = BeamShares(beamlet_gy, beam, torch.zeros(len(weights), dtype=beamlets.dtype)).given_gy(beamlets)
    wanted = free * torch.tensor(weights, dtype=beamlets.dtype)
    return BeamShares(beamlet_gy, beam, wanted * (free.sum() / wanted.sum()))
