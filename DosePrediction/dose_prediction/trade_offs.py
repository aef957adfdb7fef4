"""What a steered dose gained and what it cost: the change of every structure's metrics, as numbers and in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dose_prediction.case import DoseGoal, PlanCase
from dose_prediction.dosimetry import dose_at_absolute_volume, dose_at_volume

WORTH_TELLING_GY = 0.5
MET_WITHIN_GY = 0.5
GOAL_METRICS = {"mean": "Dmean", "max": "D0.1cc"}


@dataclass(frozen=True)
class MetricChange:
    """A dose metric of a structure (the user's own name for it, and its TG-263 name), in Gy, without the goals and with them."""

    structure: str
    standard_name: str
    metric: str
    before_gy: float
    after_gy: float

    @property
    def change_gy(self) -> float:
        return self.after_gy - self.before_gy

    def __str__(self) -> str:
        return f"{self.structure} {self.metric} {self.before_gy:.1f} -> {self.after_gy:.1f} Gy ({self.change_gy:+.1f})"


def metric_changes(case: PlanCase, before_gy: NDArray[np.float32], after_gy: NDArray[np.float32]) -> tuple[MetricChange, ...]:
    """D95%, D99% and D1% of every target, Dmean and D0.1cc of every organ; doses (z, y, x) on the grid of `case`."""
    found = []
    for structure in (*case.targets, *case.organs):
        is_target = structure in case.targets
        before, after = (_metrics(dose, structure.mask, case.grid.voxel_volume_mm3, is_target) for dose in (before_gy, after_gy))
        name = structure.role.standard_name or structure.name
        found += [MetricChange(structure.name, name, metric, before[metric], after[metric]) for metric in before]
    return tuple(found)


def goal_sentences(goals: Sequence[DoseGoal], changes: Sequence[MetricChange]) -> list[str]:
    """Whether each goal is met, and what it cost elsewhere, in words."""
    sentences = []
    steered = set()
    for goal in goals:
        for change in changes:
            if (change.standard_name, change.metric) == (goal.organ, GOAL_METRICS[goal.metric]):
                over = change.after_gy - goal.limit_gy
                verdict = "met" if over <= 0 else f"met within {over:.1f} Gy" if over <= MET_WITHIN_GY else f"out of reach by {over:.1f} Gy"
                sentences.append(f"Goal {goal}: {verdict}; {change}.")
                steered.add(goal.organ)
    cost = [str(change) for change in changes if change.standard_name not in steered and _is_worse(change)]
    sentences.append(f"It costs: {'; '.join(cost)}." if cost else f"It costs no other structure more than {WORTH_TELLING_GY:g} Gy.")
    return sentences


def _is_worse(change: MetricChange) -> bool:
    """More dose to an organ, less coverage or a hotter spot in a target."""
    worse = -change.change_gy if change.metric in ("D95%", "D99%") else change.change_gy
    return worse >= WORTH_TELLING_GY


def _metrics(dose_gy: NDArray[np.float32], mask: NDArray[np.bool_], voxel_mm3: float, is_target: bool) -> dict[str, float]:
    if is_target:
        return {f"D{percent}%": dose_at_volume(dose_gy, mask, percent) for percent in (99, 95, 1)}
    return {"Dmean": float(dose_gy[mask].mean()), "D0.1cc": dose_at_absolute_volume(dose_gy, mask, 0.1, voxel_mm3)}
