"""Two doses of one case compared: difference, DVHs side by side, change of each metric, isodoses and gamma.

Differences are the second dose less the first, the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dose_prediction.dosimetry.dvh import dose_axis
from dose_prediction.dosimetry.gamma import GammaCriteria, gamma_index, passing_percent
from dose_prediction.dosimetry.metrics import gradient_index, homogeneity_index, isodose_dice, isodose_hd95_mm, isodose_volume_cc, paddick_conformity
from dose_prediction.dosimetry.structure_dose import StructureDose
from dose_prediction.dosimetry.sub_voxel import samples_in_slices

if TYPE_CHECKING:
    from dose_prediction.case.grid import Grid
    from dose_prediction.case.plan_case import PlanCase
    from dose_prediction.case.structure import Structure

# Isodoses that are compared, in percent of the highest prescription.
ISODOSE_PERCENTS = (95, 80, 50, 20)
SMALL_VOLUME_CC = 0.03


@dataclass(frozen=True)
class Change:
    """One figure of both doses: of a structure, or of what `where` says (the body, a whole isodose)."""

    where: str
    metric: str
    unit: str
    reference: float
    evaluated: float

    @property
    def difference(self) -> float:
        return self.evaluated - self.reference


@dataclass(frozen=True)
class Agreement:
    """One figure that two doses have together, such as the mean absolute error in the body."""

    where: str
    metric: str
    unit: str
    value: float


@dataclass(frozen=True, eq=False)
class PairedDvh:
    """Percent of a structure's volume that receives at least each dose of `axis_gy`, in both doses."""

    structure: str
    axis_gy: NDArray[np.float64]
    reference_percent: NDArray[np.float64]
    evaluated_percent: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare_doses` found; `difference_gy` and `gamma` are (z, y, x), gamma NaN where it is not judged."""

    difference_gy: NDArray[np.float32]
    gamma: NDArray[np.float32]
    criteria: GammaCriteria
    dvhs: tuple[PairedDvh, ...]
    changes: tuple[Change, ...]
    agreement: tuple[Agreement, ...]


def compare_doses(
    case: PlanCase,
    reference_gy: NDArray[np.floating],
    evaluated_gy: NDArray[np.floating],
    criteria: GammaCriteria | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Comparison:
    """Both doses, (z, y, x) in Gy on the grid of the case, in every target and organ, in the body, and at isodoses of the highest prescription.

    DVHs and metrics in structures are those of `dose_in_slices`; conformity and gradient index divide voxels; mean absolute differences, Dice and
    HD95 count whole ones.  Gamma is judged inside the body.  Raises ValueError.
    """
    for what, dose in (("reference", reference_gy), ("evaluated", evaluated_gy)):
        if dose.shape != case.grid.shape:
            raise ValueError(f"The {what} dose has shape {dose.shape} and the case {case.grid.shape}; resample it to the CT.")
    criteria = criteria or GammaCriteria()
    structures = (*case.targets, *case.organs)
    axis_gy = dose_axis(max(float(reference_gy.max()), float(evaluated_gy.max())))
    dvhs: list[PairedDvh] = []
    changes: list[Change] = []
    for structure in structures:
        samples = samples_in_slices(case.grid, structure.mask)
        before, after = samples.dose(reference_gy), samples.dose(evaluated_gy)
        dvhs.append(PairedDvh(structure.name, axis_gy, before.cumulative(axis_gy), after.cumulative(axis_gy)))
        changes += metric_changes(structure, before, after)
        if structure is case.targets[0]:  # an isodose of a lower prescription holds the higher targets as well
            changes += _changes_around(structure, (before, after), (reference_gy, evaluated_gy), case.grid)
    gamma = gamma_index(reference_gy, evaluated_gy, case.grid.spacing_zyx_mm, criteria, mask=case.body, on_progress=on_progress)
    return Comparison(
        (evaluated_gy - reference_gy).astype(np.float32),
        gamma,
        criteria,
        tuple(dvhs),
        tuple(changes),
        (*dose_agreement(case, reference_gy, evaluated_gy), Agreement("body", f"{criteria}: points with up to 1", "%", passing_percent(gamma))),
    )


def metric_changes(structure: Structure, before: StructureDose, after: StructureDose) -> tuple[Change, ...]:
    """Metrics of a structure in both doses: D98%, D95%, D50%, D2%, Dmean, D0.03cc, Dmax, V20Gy; of a target also V100% and homogeneity (ICRU 83)."""
    figures = [*_METRICS]
    prescription_gy = structure.role.prescription_gy
    if prescription_gy is not None:
        figures += [("V100%", "%", lambda found: found.volume_at_dose(prescription_gy)), ("homogeneity", "", homogeneity_index)]
    return tuple(Change(structure.name, name, unit, figure(before), figure(after)) for name, unit, figure in figures)


def _changes_around(
    target: Structure, in_target: tuple[StructureDose, StructureDose], doses_gy: tuple[NDArray[np.floating], NDArray[np.floating]], grid: Grid
) -> tuple[Change, Change]:
    """Conformity and gradient index of a target's prescription in both doses."""
    prescription_gy = target.role.prescription_gy or 0.0
    whole_cc, half_cc = ([isodose_volume_cc(dose, grid, part * prescription_gy) for dose in doses_gy] for part in (1.0, 0.5))
    conformity = [paddick_conformity(found, cc, prescription_gy) for found, cc in zip(in_target, whole_cc, strict=True)]
    gradient = [gradient_index(half, whole) for half, whole in zip(half_cc, whole_cc, strict=True)]
    return Change(target.name, "conformity", "", *conformity), Change(target.name, "gradient index", "", *gradient)


def dose_agreement(case: PlanCase, reference_gy: NDArray[np.floating], evaluated_gy: NDArray[np.floating]) -> tuple[Agreement, ...]:
    """Mean absolute difference in the body and in each structure, Dice and 95 % Hausdorff distance of the isodoses inside the body."""
    difference = np.abs(evaluated_gy.astype(np.float64) - reference_gy)
    found = [Agreement("body", "mean absolute difference", "Gy", float(difference[case.body].mean()))]
    found += [Agreement(s.name, "mean absolute difference", "Gy", float(difference[s.mask].mean())) for s in (*case.targets, *case.organs)]
    first, second = (np.where(case.body, dose, 0) for dose in (reference_gy, evaluated_gy))
    prescription_gy = case.targets[0].role.prescription_gy or 0.0
    for percent in ISODOSE_PERCENTS:
        level_gy = percent / 100 * prescription_gy
        where = f"isodose {level_gy:g} Gy ({percent} %)"
        found.append(Agreement(where, "Dice", "", isodose_dice(first, second, level_gy)))
        found.append(Agreement(where, "HD95", "mm", isodose_hd95_mm(first, second, level_gy, case.grid.spacing_zyx_mm)))
    return tuple(found)


def _dose_at(volume: float) -> Callable[[StructureDose], float]:
    return lambda found: found.dose_at_volume(volume)


def _hottest(found: StructureDose) -> float:
    return found.dose_at_volume(SMALL_VOLUME_CC, "cc")


def _largest(found: StructureDose) -> float:
    return found.max_gy


def _mean(found: StructureDose) -> float:
    return found.mean_gy


def _volume_at_20_gy(found: StructureDose) -> float:
    return found.volume_at_dose(20.0)


_METRICS: tuple[tuple[str, str, Callable[[StructureDose], float]], ...] = (
    *((f"D{percent}%", "Gy", _dose_at(percent)) for percent in (98, 95, 50, 2)),
    ("Dmean", "Gy", _mean),
    (f"D{SMALL_VOLUME_CC:g}cc", "Gy", _hottest),
    ("Dmax", "Gy", _largest),
    ("V20Gy", "%", _volume_at_20_gy),
)
