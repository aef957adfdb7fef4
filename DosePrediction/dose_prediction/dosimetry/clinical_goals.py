"""Clinical goals: what a dose should reach in a structure, and whether it does.

A goal reads as on a planning sheet: "Parotid_L: Dmean <= 26 Gy", "PTV: D95% >= 100 % of prescription", "Esophagus: V35Gy <= 50 %".

Metrics: Dmean, Dmax, Dmin; D95% and D0.03cc, the dose that at least this volume receives; V20Gy and V95%, the volume that receives at least this dose
(in Gy, or in percent of the target's prescription).  Limits: Gy or "% of prescription" for a dose, % or cc for a volume.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dose_prediction.dosimetry.structure_dose import StructureDose
from dose_prediction.dosimetry.sub_voxel import dose_in_slices
from dose_prediction.output_files import whole_file

if TYPE_CHECKING:
    from dose_prediction.case.plan_case import PlanCase
    from dose_prediction.case.structure import Structure

# Goals for the first apply to every target, each against its own prescription; goals for the second to the target of the highest one only.
EVERY_TARGET = "PTV"
HIGHEST_TARGET = "PTV_High"

# A goal missed by no more than this part of its limit is "close".
CLOSE_FRACTION = 0.05
# The dose between voxels is rounded: a uniform dose that is the limit itself meets it.
ROUNDING_FRACTION = 1e-6

PRESCRIPTION_UNIT = "% of prescription"

_NUMBER = r"(\d+(?:\.\d+)?)"
_METRIC = re.compile(rf"(?:D(mean|max|min)|(D){_NUMBER}(%|cc)|(V){_NUMBER}(Gy|%))")
_GOAL = re.compile(rf"(?:(?P<structure>[^:]+):)?\s*(?P<metric>[DVdv]\w[\w.%]*)\s*(?P<comparison>>=|<=|≥|≤|>|<)\s*(?P<limit>{_NUMBER})\s*(?P<unit>.*)")
_COMPARISONS = {">=": ">=", "≥": ">=", ">": ">=", "<=": "<=", "≤": "<=", "<": "<="}
_UNITS = {"gy": "Gy", "%": "%", "cc": "cc", "cm3": "cc", **dict.fromkeys(("% of prescription", "% of rx", "% rx"), PRESCRIPTION_UNIT)}


class GoalError(ValueError):
    """A goal cannot be understood.  The message names it and what to write instead."""


class Outcome(Enum):
    """How a dose stands to a goal; "close" is missed by no more than 5 % of the limit."""

    MET = "met"
    CLOSE = "close"
    MISSED = "missed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class ClinicalGoal:
    """`metric` of `structure` (a TG-263 name, or PTV for every target) is at least or at most `limit` in `unit`; `source` says who asks for it."""

    structure: str
    metric: str
    comparison: str
    limit: float
    unit: str
    source: str = ""

    def __post_init__(self) -> None:
        metric = _METRIC.fullmatch(self.metric)
        if metric is None:
            raise GoalError(
                f"Metric {self.metric!r} is not known; give Dmean, Dmax, Dmin, a dose such as D95% or D0.03cc, or a volume such as V20Gy or V95%."
            )
        if self.comparison not in (">=", "<="):
            raise GoalError(f"Comparison {self.comparison!r} is not known; give >= or <=.")
        units = ("%", "cc") if metric[5] else ("Gy", PRESCRIPTION_UNIT)
        if self.unit not in units:
            raise GoalError(f"The limit of {self.metric} is given in {self.unit or 'no unit'!r}; give it in {units[0]!r} or {units[1]!r}.")
        if not np.isfinite(self.limit) or self.limit < 0 or (self.unit == "%" and self.limit > 100):
            raise GoalError(f"The limit of {self.metric} is {self.limit:g} {self.unit}; give a number from 0{' to 100' if self.unit == '%' else ''}.")
        if metric[4] == "%" and float(metric[3]) > 100:
            raise GoalError(f"Metric {self.metric!r} asks for more than 100 % of the volume; give 0 to 100.")

    @property
    def needs_prescription(self) -> bool:
        """True if the goal is relative to the prescription, so that it applies to targets only."""
        return self.unit == PRESCRIPTION_UNIT or (self.metric.startswith("V") and self.metric.endswith("%"))

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.limit:g} {self.unit}"


@dataclass(frozen=True)
class GoalSet:
    """Goals that belong together, as read from a goal file; the `source` of each goal is the full citation."""

    name: str
    description: str
    goals: tuple[ClinicalGoal, ...]


@dataclass(frozen=True)
class GoalResult:
    """How a dose stands to a goal in one structure (`structure`, the user's own name for it).

    `value` and `limit` are in `unit` (Gy, % or cc; limits relative to the prescription are turned into Gy); `margin` is what is left to the limit,
    negative if the goal is missed.  `value` and `margin` are None where the goal does not apply.
    """

    goal: ClinicalGoal
    structure: str
    outcome: Outcome
    value: float | None = None
    limit: float | None = None
    margin: float | None = None
    unit: str = ""


def parse_goal(text: str, structure: str = "", source: str = "") -> ClinicalGoal:
    """A goal from text such as "D95% >= 70 Gy"; the structure may stand before it, with a colon.  Raises GoalError.

    >>> parse_goal("Parotid_L: Dmean <= 26 Gy")
    ClinicalGoal(structure='Parotid_L', metric='Dmean', comparison='<=', limit=26.0, unit='Gy', source='')
    >>> str(parse_goal("V20Gy ≤ 30%", "Lungs"))
    'V20Gy <= 30 %'
    """
    match = _GOAL.fullmatch(text.strip())
    if match is None:
        raise GoalError(f"Goal {text!r} is not understood; write it as in 'D95% >= 70 Gy', 'D0.03cc <= 45 Gy' or 'V20Gy <= 30 %'.")
    structure = (match["structure"] or structure).strip()
    unit_text = " ".join(match["unit"].split()).lower()
    unit = _UNITS.get(unit_text)
    if unit is None:
        raise GoalError(f"The limit of goal {text!r} has the unit {match['unit']!r}; give Gy, %, cc or '{PRESCRIPTION_UNIT}'.")
    return ClinicalGoal(structure, _canonical_metric(match["metric"]), _COMPARISONS[match["comparison"]], float(match["limit"]), unit, source)


def load_goal_set(path: Path | str) -> GoalSet:
    """Read a goal file (JSON; `Resources/Goals/HeadAndNeck.json` shows the layout).  Raises GoalError naming the file and what is wrong in it."""
    path = Path(path)
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sources: dict[str, str] = content["sources"]
        goals = tuple(parse_goal(entry["goal"], entry["structure"], sources[entry["source"]]) for entry in content["goals"])
        return GoalSet(content["name"], content["description"], goals)
    except OSError as error:
        raise GoalError(f"Goal file {path} cannot be read ({(error.strerror or str(error)).lower()}); check the path.") from error
    except GoalError as error:
        raise GoalError(f"Goal file {path}: {error}") from error
    except KeyError as error:
        raise GoalError(
            f"Goal file {path} lacks {error}; give name, description, sources and goals, and for each goal structure, goal and source."
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise GoalError(f"Goal file {path} is not a goal set in JSON ({error}); correct it or choose another.") from error


def write_goal_set(path: Path | str, goal_set: GoalSet) -> None:
    """Write a goal file that `load_goal_set` reads, whole or not at all; sources are numbered.  Raises OutputError."""
    sources = list(dict.fromkeys(goal.source for goal in goal_set.goals))
    content = {
        "name": goal_set.name,
        "description": goal_set.description,
        "sources": {str(number): source for number, source in enumerate(sources, start=1)},
        "goals": [{"structure": goal.structure, "goal": str(goal), "source": str(sources.index(goal.source) + 1)} for goal in goal_set.goals],
    }
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def structure_doses(dose_gy: NDArray[Any], case: PlanCase) -> dict[str, StructureDose]:
    """The dose in every target and organ by its name, with sub-voxel accuracy (`dose_in_slices`); empty structures are left out."""
    return {s.name: dose_in_slices(dose_gy, case.grid, s.mask) for s in (*case.targets, *case.organs) if s.mask.any()}


def evaluate_goals(goals: tuple[ClinicalGoal, ...], doses: Mapping[str, StructureDose], case: PlanCase) -> tuple[GoalResult, ...]:
    """Every goal on the structures of `case` that it is for; one result a structure, or one "not applicable" where the case has none.

    `doses` are those of the structures by name, as `structure_doses` gives them; to a structure that has none no goal applies.
    """
    results: list[GoalResult] = []
    for goal in goals:
        structures = _structures_of(goal, case)
        results += [evaluate_goal(goal, doses.get(structure.name), structure.role.prescription_gy, structure.name) for structure in structures]
        if not structures:
            results.append(GoalResult(goal, goal.structure, Outcome.NOT_APPLICABLE))
    return tuple(results)


def evaluate_goal(goal: ClinicalGoal, dose: StructureDose | None, prescription_gy: float | None = None, structure: str = "") -> GoalResult:
    """One goal on one structure.  Without a dose, or a relative goal without a prescription, it is "not applicable".

    >>> result = evaluate_goal(parse_goal("Dmean <= 26 Gy"), StructureDose([20.0, 34.0], [0.5, 0.5]))
    >>> result.outcome.value, round(result.value, 6), round(result.margin, 6)
    ('close', 27.0, -1.0)
    """
    structure = structure or goal.structure
    if dose is None or (goal.needs_prescription and prescription_gy is None):
        return GoalResult(goal, structure, Outcome.NOT_APPLICABLE)
    value = _metric_value(goal, dose, prescription_gy or 0.0)
    relative = goal.unit == PRESCRIPTION_UNIT
    limit = goal.limit / 100.0 * (prescription_gy or 0.0) if relative else goal.limit
    margin = limit - value if goal.comparison == "<=" else value - limit
    outcome = Outcome.MET if margin >= -ROUNDING_FRACTION * limit else Outcome.CLOSE if -margin <= CLOSE_FRACTION * limit else Outcome.MISSED
    return GoalResult(goal, structure, outcome, value, limit, margin, "Gy" if relative else goal.unit)


def _metric_value(goal: ClinicalGoal, inside: StructureDose, prescription_gy: float) -> float:
    """The goal's metric, a dose in Gy or a volume in the unit of the goal's limit."""
    match = _METRIC.fullmatch(goal.metric)
    assert match is not None, "ClinicalGoal checks its metric"
    statistic, _, volume, volume_unit, _, dose, dose_unit = match.groups()
    if statistic:
        return {"mean": inside.mean_gy, "max": inside.max_gy, "min": inside.min_gy}[statistic]
    if volume:
        return inside.dose_at_volume(float(volume), "cc" if volume_unit == "cc" else "%")
    at_least_gy = float(dose) if dose_unit == "Gy" else float(dose) / 100.0 * prescription_gy
    return inside.volume_at_dose(at_least_gy, "cc" if goal.unit == "cc" else "%")


def _structures_of(goal: ClinicalGoal, case: PlanCase) -> tuple[Structure, ...]:
    if goal.structure == EVERY_TARGET:
        return case.targets
    if goal.structure == HIGHEST_TARGET:
        return case.targets[:1]
    return tuple(organ for organ in case.organs if organ.role.standard_name == goal.structure)


def _canonical_metric(text: str) -> str:
    """The metric as the field writes it, whatever the capitals: "dMEAN" is Dmean, "d0.03CC" D0.03cc."""
    lower = text.lower()
    return (lower[:1].upper() + lower[1:]).replace("gy", "Gy")
