"""Fit and judge the calibration of samples on cases whose plan is known.

The factors of `calibration` are those whose DVH bands hold the reference as often as they promise, metric by metric, and among those the narrowest by
the interval score (Gneiting and Raftery, J. Am. Stat. Assoc. 102, 359, 2007).  They are judged on cases that they were not fitted on.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from dose_prediction.calibration import BAND, HIGHEST_TARGET, KINDS, OTHER_TARGETS, TISSUE, Calibration, Factors, compartments, taken_apart
from dose_prediction.case import CaseError
from dose_prediction.openkbp import dvh_metrics
from dose_prediction.region import PlanningRegion

Volume = NDArray[np.float32]
NOT_CALIBRATED = "The spread of its samples is not calibrated."  # a limit in the card of a model until it is released
SHIFTS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.5, 8.0)
SLOPES = (0.0, 1.0, 2.0, 3.0, 4.5, 6.0)
PATTERNS = (0.2, 0.4)
AIM = 0.81  # of coverage: factors fitted on few cases hold a little less on others than on these
SCORE_WEIGHT = 3e-3  # of the interval score in Gy against squared differences of coverage, which few cases tell only in steps
HALVINGS = 5  # of the cases to judge a calibration on: with one alone, chance moves the coverage of a metric by several percent
MOST_VOXELS, BODY_VOXELS = 1500, 20_000  # about so many evenly chosen voxels stand for a target, and for the body


@dataclass(frozen=True, eq=False)
class DrawnStructure:
    """Some voxels of a case with their reference and expected dose (n,) and their samples' differences from their mean, taken apart.

    A voxel lies in compartment `part` (n,) of kind `kinds[part]`; `modes` (3, samples, n) are shift, slope and pattern of the compartment there.
    """

    case: str
    name: str
    is_target: bool
    voxel_mm3: float
    reference_gy: Volume
    expected_gy: Volume
    part: NDArray[np.int64]
    kinds: tuple[str, ...]
    modes: NDArray[np.float16]

    @property
    def main_kind(self) -> str:
        """The kind of most of its voxels."""
        return self.kinds[int(np.bincount(self.part).argmax())]

    def samples_gy(self, factors: Mapping[str, Factors]) -> NDArray[np.float32]:
        """The calibrated samples (samples, n)."""
        per_part = np.array([astuple(factors[kind]) for kind in self.kinds], np.float32)  # (parts, 3)
        return np.maximum(self.expected_gy + np.einsum("nm,msn->sn", per_part[self.part], self.modes.astype(np.float32)), 0)

    def bands(self, factors: Mapping[str, Factors]) -> dict[str, tuple[float, float, float]]:
        """Of every DVH metric: the band's ends and the reference's value in Gy."""
        everywhere = np.ones(len(self.part), bool)
        reference = dvh_metrics(self.reference_gy, everywhere, self.voxel_mm3, self.is_target)
        drawn = [dvh_metrics(sample, everywhere, self.voxel_mm3, self.is_target) for sample in self.samples_gy(factors)]
        ends = {metric: np.quantile([sample[metric] for sample in drawn], [(1 - BAND) / 2, (1 + BAND) / 2]) for metric in reference}
        return {metric: (float(ends[metric][0]), float(ends[metric][1]), value) for metric, value in reference.items()}


@dataclass(frozen=True, eq=False)
class DrawnCase:
    """One case's targets and organs, and a part of the voxels of its body."""

    name: str
    samples: int
    structures: tuple[DrawnStructure, ...]
    body: DrawnStructure


