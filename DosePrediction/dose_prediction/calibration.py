"""Calibration of samples: their spread about the expected dose, made as wide as the errors of predictions are.

In a structure, a sample differs from the mean of all samples by a shift, by a slope (how much hotter the hot voxels are, and colder the cold ones),
and by a pattern about both.  Errors of predictions are mostly shifts and slopes, samples are mostly patterns.  Three factors for each kind of
structure multiply the three, so that any band of quantiles of DVHs is as wide as it has to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction.region import PlanningRegion

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

HIGHEST_TARGET, OTHER_TARGETS, PAROTIDS, CORD_AND_BRAINSTEM, OTHER_ORGANS, TISSUE = KINDS = (
    "highest target",
    "other targets",
    "parotids",
    "cord and brainstem",
    "other organs",
    "tissue",
)
_KIND_OF_ORGAN = {"Parotid_L": PAROTIDS, "Parotid_R": PAROTIDS, "SpinalCord": CORD_AND_BRAINSTEM, "Brainstem": CORD_AND_BRAINSTEM}
BAND = 0.8  # the part of cases that a band from the 10th to the 90th percentile of the samples is to hold


@dataclass(frozen=True)
class Factors:
    """What multiplies the shift of a sample in a structure, its slope, and its pattern."""

    shift: float = 1.0
    slope: float = 1.0
    pattern: float = 1.0


@dataclass(frozen=True)
class Calibration:
    """The factors of every kind of structure, as fitted on predictions with `samples` samples."""

    samples: int
    factors: Mapping[str, Factors]

    def as_dict(self) -> dict[str, Any]:
        """For the model's card."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Calibration | None:
        """The calibration in a released model's card; None where there is none."""
        entry = card.get("calibration")
        return cls(entry["samples"], {kind: Factors(**factors) for kind, factors in entry["factors"].items()}) if entry else None

    def applied(self, samples_gy: list[Volume], expected_gy: Volume, region: PlanningRegion) -> list[Volume]:
        """The samples (z, y, x) on the region's grid, about `expected_gy` and calibrated structure by structure; never negative.

        One sample alone has no spread and stays as it is.
        """
        if len(samples_gy) < 2:
            return samples_gy
        widening = band_width(self.samples) / band_width(len(samples_gy))
        middle = np.mean(samples_gy, axis=0, dtype=np.float32)
        parts = compartments(region)
        return [self._about(expected_gy, sample - middle, parts, widening) for sample in samples_gy]

    def _about(self, expected_gy: Volume, difference: Volume, parts: list[tuple[str, Mask]], widening: float) -> Volume:
        scaled = expected_gy.copy()
        for kind, part in parts:
            factors = self.factors[kind]
            modes = taken_apart(difference[part], expected_gy[part])
            scaled[part] += widening * (factors.shift * modes.shift + factors.slope * modes.sloped + factors.pattern * modes.pattern)
        return np.maximum(scaled, 0)


@dataclass(frozen=True, eq=False)
class Modes:
    """A difference of dose in one structure as the sum of three: a number, and two arrays (n,)."""

    shift: float
    sloped: Volume
    pattern: Volume


def taken_apart(difference_gy: Volume, expected_gy: Volume) -> Modes:
    """The modes of a difference (n,) in a structure with this expected dose (n,)."""
    shift = float(difference_gy.mean())
    lever = expected_gy - expected_gy.mean()
    sloped = lever * float((lever * difference_gy).mean() / max(float(np.square(lever).mean()), 1e-6))
    return Modes(shift, sloped, difference_gy - shift - sloped)


def compartments(region: PlanningRegion) -> list[tuple[str, Mask]]:
    """The body in parts, each with its kind: the targets, the organs outside them, and the rest; a voxel is in one part."""
    prescription = region.prescription_map_gy
    free = region.body.copy()
    parts = []
    for rank, target in enumerate(region.targets):
        parts.append((OTHER_TARGETS if rank else HIGHEST_TARGET, free & (prescription == np.float32(target.prescription_gy))))
    free &= prescription == 0
    for name, fraction in region.organs.items():
        parts.append((_KIND_OF_ORGAN.get(name, OTHER_ORGANS), free & (fraction >= 0.5)))
        free &= fraction < 0.5
    parts.append((TISSUE, free))
    return [(kind, part) for kind, part in parts if part.any()]


def band_width(samples: int) -> float:
    """How wide the band of a normal distribution comes out from a number of samples, in its standard deviations.

    The fewer samples there are, the narrower the band between their 10th and 90th percentile; order statistics after Blom (1958).

    >>> round(band_width(10), 2), round(band_width(100_000), 2)
    (2.11, 2.56)
    """
    ranks = [NormalDist().inv_cdf((rank - 0.375) / (samples + 0.25)) for rank in range(1, samples + 1)]
    low, high = np.quantile(ranks, [(1 - BAND) / 2, (1 + BAND) / 2])
    return float(high - low) or 1.0
