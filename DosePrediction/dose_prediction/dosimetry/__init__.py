"""Doses judged: dose-volume histograms, dose metrics, clinical goals and gamma.  Loads with numpy alone; scipy is loaded by what needs it."""

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
    structure_doses,
    write_goal_set,
)
from dose_prediction.dosimetry.comparison import Agreement, Change, Comparison, PairedDvh, compare_doses
from dose_prediction.dosimetry.dvh import (
    absolute_volume_at_dose,
    cumulative_dvh,
    dose_at_absolute_volume,
    dose_at_volume,
    dose_axis,
    volume_at_dose,
    volume_cc,
)
from dose_prediction.dosimetry.gamma import GammaCriteria, gamma_index, passing_percent
from dose_prediction.dosimetry.metrics import gradient_index, homogeneity_index, isodose_dice, isodose_hd95_mm, isodose_volume_cc, paddick_conformity
from dose_prediction.dosimetry.structure_dose import StructureDose
from dose_prediction.dosimetry.sub_voxel import END_CAP, Samples, dose_in_contours, dose_in_mask, dose_in_slices, dose_in_surface, samples_in_slices

__all__ = [
    "END_CAP",
    "Agreement",
    "Change",
    "ClinicalGoal",
    "Comparison",
    "GammaCriteria",
    "GoalError",
    "GoalResult",
    "GoalSet",
    "Outcome",
    "PairedDvh",
    "Samples",
    "StructureDose",
    "absolute_volume_at_dose",
    "compare_doses",
    "cumulative_dvh",
    "dose_at_absolute_volume",
    "dose_at_volume",
    "dose_axis",
    "dose_in_contours",
    "dose_in_mask",
    "dose_in_slices",
    "dose_in_surface",
    "evaluate_goal",
    "evaluate_goals",
    "gamma_index",
    "gradient_index",
    "homogeneity_index",
    "isodose_dice",
    "isodose_hd95_mm",
    "isodose_volume_cc",
    "load_goal_set",
    "paddick_conformity",
    "parse_goal",
    "passing_percent",
    "samples_in_slices",
    "structure_doses",
    "volume_at_dose",
    "volume_cc",
    "write_goal_set",
]