def drawn_case(name: str, region: PlanningRegion, reference_gy: Volume, expected_gy: Volume, samples_gy: Sequence[Volume]) -> DrawnCase:
    """What calibration needs of a case; all doses (z, y, x) on the region's grid, the samples not calibrated."""
    parts = compartments(region)
    part = np.zeros(region.grid.shape, np.int64)
    for index, (_, members) in enumerate(parts):
        part[members] = index
    kinds = tuple(kind for kind, _ in parts)
    middle = np.mean(samples_gy, axis=0, dtype=np.float32)
    modes = np.zeros((3, len(samples_gy), *region.grid.shape), np.float16)
    for index, sample in enumerate(samples_gy):
        for _, members in parts:
            found = taken_apart((sample - middle)[members], expected_gy[members])
            for mode, values in enumerate((found.shift, found.sloped, found.pattern)):
                modes[mode, index][members] = values

    def drawn(structure: str, is_target: bool, mask: NDArray[np.bool_], most: int) -> DrawnStructure:
        voxels = np.flatnonzero(mask)
        some = voxels[:: max(1, len(voxels) // most)]
        reference, expected = reference_gy.ravel()[some], expected_gy.ravel()[some]
        there = modes.reshape(3, len(samples_gy), -1)[:, :, some]
        return DrawnStructure(name, structure, is_target, region.grid.voxel_volume_mm3, reference, expected, part.ravel()[some], kinds, there)

    prescription = region.prescription_map_gy
    masks = [(f"PTV{t.prescription_gy:g}", True, region.body & (prescription == np.float32(t.prescription_gy))) for t in region.targets]
    masks += [(organ, False, region.body & (fraction >= 0.5)) for organ, fraction in region.organs.items()]
    # Percentiles of a target need not all of its voxels; the hottest 0.1 cc of an organ do.
    structures = tuple(
        drawn(structure, is_target, mask, MOST_VOXELS if is_target else mask.size) for structure, is_target, mask in masks if mask.any()
    )
    return DrawnCase(name, len(samples_gy), structures, drawn("body", False, region.body, BODY_VOXELS))


def fitted_calibration(cases: Sequence[DrawnCase]) -> Calibration:
    """The factors that suit `cases` best, kind by kind; the targets first, since organs reach into them."""
    factors = {kind: Factors() for kind in KINDS}
    for kind in (HIGHEST_TARGET, OTHER_TARGETS, *(kind for kind in KINDS if kind not in (HIGHEST_TARGET, OTHER_TARGETS, TISSUE))):
        structures = [structure for case in cases for structure in case.structures if structure.main_kind == kind]
        if structures:
            choices = [factors | {kind: Factors(*choice)} for choice in itertools.product(SHIFTS, SLOPES, PATTERNS)]
            factors = min(choices, key=lambda choice: _unfitness(structures, choice))
    factors[TISSUE] = _tissue_factors([case.body for case in cases])
    return Calibration(cases[0].samples, factors)


def _unfitness(structures: Sequence[DrawnStructure], factors: Mapping[str, Factors]) -> float:
    """How far the coverage of each metric is from `AIM`, by the number of its bands, and a little of the bands' interval score."""
    held: dict[str, list[bool]] = defaultdict(list)
    scores = []
    for structure in structures:
        for metric, (low, high, value) in structure.bands(factors).items():
            held[metric].append(low <= value <= high)
            scores.append(interval_score(low, high, value))
    bands = max(len(found) for found in held.values())
    return sum(len(found) / bands * (float(np.mean(found)) - AIM) ** 2 for found in held.values()) + SCORE_WEIGHT * float(np.mean(scores))


def interval_score(low: float, high: float, value: float) -> float:
    """Width of the band, and 2 / (1 - BAND) times how far outside it the value lies.

    >>> interval_score(1.0, 3.0, 2.0), round(interval_score(1.0, 3.0, 4.0), 6)
    (2.0, 12.0)
    """
    return high - low + 2 / (1 - BAND) * (max(low - value, 0.0) + max(value - high, 0.0))


def _tissue_factors(bodies: Iterable[DrawnStructure]) -> Factors:
    """One factor that makes the mean squared spread in the tissue the mean squared error there."""
    errors, spreads = [], []
    raw = {kind: Factors() for kind in KINDS}
    for body in bodies:
        tissue = body.part == body.kinds.index(TISSUE)
        errors.append(float(np.square(body.expected_gy - body.reference_gy)[tissue].mean()))
        spreads.append(float(body.samples_gy(raw).var(axis=0)[tissue].mean()))
    factor = round(float(np.sqrt(np.mean(errors) / np.mean(spreads))), 2)
    return Factors(factor, factor, factor)


@dataclass(frozen=True)
class Coverage:
    """How many of a number of bands held the reference, in percent; its standard error is that of independent bands."""

    bands: int
    percent: float

    @property
    def standard_error(self) -> float:
        return float(np.sqrt(self.percent * (100 - self.percent) / self.bands))


@dataclass(frozen=True)
class Judgement:
    """In what part of the halvings the band of each metric held the reference, by case, structure and metric; and each case's rank correlation of
    spread and error."""

    held: Mapping[tuple[str, str, str], float]
    correlation: Mapping[str, float]

    @property
    def structures(self) -> list[str]:
        return sorted({structure for _, structure, _ in self.held})

    @property
    def metrics(self) -> list[str]:
        return sorted({metric for _, _, metric in self.held})

    def coverage(self, structure: str | None = None, metric: str | None = None) -> Coverage:
        """Of the bands of a structure, of a metric, or of all."""
        wanted = [held for (_, s, m), held in self.held.items() if structure in (None, s) and metric in (None, m)]
        return Coverage(len(wanted), 100 * float(np.mean(wanted)))

    def as_dict(self) -> dict[str, Any]:
        """Coverage in percent of each structure and of each metric, and the correlations."""
        ranks = list(self.correlation.values())
        return {
            "band": f"{BAND:.0%} of the samples",
            "coverage_percent": {metric: round(self.coverage(metric=metric).percent, 1) for metric in self.metrics},
            "coverage_percent_by_structure": {structure: round(self.coverage(structure).percent, 1) for structure in self.structures},
            "coverage_percent_overall": round(self.coverage().percent, 1),
            "spearman_of_spread_and_error": {case: round(rank, 2) for case, rank in self.correlation.items()},
            "spearman_median": round(float(np.median(ranks)), 2),
        }


def cross_judged(cases: Sequence[DrawnCase]) -> Judgement:
    """Each half of the cases judged by the calibration that was fitted on the other half, on average over several ways to halve them."""
    if len(cases) < 2:
        raise CaseError(f"Samples of {len(cases)} case cannot be calibrated on one half of the cases and judged on the other; give at least 2 cases.")
    held: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    correlations: dict[str, list[float]] = defaultdict(list)
    generator = np.random.default_rng(0)
    for _ in range(HALVINGS):
        order = generator.permutation(len(cases))
        for half, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
            factors = fitted_calibration([cases[number] for number in other]).factors
            for case in (cases[number] for number in half):
                for structure in case.structures:
                    for metric, (low, high, value) in structure.bands(factors).items():
                        held[case.name, structure.name, metric].append(low <= value <= high)
                spread = case.body.samples_gy(factors).std(axis=0)
                correlations[case.name].append(float(spearmanr(spread, np.abs(case.body.expected_gy - case.body.reference_gy)).statistic))
    return Judgement(
        {band: float(np.mean(found)) for band, found in held.items()}, {case: float(np.mean(found)) for case, found in correlations.items()}
    )
