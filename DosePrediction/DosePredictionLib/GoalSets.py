"""The clinical goals that the user has chosen: one of the sets that come along, or edited or read from a file, kept in the parameter node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from slicer.i18n import tr as _

from dose_prediction.case import CaseError
from dose_prediction.dosimetry import ClinicalGoal, GoalSet, load_goal_set, parse_goal
from dose_prediction.dosimetry.clinical_goals import EVERY_TARGET, HIGHEST_TARGET
from dose_prediction.resources import resource_path

DEFAULT_SET = "HeadAndNeck"


@dataclass(frozen=True)
class PlanGoal:
    """A goal of the plan; one that is off is not judged."""

    goal: ClinicalGoal
    is_on: bool = True


@dataclass(frozen=True)
class PlanGoals:
    """A goal set as the panel lists it; `file_name` is that of the set that came along, "" once it is the user's own."""

    name: str
    description: str
    goals: tuple[PlanGoal, ...]
    file_name: str = ""

    @property
    def goal_set(self) -> GoalSet:
        """The goals that are on."""
        return GoalSet(self.name, self.description, tuple(one.goal for one in self.goals if one.is_on))


@lru_cache(maxsize=1)
def shipped_sets() -> tuple[PlanGoals, ...]:
    """The sets that come with the module, the default one first."""
    files = sorted(resource_path("Goals").glob("*.json"), key=lambda path: (path.stem != DEFAULT_SET, path.stem))
    return tuple(plan_goals(load_goal_set(path), path.stem) for path in files)


def organs_with_goals() -> tuple[str, ...]:
    """TG-263 names of all organs that the sets have goals for."""
    structures = (one.goal.structure for shipped in shipped_sets() for one in shipped.goals)
    return tuple(dict.fromkeys(structure for structure in structures if structure not in (EVERY_TARGET, HIGHEST_TARGET)))


def read_goals(path: Path | str) -> PlanGoals:
    """The user's own goal file; GoalError if it is none."""
    return plan_goals(load_goal_set(path))


def plan_goals(goal_set: GoalSet, file_name: str = "") -> PlanGoals:
    """All goals of a set, switched on."""
    return PlanGoals(goal_set.name, goal_set.description, tuple(PlanGoal(goal) for goal in goal_set.goals), file_name)


def goals_as_text(goals: PlanGoals) -> str:
    """What the parameter node keeps: the name of a set that came along, else all of it as JSON."""
    if goals.file_name:
        return goals.file_name
    listed = [[one.goal.structure, str(one.goal), one.goal.source, one.is_on] for one in goals.goals]
    return json.dumps({"name": goals.name, "description": goals.description, "goals": listed})


def goals_from_text(text: str) -> PlanGoals:
    """CaseError where the text is none of `goals_as_text`."""
    shipped = next((one for one in shipped_sets() if one.file_name == (text or DEFAULT_SET)), None)
    if shipped is not None:
        return shipped
    try:
        content = json.loads(text)
        goals = tuple(PlanGoal(parse_goal(goal, structure, source), bool(is_on)) for structure, goal, source, is_on in content["goals"])
        return PlanGoals(content["name"], content["description"], goals)
    except (ValueError, TypeError, KeyError) as error:
        raise CaseError(_("The scene's clinical goals cannot be read ({error}); choose a set.").format(error=error)) from error
