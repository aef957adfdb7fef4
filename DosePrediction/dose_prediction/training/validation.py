"""Validation scores of a network on prepared cases: the two OpenKBP scores, straight from the region."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.model import diffusion
from dose_prediction.model.condition import CHANNELS, DOSE_SCALE_GY, mirrored_channels, mirrored_tokens, padded
from dose_prediction.model.network import ADDiffDose
from dose_prediction.openkbp import dvh_metrics
from dose_prediction.training.dataset import TrainingCase, structures_in


def validation_scores(network: ADDiffDose, cases: Sequence[TrainingCase], precision: torch.dtype, mirror: bool = False) -> tuple[float, float]:
    """Dose score and DVH score in Gy of the expected dose, by the definitions of `openkbp`."""
    dose_errors: list[float] = []
    dvh_errors: list[float] = []
    for case in cases:
        prior = case.volumes[CHANNELS.index("prior")].astype(np.float32) * DOSE_SCALE_GY
        reference = np.where(case.body, prior + case.residual.astype(np.float32) * diffusion.RESIDUAL_SCALE_GY, 0)
        predicted = np.where(case.body, np.maximum(prior + expected_residual(network, case, precision, mirror) * diffusion.RESIDUAL_SCALE_GY, 0), 0)
        dose_errors.append(float(np.abs(predicted - reference)[case.body].mean()))
        for is_target, voxels in structures_in(torch.from_numpy(case.volumes)):
            mask = np.zeros(predicted.shape, bool)
            mask.flat[voxels.numpy()] = True
            ours, theirs = (dvh_metrics(dose, mask, case.voxel_mm3, is_target) for dose in (predicted, reference))
            dvh_errors += [abs(ours[metric] - theirs[metric]) for metric in theirs]
    return float(np.mean(dose_errors)), float(np.mean(dvh_errors))


@torch.inference_mode()
def expected_residual(network: ADDiffDose, case: TrainingCase, precision: torch.dtype, mirror: bool) -> NDArray[np.float32]:
    """The expected residual (z, y, x) of a prepared case."""
    device = next(network.parameters()).device
    volumes = padded(torch.from_numpy(case.volumes).float())[None].to(device, memory_format=torch.channels_last_3d)
    tokens = torch.from_numpy(case.tokens)[None].to(device)
    shape = (1, 1, *volumes.shape[2:])
    with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
        result = diffusion.expected(network.bound(network.condition(volumes, tokens)), shape, network.levels, volumes.device)
        if mirror:
            flipped = network.condition(mirrored_channels(volumes), mirrored_tokens(tokens))
            result = 0.5 * (result + diffusion.expected(network.bound(flipped), shape, network.levels, volumes.device).flip(-1))
    depth, height, width = case.residual.shape
    return result[0, 0, :depth, :height, :width].cpu().numpy()
