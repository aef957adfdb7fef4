"""Training cases seen anew: turned about the patient's long axis with their beams, on another voxel size, elsewhere in the network's lattice.

Each is exact physics: beams that turn with the patient give the dose that turns with it, and voxels of another size are told to the network as such.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dose_prediction.model.condition import BEAM_ANGLES, CHANNELS, FIRST_NUMBER, TOKEN_KINDS, padded_size, turned_channels

SPREAD_DEG = 12.0
SPREAD_ZOOM = 0.07  # standard deviation of the logarithm of the zoom
MOST_ZOOM = 1.18
MOST_SHIFT = 6.0  # voxels
PRESCRIPTION = CHANNELS.index("prescription")


@dataclass(frozen=True)
class Pose:
    """How a case is put before the network: turned by `turn_rad` (as gantry angles grow), zoomed in the axial plane and shifted by voxels (y, x)."""

    turn_rad: float
    zoom: float
    shift: tuple[float, float]


def draw_pose(tokens: Tensor, generator: torch.Generator) -> Pose:
    """A random pose; beams with a couch angle cannot be turned by their gantry angles alone, and stay."""
    turn, zoom = torch.randn(2, generator=generator).tolist()
    shift = ((2 * torch.rand(2, generator=generator) - 1) * MOST_SHIFT).tolist()
    beams = tokens[tokens[:, TOKEN_KINDS.index("beam")] > 0.5]
    coplanar = bool((beams[:, BEAM_ANGLES + 2].abs() < 1e-6).all())
    most = math.log(MOST_ZOOM)
    return Pose(math.radians(SPREAD_DEG * turn) if coplanar else 0.0, math.exp(min(max(SPREAD_ZOOM * zoom, -most), most)), (shift[0], shift[1]))


def posed_channels(volumes: Tensor, pose: Pose) -> Tensor:
    """All channels (channels, z, y, x) of a case in the pose.  The map of prescriptions takes the nearest voxel's value."""
    posed = turned_channels(posed_volumes(volumes, pose), pose.turn_rad)
    posed[PRESCRIPTION] = posed_volumes(volumes[PRESCRIPTION, None], pose, "nearest")[0]
    return posed


def posed_volumes(volumes: Tensor, pose: Pose, interpolation: str = "bilinear") -> Tensor:
    """Volumes (n, z, y, x) in the pose, interpolated on a lattice of the padded size; zero where there is nothing."""
    height, width = volumes.shape[-2:]
    rows, columns = padded_size(height), padded_size(width)
    from_middle = [torch.arange(size) - (size - 1) / 2 - shift for size, shift in zip((rows, columns), pose.shift, strict=True)]
    y, x = torch.meshgrid(*from_middle, indexing="ij")
    cosine, sine = math.cos(pose.turn_rad) / pose.zoom, math.sin(pose.turn_rad) / pose.zoom
    where = torch.stack([(cosine * x + sine * y) * (2 / (width - 1)), (cosine * y - sine * x) * (2 / (height - 1))], -1)
    slices = volumes.transpose(0, 1)
    where = where.expand(len(slices), rows, columns, 2)
    return torch.nn.functional.grid_sample(slices, where, mode=interpolation, padding_mode="zeros", align_corners=True).transpose(0, 1)


def posed_tokens(tokens: Tensor, pose: Pose) -> Tensor:
    """The tokens (n, TOKEN_SIZE) of the case in the pose: gantry angles turned, voxel size divided by the zoom."""
    posed = tokens.clone()
    beams = tokens[:, TOKEN_KINDS.index("beam")] > 0.5
    sine, cosine = tokens[beams, BEAM_ANGLES], tokens[beams, BEAM_ANGLES + 1]
    posed[beams, BEAM_ANGLES] = sine * math.cos(pose.turn_rad) + cosine * math.sin(pose.turn_rad)
    posed[beams, BEAM_ANGLES + 1] = cosine * math.cos(pose.turn_rad) - sine * math.sin(pose.turn_rad)
    voxel = tokens[:, TOKEN_KINDS.index("voxel")] > 0.5
    posed[voxel, FIRST_NUMBER : FIRST_NUMBER + 2] = tokens[voxel, FIRST_NUMBER : FIRST_NUMBER + 2] / pose.zoom
    return posed
