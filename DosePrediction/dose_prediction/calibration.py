"""Calibration of samples: their spread about the expected dose, made as wide as the errors of predictions are.

Two factors for each kind of structure.  In a structure, a sample differs from the expected dose by a shift (the mean difference) and by a pattern
about it; errors of predictions are mostly shifts, samples are mostly patterns.  `shift` and `pattern` multiply the two, so that any band of quantiles
of DVHs is as wide as it has to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from dose_prediction.region import PlanningRegion

Volume = NDArray[np.float32]

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
    """What multiplies a sample's mean difference from the expected dose in a structure, and what the pattern about it."""

    shift: float = 1.0
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
        """The samples (z, y, x) on the region's grid with their differences from `expected_gy` scaled, structure by structure; never negative."""
        widening = band_width(self.samples) / band_width(len(samples_gy))
        parts = compartments(region)
        scaled = []
        for sample in samples_gy:
            difference = sample - expected_gy
            for kind, part in parts:
                inside, factors = difference[part], self.factors[kind]
                difference[part] = widening * (factors.pattern * (inside - inside.mean()) + factors.shift * inside.mean())
            scaled.append(np.maximum(expected_gy + difference, 0))
        return scaled


def compartments(region: PlanningRegion) -> list[tuple[str, NDArray[np.bool_]]]:
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
    ranks = norm.ppf((np.arange(1, samples + 1) - 0.375) / (samples + 0.25))
    low, high = np.quantile(ranks, [(1 - BAND) / 2, (1 + BAND) / 2])
    return float(high - low) or 1.0
