"""Fit what training cases tell of the DVHs of targets, and judge it on cases that each time were left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dose_prediction.model.target_dvh import (
    VOLUME_PERCENT,
    TargetDVH,
    TargetDVHs,
    dvh,
    target_features,
    target_mask,
    target_prescriptions,
)
from dose_prediction.training.dataset import TrainingCase
from dose_prediction.training.validation import reference_gy

FEWEST = 20  # targets of a prescription that something can be learnt from
PARTS = 10  # of the cross-validation
JUDGED_PERCENT = (99.0, 95.0, 1.0)


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of one prescription: their features (cases, features), and the reference plans' DVHs relative to it (cases, points) in Gy."""

    features: NDArray[np.float64]
    dvhs_gy: NDArray[np.float64]

    def cross_validated_errors_gy(self) -> dict[str, float]:
        """Mean absolute errors of D99, D95 and D1 of cases that were left out."""
        order = torch.randperm(len(self.features), generator=torch.Generator().manual_seed(0)).numpy()
        errors = np.zeros_like(self.dvhs_gy)
        for part in range(PARTS):
            out = order[part::PARTS]
            others = np.setdiff1d(order, out)
            known = TargetDVH.fitted(self.features[others], self.dvhs_gy[others])
            errors[out] = [known.foreseen(self.features[case])[0] - self.dvhs_gy[case] for case in out]
        mean = np.abs(errors).mean(axis=0)
        return {f"D{percent:g}": round(float(mean[VOLUME_PERCENT.index(percent)]), 2) for percent in JUDGED_PERCENT}


def targets_of(cases: Iterable[TrainingCase]) -> dict[float, Targets]:
    """The targets of prepared cases by their prescription in Gy, where there are enough of them."""
    features, dvhs = defaultdict(list), defaultdict(list)
    for case in cases:
        reference = reference_gy(case)
        for prescription in target_prescriptions(case.volumes):
            features[prescription].append(target_features(case.volumes, case.voxel_mm3, prescription))
            dvhs[prescription].append(dvh(reference[target_mask(case.volumes, prescription)]) - prescription)
    return {gy: Targets(np.array(features[gy]), np.array(dvhs[gy])) for gy in sorted(features) if len(features[gy]) >= FEWEST}


def fitted_target_dvhs(targets: dict[float, Targets]) -> TargetDVHs:
    """What all of these targets tell, for a model to keep."""
    return TargetDVHs({gy: TargetDVH.fitted(found.features, found.dvhs_gy) for gy, found in targets.items()})
