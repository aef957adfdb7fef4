"""What is planned: CT grid, structures and their roles, prescriptions, beams."""

from dose_prediction.case.beam import Beam, equispaced_beams, parse_beams
from dose_prediction.case.body import find_body, find_body_in_steps
from dose_prediction.case.errors import CaseError, CaseWarning
from dose_prediction.case.grid import IDENTITY, Grid
from dose_prediction.case.plan_case import PlanCase
from dose_prediction.case.structure import MAX_PRESCRIPTION_GY, Role, RoleKind, Structure
from dose_prediction.case.structure_names import recognise

__all__ = [
    "IDENTITY",
    "MAX_PRESCRIPTION_GY",
    "Beam",
    "CaseError",
    "CaseWarning",
    "Grid",
    "PlanCase",
    "Role",
    "RoleKind",
    "Structure",
    "equispaced_beams",
    "find_body",
    "find_body_in_steps",
    "parse_beams",
    "recognise",
]
