"""What is planned: CT grid, structures and their roles, prescriptions, beams."""

from dose_prediction.case.arc import Arc, static_fields
from dose_prediction.case.beam import LEAF_WIDTHS_MM, Beam, equispaced_beams, with_leaf_width
from dose_prediction.case.beam_checks import check_beams
from dose_prediction.case.beam_json import beams_as_json, beams_from_json
from dose_prediction.case.beam_notation import describe, parse_beams
from dose_prediction.case.beam_templates import TEMPLATES, BeamTemplate, template_named
from dose_prediction.case.body import find_body, find_body_in_steps
from dose_prediction.case.dose_goal import DoseGoal, parse_dose_goal
from dose_prediction.case.errors import CaseError, CaseWarning
from dose_prediction.case.grid import IDENTITY, Grid
from dose_prediction.case.plan_case import PlanCase
from dose_prediction.case.structure import MAX_PRESCRIPTION_GY, Role, RoleKind, Structure
from dose_prediction.case.structure_names import recognise

__all__ = [
    "IDENTITY",
    "LEAF_WIDTHS_MM",
    "MAX_PRESCRIPTION_GY",
    "TEMPLATES",
    "Arc",
    "Beam",
    "BeamTemplate",
    "CaseError",
    "CaseWarning",
    "DoseGoal",
    "Grid",
    "PlanCase",
    "Role",
    "RoleKind",
    "Structure",
    "beams_as_json",
    "beams_from_json",
    "check_beams",
    "describe",
    "equispaced_beams",
    "find_body",
    "find_body_in_steps",
    "parse_beams",
    "parse_dose_goal",
    "recognise",
    "static_fields",
    "template_named",
    "with_leaf_width",
]
