"""What the structures of a case tell each other: the planner's sense of the case as a whole.

A planner weighs structures against each other: how large a target is, how much of it is too cold, what that costs the parotids.  None of this lies
in a voxel's surroundings.  So the features of each structure's cells are averaged to one token, which is told the structure's volume as well; the
tokens attend to each other; and what each has learnt is added to the features of its cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dose_prediction.model.condition import CHANNELS, DISTANCE_SCALE_MM, FIRST_ORGAN, ORGANS, TARGET_RANKS
from dose_prediction.model.layers import VoxelNorm
from dose_prediction.physics.coarse_beams import CELL

SHELLS_MM = (0.0, 10.0, 30.0, 60.0)  # where a shell around the targets begins; the last goes on to the body's surface
# The structures by name; the left and right one of a pair have the same, so that a mirror image is told the same.
STRUCTURES = [organ.removesuffix("_R").removesuffix("_L") for organ in ORGANS]
STRUCTURES += [f"target {rank}" for rank in range(TARGET_RANKS)] + [f"beyond {begin:.0f} mm" for begin in SHELLS_MM]
NAMES = tuple(dict.fromkeys(STRUCTURES))
NAME_OF_STRUCTURE = [NAMES.index(name) for name in STRUCTURES]
TOKEN = 64  # features of a structure's token


def structure_shares(volumes: Tensor) -> Tensor:
    """How much of each cell (structures, z, y, x) belongs to each structure, 0 to 1, by the channels (1, channels, z, y, x) of a case.

    The organs as in `ORGANS`, the targets by falling prescription (all below the third count as third), and shells of the body around all targets.
    """
    prescription, distance, body = (volumes[0, CHANNELS.index(name)] for name in ("prescription", "distance", "body"))
    in_target = prescription > 0
    levels = prescription[in_target].unique().flip(0)
    rank = (prescription[..., None] < levels).sum(-1).clamp_max(TARGET_RANKS - 1)
    masks = [volumes[0, FIRST_ORGAN + i] for i in range(len(ORGANS))]
    masks += [in_target & (rank == i) for i in range(TARGET_RANKS)]
    shell = torch.bucketize(distance * DISTANCE_SCALE_MM, torch.tensor(SHELLS_MM[1:], device=volumes.device))
    outside = (body > 0.5) & ~in_target
    masks += [outside & (shell == i) for i in range(len(SHELLS_MM))]
    return nn.functional.avg_pool3d(torch.stack([mask.float() for mask in masks]), CELL)


class StructureExchange(nn.Module):
    """Adds to the features of a volume what the structures have told each other; begins as nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = VoxelNorm(channels)
        self.taken_in = nn.Linear(channels + 1, TOKEN)
        self.names = nn.Parameter(0.1 * torch.randn(len(NAMES), TOKEN))
        self.talk = nn.TransformerEncoderLayer(TOKEN, 4, 2 * TOKEN, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.told = nn.Linear(TOKEN, channels)
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)

    def forward(self, volume: Tensor, shares: Tensor, litres: Tensor) -> Tensor:
        """`volume` (1, channels, z, y, x); `shares` (structures, z, y, x) of its cells; `litres` (structures,), 0 of one that is not there."""
        of_cells = shares.flatten(1)
        features = self.norm(volume)[0].movedim(0, -1).reshape(of_cells.shape[1], -1)
        means = of_cells.to(features.dtype) @ features / of_cells.sum(1, keepdim=True).clamp_min(1)
        absent = litres <= 0
        size = (litres.clamp_min(1e-5).log10()[:, None] + 2).masked_fill(absent[:, None], 0)
        tokens = self.taken_in(torch.cat([means, size.to(means.dtype)], 1)) + self.names[NAME_OF_STRUCTURE]
        tokens = self.talk(tokens[None], src_key_padding_mask=absent[None])[0]
        told = self.told(tokens).masked_fill(absent[:, None], 0)
        depth, height, width = volume.shape[2:]
        return volume + (of_cells.to(told.dtype).T @ told).view(1, depth, height, width, -1).movedim(-1, 1)
