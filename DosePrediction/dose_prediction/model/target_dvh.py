"""The DVHs of targets, as plans for cases like this one have them.

The expected dose is a mean over plans and more even than each of them: its targets are less hot and less cold.  And what decides a target's DVH is
no matter of a voxel's surroundings.  Knowledge-based planning foresees a DVH from a few features of the case; here by Gaussian process regression
(Rasmussen and Williams, "Gaussian processes for machine learning", 2006, chapter 2) from what the quick plan gives the target, its volume, how much
of it lies at its border, and the volume of the body that is computed.  The voxels of a target, in the order of their doses, are moved to the DVH that
is foreseen, as far as a training case is like this one; what lies next to them is moved along.  The farther a prescription is from those of training
cases, the less is known of it; a case that has no organ of the head and neck is of another site and stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from dose_prediction.model.condition import CHANNELS, DISTANCE_SCALE_MM, DOSE_SCALE_GY

VOLUME_PERCENT = (99.5, 99.0, 98.0, 95.0, 90.0, 75.0, 50.0, 25.0, 10.0, 5.0, 2.0, 1.0, 0.5)  # the points of a DVH that are foreseen
SEEN_PERCENT = (99.0, 95.0, 50.0, 1.0)  # those of the quick plan that are looked at
BORDER_MM = 5.0  # inside the surface of all targets together
SITE_ORGANS = ("Parotid_R", "Parotid_L", "Larynx", "Bone_Mandible")  # one of them tells a case of the training cases' site
ALIKE_GY = 5.0  # standard deviation of the Gaussian by which prescriptions are alike
NOISE = 1.0  # variance of what the features do not tell, in that of what they do
REACH_MM = 10.0  # outside targets, over which the move falls to 1/e
SMOOTHED_MM = 6.0  # standard deviation of the Gaussian that the move outside is smoothed by

Values = NDArray[np.float32]


def target_prescriptions(volumes: NDArray[np.floating]) -> list[float]:
    """The prescriptions of the targets in the channels (channels, z, y, x), in Gy to a tenth, highest first."""
    return sorted(set(np.unique(_prescriptions(volumes)).tolist()) - {0.0}, reverse=True)


def target_mask(volumes: NDArray[np.floating], prescription_gy: float) -> NDArray[np.bool_]:
    """The voxels (z, y, x) for which `prescription_gy` is the highest prescription."""
    mask: NDArray[np.bool_] = _prescriptions(volumes) == prescription_gy
    return mask


def dvh(dose_gy: NDArray[np.floating], percent: Sequence[float] = VOLUME_PERCENT) -> NDArray[np.float64]:
    """The doses in Gy that so many percent of the voxels (n,) get at least."""
    return np.percentile(dose_gy.astype(np.float64), 100.0 - np.asarray(percent))


def target_features(volumes: NDArray[np.floating], voxel_mm3: float, prescription_gy: float) -> NDArray[np.float64]:
    """What the DVH of a target is foreseen from (features,).

    Of the quick plan D99, D95, D50 and D1 in Gy above the prescription; the logarithms of the volumes of target and body in cc; and the part of the
    target, 0 to 1, that lies within `BORDER_MM` of the surface of all targets.
    """
    target = target_mask(volumes, prescription_gy)
    quick_gy = volumes[CHANNELS.index("prior")][target].astype(np.float64) * DOSE_SCALE_GY
    depth_mm = -volumes[CHANNELS.index("distance")][target].astype(np.float64) * DISTANCE_SCALE_MM
    body = np.count_nonzero(volumes[CHANNELS.index("body")] > 0.5)
    sizes_cc = np.array([len(quick_gy), body]) * voxel_mm3 / 1000.0
    return np.concatenate([dvh(quick_gy, SEEN_PERCENT) - prescription_gy, np.log(sizes_cc), [np.mean(depth_mm < BORDER_MM)]])


@dataclass(frozen=True, eq=False)
class TargetDVH:
    """What training cases tell of targets of one prescription.

    `features` (cases, features) are theirs, from which `mean` (features,) has been taken away and which have been divided by `deviation` (features,);
    `usual_gy` (points,) is their usual DVH relative to the prescription, and `weights` (cases, points) is what each case, times its likeness, adds.
    """

    features: torch.Tensor
    mean: torch.Tensor
    deviation: torch.Tensor
    usual_gy: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def fitted(cls, features: NDArray[np.float64], dvhs_gy: NDArray[np.float64]) -> TargetDVH:
        """From the features (cases, features) and DVHs relative to the prescription (cases, points) of training cases."""
        mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
        usual = np.median(dvhs_gy, axis=0)
        about = np.clip(dvhs_gy, *np.percentile(dvhs_gy, (2, 98), axis=0)) - usual  # so that no single plan counts for many
        scaled = (features - mean) / deviation
        weights = np.linalg.solve(_likeness(scaled, scaled) + NOISE * np.eye(len(scaled)), about)
        return cls(*(torch.from_numpy(values).float() for values in (scaled, mean, deviation, usual, weights)))

    def foreseen(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """The DVH relative to the prescription (points,) in Gy, and how like this case the likest training case is, 0 to 1."""
        scaled = (features - self.mean.double().numpy()) / self.deviation.double().numpy()
        likeness = _likeness(scaled[None], self.features.double().numpy())[0]
        relative_gy = self.usual_gy.double().numpy() + likeness @ self.weights.double().numpy()
        return np.maximum.accumulate(relative_gy), float(likeness.max())


@dataclass(frozen=True, eq=False)
class TargetDVHs:
    """What is known of the DVHs of targets, by their prescription in Gy; nothing, unless a model brings it."""

    known: Mapping[float, TargetDVH] = field(default_factory=dict)

    def applied(self, dose_gy: Values, volumes: NDArray[np.floating], spacing_zyx_mm: tuple[float, float, float]) -> Values:
        """The dose (z, y, x) with the DVHs of its targets as they are foreseen; `volumes` (channels, z, y, x) are the case's channels."""
        if not self.known or not any(volumes[CHANNELS.index(organ)].any() for organ in SITE_ORGANS):
            return dose_gy
        body = volumes[CHANNELS.index("body")] > 0.5
        moved = np.zeros_like(dose_gy)
        targets = np.zeros(body.shape, bool)
        for prescription in target_prescriptions(volumes):
            target = target_mask(volumes, prescription) & body
            targets |= target
            if not target.any():
                continue
            nearest = min(self.known, key=lambda known: abs(known - prescription))
            foreseen_gy, likeness = self.known[nearest].foreseen(target_features(volumes, float(np.prod(spacing_zyx_mm)), prescription))
            likeness *= np.exp(-0.5 * ((nearest - prescription) / ALIKE_GY) ** 2)
            have_gy = dvh(dose_gy[target])
            moved[target] = likeness * np.interp(dose_gy[target], have_gy, prescription + foreseen_gy - have_gy)
        if not moved.any():
            return dose_gy
        _carry_outside(moved, targets, spacing_zyx_mm)
        return np.where(body, np.maximum(dose_gy + moved, 0), 0).astype(np.float32)

    def as_tensors(self) -> dict[str, torch.Tensor]:
        """For the model's file, by names that `from_tensors` reads."""
        return {f"{prescription:g}.{name}": tensor for prescription, known in self.known.items() for name, tensor in vars(known).items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> TargetDVHs:
        """Raises KeyError where a part is missing."""
        prescriptions = sorted({name.rpartition(".")[0] for name in tensors})
        parts = TargetDVH.__dataclass_fields__
        return cls({float(gy): TargetDVH(**{part: tensors[f"{gy}.{part}"].float() for part in parts}) for gy in prescriptions})


def _prescriptions(volumes: NDArray[np.floating]) -> NDArray[np.float32]:
    """The prescription of each voxel (z, y, x) in Gy, to a tenth: channels may be stored in half precision."""
    return np.round(volumes[CHANNELS.index("prescription")].astype(np.float32) * DOSE_SCALE_GY, 1)


def _likeness(these: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How alike cases are (these, others), 0 to 1, by their scaled features: a Gaussian of the mean squared difference."""
    likeness: NDArray[np.float64] = np.exp(-0.5 * np.square(these[:, None] - others[None]).mean(axis=-1))
    return likeness


def _carry_outside(moved: Values, targets: NDArray[np.bool_], spacing_zyx_mm: tuple[float, float, float]) -> None:
    """Move what lies outside the targets as their nearest parts on average, less and less with distance."""
    margins = [int(np.ceil(4 * REACH_MM / spacing)) for spacing in spacing_zyx_mm]
    around = ndimage.find_objects(targets.astype(np.int8))[0]
    box = tuple(slice(max(0, part.start - margin), part.stop + margin) for part, margin in zip(around, margins, strict=True))
    inside, move = targets[box], moved[box]
    sigma = [SMOOTHED_MM / spacing for spacing in spacing_zyx_mm]
    smoothed = ndimage.gaussian_filter(move, sigma) / np.maximum(ndimage.gaussian_filter(inside.astype(np.float32), sigma), 1e-3)
    distance_mm, nearest = ndimage.distance_transform_edt(~inside, sampling=spacing_zyx_mm, return_indices=True)
    moved[box] = np.where(inside, move, smoothed[tuple(nearest)] * np.exp(-distance_mm / REACH_MM))
