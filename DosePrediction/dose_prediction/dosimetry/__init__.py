"""Doses judged: dose-volume histograms, dose metrics and clinical goals.  Needs numpy only."""

from dose_prediction.dosimetry.clinical_goals import (
    ClinicalGoal,
    GoalError,
    GoalResult,
    GoalSet,
    Outcome,
    evaluate_goal,
    evaluate_goals,
    load_goal_set,
    parse_goal,
)
from dose_prediction.dosimetry.dvh import (
    absolute_volume_at_dose,
    cumulative_dvh,
    dose_at_absolute_volume,
    dose_at_volume,
    dose_axis,
    volume_at_dose,
    volume_cc,
)

__all__ = [
    "ClinicalGoal",
    "GoalError",
    "GoalResult",
    "GoalSet",
    "Outcome",
    "absolute_volume_at_dose",
    "cumulative_dvh",
    "dose_at_absolute_volume",
    "dose_at_volume",
    "dose_axis",
    "evaluate_goal",
    "evaluate_goals",
    "load_goal_set",
    "parse_goal",
    "volume_at_dose",
    "volume_cc",
]
