"""Validation scores of a network on prepared cases: the two OpenKBP scores, straight from the region."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.model import diffusion
from dose_prediction.model.condition import CHANNELS, DOSE_SCALE_GY, padded
from dose_prediction.model.network import ADDiffDose
from dose_prediction.model.planned_dose import mixed, planned_dose
from dose_prediction.openkbp import dvh_metrics
from dose_prediction.training.dataset import TrainingCase, structures_in


def validation_scores(network: ADDiffDose, cases: Iterable[TrainingCase], precision: torch.dtype) -> tuple[float, float]:
    """Dose score and DVH score in Gy of the expected dose, by the definitions of `openkbp`."""
    return scores((case, expected_gy(network, case, precision)) for case in cases)


def scores(predicted: Iterable[tuple[TrainingCase, NDArray[np.float32]]]) -> tuple[float, float]:
    """Dose score and DVH score in Gy of cases with their predicted doses (z, y, x) in Gy."""
    dose_errors: list[float] = []
    dvh_errors: list[float] = []
    for case, dose_gy in predicted:
        reference = reference_gy(case)
        inside = np.where(case.body, np.maximum(dose_gy, 0), 0)
        dose_errors.append(float(np.abs(inside - reference)[case.body].mean()))
        for is_target, voxels in structures_in(torch.from_numpy(case.volumes)):
            mask = np.zeros(inside.shape, bool)
            mask.flat[voxels.numpy()] = True
            ours, theirs = (dvh_metrics(dose, mask, case.voxel_mm3, is_target) for dose in (inside, reference))
            dvh_errors += [abs(ours[metric] - theirs[metric]) for metric in theirs]
    return float(np.mean(dose_errors)), float(np.mean(dvh_errors))


def prior_gy(case: TrainingCase) -> NDArray[np.float32]:
    """The physics prior (z, y, x) of a prepared case."""
    return case.volumes[CHANNELS.index("prior")].astype(np.float32) * DOSE_SCALE_GY


def reference_gy(case: TrainingCase) -> NDArray[np.float32]:
    """The reference dose (z, y, x) of a prepared case, zero outside the body."""
    return np.where(case.body, prior_gy(case) + case.residual.astype(np.float32) * diffusion.RESIDUAL_SCALE_GY, 0).astype(np.float32)


def expected_gy(network: ADDiffDose, case: TrainingCase, precision: torch.dtype) -> NDArray[np.float32]:
    """The expected dose (z, y, x) of a prepared case in Gy, not negative."""
    denoised = np.maximum(prior_gy(case) + expected_residual(network, case, precision) * diffusion.RESIDUAL_SCALE_GY, 0)
    device = next(network.parameters()).device
    traced, scene = case.scene()
    with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
        planned = planned_dose(network.planners, torch.from_numpy(case.volumes).float(), traced, scene, device)
    return mixed(planned.dose_gy, denoised, network.config.planner_share, len(scene.directions))


@torch.inference_mode()
def expected_residual(network: ADDiffDose, case: TrainingCase, precision: torch.dtype) -> NDArray[np.float32]:
    """The residual (z, y, x) of a prepared case that the denoiser expects."""
    device = next(network.parameters()).device
    volumes = padded(torch.from_numpy(case.volumes).float())[None].to(device)
    tokens = torch.from_numpy(case.tokens)[None].to(device)
    shape = (1, 1, *volumes.shape[2:])
    with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
        result = diffusion.expected(network.bound(network.condition(volumes, tokens)), shape, network.levels, volumes.device)
    depth, height, width = case.residual.shape
    return result[0, 0, :depth, :height, :width].cpu().numpy()
