"""Training cases seen anew: turned about the patient's long axis with their beams, head and feet exchanged, on another voxel size, elsewhere.

Each is exact physics: beams that turn with the patient give the dose that turns with it, and voxels of another size are told to the network as such.
No patient lies on the side with the head where the feet were, but what a network learns there of beams and organs holds for those who do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dose_prediction.model.condition import BEAM_ANGLES, CHANNELS, FIRST_NUMBER, TOKEN_KINDS, padded_size, turned_channels

SPREAD_DEG = 12.0  # standard deviation of a small turn
ANY_TURN_SHARE = 0.5  # turned by any angle instead
UPENDED_SHARE = 0.3
SPREAD_ZOOM = 0.07  # standard deviation of the logarithm of the zoom
MOST_ZOOM = 1.18
MOST_SHIFT = 6.0  # voxels
PRESCRIPTION = CHANNELS.index("prescription")


@dataclass(frozen=True)
class Pose:
    """How a case is put before the network.

    Turned by `turn_rad` (as gantry angles grow), zoomed in the axial plane, shifted by voxels (y, x), and upended: head and feet exchanged.
    """

    turn_rad: float
    zoom: float
    shift: tuple[float, float]
    is_upended: bool = False


def draw_pose(tokens: Tensor, generator: torch.Generator) -> Pose:
    """A random pose; beams with a couch angle cannot be turned or upended by their gantry angles alone, and stay."""
    turn, zoom = torch.randn(2, generator=generator).tolist()
    any_turn, upended, angle = torch.rand(3, generator=generator).tolist()
    turn_rad = 2 * math.pi * angle if any_turn < ANY_TURN_SHARE else math.radians(SPREAD_DEG * turn)
    shift = ((2 * torch.rand(2, generator=generator) - 1) * MOST_SHIFT).tolist()
    beams = tokens[tokens[:, TOKEN_KINDS.index("beam")] > 0.5]
    coplanar = bool((beams[:, BEAM_ANGLES + 2].abs() < 1e-6).all())
    most = math.log(MOST_ZOOM)
    factor = math.exp(min(max(SPREAD_ZOOM * zoom, -most), most))
    return Pose(turn_rad if coplanar else 0.0, factor, (shift[0], shift[1]), coplanar and upended < UPENDED_SHARE)


def posed_channels(volumes: Tensor, pose: Pose) -> Tensor:
    """All channels (channels, z, y, x) of a case in the pose.  The map of prescriptions takes the nearest voxel's value."""
    posed = turned_channels(posed_volumes(volumes, pose), pose.turn_rad)
    posed[PRESCRIPTION] = posed_volumes(volumes[PRESCRIPTION, None], pose, "nearest")[0]
    return posed


def posed_volumes(volumes: Tensor, pose: Pose, interpolation: str = "bilinear") -> Tensor:
    """Volumes (n, z, y, x) in the pose, interpolated on a lattice that holds the ellipse in what was the lattice; zero where there is nothing."""
    height, width = volumes.shape[-2:]
    rows, columns = _lattice(height, width, pose), _lattice(width, height, pose)
    from_middle = [torch.arange(size) - (size - 1) / 2 - shift for size, shift in zip((rows, columns), pose.shift, strict=True)]
    y, x = torch.meshgrid(*from_middle, indexing="ij")
    cosine, sine = math.cos(pose.turn_rad) / pose.zoom, math.sin(pose.turn_rad) / pose.zoom
    where = torch.stack([(cosine * x + sine * y) * (2 / (width - 1)), (cosine * y - sine * x) * (2 / (height - 1))], -1)
    slices = (volumes.flip(1) if pose.is_upended else volumes).transpose(0, 1)
    where = where.expand(len(slices), rows, columns, 2)
    return torch.nn.functional.grid_sample(slices, where, mode=interpolation, padding_mode="zeros", align_corners=True).transpose(0, 1)


def _lattice(along: int, across: int, pose: Pose) -> int:
    """The size of an axis on which an ellipse has the axes `along` and, at right angles, `across` before it is put in the pose."""
    return padded_size(round(pose.zoom * math.hypot(along * math.cos(pose.turn_rad), across * math.sin(pose.turn_rad))))


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
