"""A case as the network sees it: volume channels on the region's grid, and one token for each thing that the plan says.

Every number is scaled to about -1..1.  The order of channels and of a token's features is part of a released model: changing it needs a new training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from dose_prediction.case import Arc, Beam, DoseGoal, static_fields
from dose_prediction.physics.beam_frame import angles_in_turned_frame
from dose_prediction.physics.beam_moments import ORDERS, turned_moments
from dose_prediction.physics.prior import PhysicsPrior
from dose_prediction.region import PlanningRegion

DOSE_SCALE_GY = 70.0
DISTANCE_SCALE_MM = 50.0
# Organs that the model has a channel for, by TG-263 name.
ORGANS = ("Brainstem", "SpinalCord", "Parotid_R", "Parotid_L", "Esophagus", "Larynx", "Bone_Mandible")
# Angular moments of the prior and of the open fields (`physics.beam_moments`).
PRIOR_MOMENTS, OPEN_MOMENTS = (
    tuple(f"{dose}_{part}_{order}" for order in range(1, ORDERS + 1) for part in ("anterior", "left")) for dose in ("prior", "open_field")
)
CHANNELS = ("ct", "prior", "open_field", "prescription", "distance", "body", *ORGANS, *PRIOR_MOMENTS, *OPEN_MOMENTS)
FIRST_ORGAN = CHANNELS.index(ORGANS[0])
FIRST_MOMENT = CHANNELS.index(PRIOR_MOMENTS[0])
MULTIPLE = 16  # the network halves every axis four times
# oneDNN's bfloat16 weight gradients of a 3 x 3 x 3 convolution are garbage where an axis has two voxels (seen in PyTorch 2.13).
SMALLEST = 3 * MULTIPLE

# A token: one-hot kind, one-hot subject (organ or target rank), numbers.
TOKEN_KINDS = ("site", "prescription", "beam", "voxel", "goal_mean", "goal_max")
TARGET_RANKS = 3
SUBJECTS = len(ORGANS) + TARGET_RANKS
NUMBERS = 5
FIRST_NUMBER = len(TOKEN_KINDS) + SUBJECTS
BEAM_ANGLES = FIRST_NUMBER  # of a beam: sine and cosine of the gantry angle, then of the couch angle
TOKEN_SIZE = FIRST_NUMBER + NUMBERS


def volume_channels(region: PlanningRegion, prior: PhysicsPrior) -> NDArray[np.float32]:
    """(channels, z, y, x) as listed in `CHANNELS`; organs that were not contoured are empty."""
    volumes = np.zeros((len(CHANNELS), *region.grid.shape), np.float32)
    prescription = region.prescription_map_gy
    distance = ndimage.distance_transform_edt(prescription == 0, sampling=region.grid.spacing_zyx_mm)
    depth = ndimage.distance_transform_edt(prescription > 0, sampling=region.grid.spacing_zyx_mm)
    volumes[0] = np.clip(region.ct_hu, -1000.0, 2000.0) / 1000.0
    volumes[1] = prior.dose_gy / DOSE_SCALE_GY
    volumes[2] = prior.open_field
    volumes[3] = prescription / DOSE_SCALE_GY
    volumes[4] = np.clip((distance - depth) / DISTANCE_SCALE_MM, -1.0, 3.0)
    volumes[5] = region.body
    for i, organ in enumerate(ORGANS):
        if organ in region.organs:
            volumes[FIRST_ORGAN + i] = region.organs[organ]
    volumes[FIRST_MOMENT:] = np.concatenate([prior.dose_moments / DOSE_SCALE_GY, prior.open_moments])
    return volumes


def plan_tokens(region: PlanningRegion, beams: Sequence[Beam | Arc]) -> NDArray[np.float32]:
    """Tokens (n, TOKEN_SIZE): site with the technique, voxel size, a token a prescription and a static field.  `goal_tokens` may follow them."""
    is_vmat = any(isinstance(beam, Arc) for beam in beams)
    tokens = [_token("site", None, 1.0, is_vmat), _token("voxel", None, *(spacing / 5.0 for spacing in region.grid.spacing_mm))]
    for rank, target in enumerate(region.targets):
        litres = float(target.fraction.sum()) * region.grid.voxel_volume_mm3 / 1e6
        tokens.append(_token("prescription", len(ORGANS) + min(rank, TARGET_RANKS - 1), target.prescription_gy / DOSE_SCALE_GY, litres))
    for beam in static_fields(beams):
        gantry, couch = angles_in_turned_frame(beam, region.turn_rad)
        tokens.append(_token("beam", None, np.sin(gantry), np.cos(gantry), np.sin(couch), np.cos(couch), beam.energy_mv / 10.0))
    return np.stack(tokens)


def goal_tokens(goals: Sequence[DoseGoal]) -> NDArray[np.float32]:
    """A token (n, TOKEN_SIZE) for each goal whose organ has a channel."""
    tokens = [_token(f"goal_{goal.metric}", ORGANS.index(goal.organ), goal.limit_gy / DOSE_SCALE_GY) for goal in goals if goal.organ in ORGANS]
    return np.stack(tokens) if tokens else np.zeros((0, TOKEN_SIZE), np.float32)


def _token(kind: str, subject: int | None, *numbers: float) -> NDArray[np.float32]:
    token = np.zeros(TOKEN_SIZE, np.float32)
    token[TOKEN_KINDS.index(kind)] = 1.0
    if subject is not None:
        token[len(TOKEN_KINDS) + subject] = 1.0
    token[FIRST_NUMBER : FIRST_NUMBER + len(numbers)] = numbers
    return token


def padded_size(size: int, multiple: int = MULTIPLE) -> int:
    """The number of voxels that an axis of `size` is padded to: a multiple of `multiple`, at least `SMALLEST`."""
    return max(-(-size // multiple) * multiple, SMALLEST)


def padded(volumes: torch.Tensor, multiple: int = MULTIPLE) -> torch.Tensor:
    """Volumes (..., z, y, x) padded with zeros at the high ends of every axis to its `padded_size`."""
    ends = [padded_size(size, multiple) - size for size in volumes.shape[-3:]]
    return torch.nn.functional.pad(volumes, (0, ends[2], 0, ends[1], 0, ends[0]))


def mirrored_channels(volumes: torch.Tensor) -> torch.Tensor:
    """The channels (..., channels, z, y, x) of the patient's mirror image: left and right change places, and so do paired organs.

    The moments, which come last, may be left out.
    """
    order = list(range(volumes.shape[-4]))
    left, right = CHANNELS.index("Parotid_L"), CHANNELS.index("Parotid_R")
    order[left], order[right] = right, left
    mirrored = volumes[..., order, :, :, :].flip(-1)
    mirrored[..., FIRST_MOMENT + 1 :: 2, :, :, :] *= -1  # what came from the left comes from the right
    return mirrored


def turned_channels(volumes: torch.Tensor, turn_rad: float) -> torch.Tensor:
    """The channels (channels, ...) of a case whose voxels have been turned as gantry angles grow: its beams' directions turn with them."""
    half = FIRST_MOMENT + 2 * ORDERS
    return torch.cat([volumes[:FIRST_MOMENT], turned_moments(volumes[FIRST_MOMENT:half], turn_rad), turned_moments(volumes[half:], turn_rad)])


def mirrored_tokens(tokens: torch.Tensor) -> torch.Tensor:
    """The tokens (..., n, TOKEN_SIZE) of the mirror image: gantry and couch angles change sign, paired organs change places."""
    mirrored = tokens.clone()
    is_beam = tokens[..., TOKEN_KINDS.index("beam")] > 0.5
    for sine in (BEAM_ANGLES, BEAM_ANGLES + 2):
        mirrored[..., sine] = torch.where(is_beam, -tokens[..., sine], tokens[..., sine])
    left, right = (len(TOKEN_KINDS) + ORGANS.index(organ) for organ in ("Parotid_L", "Parotid_R"))
    mirrored[..., [left, right]] = tokens[..., [right, left]]
    return mirrored
