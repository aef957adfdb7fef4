"""From what the worker wrote to what the user sees: dose volume, histograms, goals and the views."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from slicer.i18n import tr as _

import slicer
from dose_prediction.case import Beam, CaseError, PlanCase, RoleKind
from dose_prediction.dosimetry import GoalSet, evaluate_goals, load_goal_set
from dose_prediction.resources import resource_path

from .DoseNode import place_in_study, put_dose
from .DvhTables import histogram, put_histograms
from .GoalsTable import put_goals
from .Parameters import Parameters
from .SegmentRoles import SegmentRow
from .SliceDisplay import centre_views, show_dose_wash, show_legend


@dataclass(frozen=True, eq=False)
class RunRequest:
    """What was asked for when Predict was pressed."""

    parameters: Parameters
    ct: Any
    segmentation: Any
    rows: tuple[SegmentRow, ...]
    beams: tuple[Beam, ...]
    samples: int
    seed: int
    device: str


def goal_set() -> GoalSet:
    """The clinical goals that a dose is judged by."""
    return load_goal_set(resource_path("Goals") / "HeadAndNeck.json")


def show_result(request: RunRequest, case: PlanCase, event: dict[str, Any]) -> Generator[float, None, Any]:
    """Judge the dose of the worker's `result` event, then put everything into the scene; yields the fraction done and returns the dose node.

    The scene changes in the last step only, so that a cancel or an error before it leaves nothing behind.
    """
    dose_gy: NDArray[np.float32] = np.load(event["dose"], allow_pickle=False)
    if dose_gy.shape != case.grid.shape:
        raise CaseError(
            _("The predicted dose has {found} voxels, the CT {expected}; press Predict again.").format(found=dose_gy.shape, expected=case.grid.shape)
        )
    rows = {row.name: row for row in request.rows}
    judged = [structure for structure in case.structures if structure.role.kind in (RoleKind.TARGET, RoleKind.ORGAN)]
    histograms, results = [], []
    for number, structure in enumerate(judged, start=1):
        histograms.append(histogram(rows[structure.name], structure, dose_gy, case.grid.voxel_volume_mm3))
        yield 0.4 * number / len(judged)
    goals = goal_set().goals
    for number, goal in enumerate(goals, start=1):
        results += evaluate_goals((goal,), dose_gy, case)
        yield 0.4 + 0.4 * number / len(goals)
    prescription_gy = max(target.role.prescription_gy or 0.0 for target in case.targets)
    for node in (request.ct, request.segmentation):
        if slicer.mrmlScene.GetNodeByID(node.GetID() or "") is not node:
            raise CaseError(_("{name} was removed while its dose was being predicted; nothing was added.").format(name=node.GetName()))

    existing = request.parameters.dose
    name = _("{ct} predicted dose").format(ct=request.ct.GetName())
    dose_node = put_dose(dose_gy, case.grid, name, prescription_gy, event.get("provenance", {}), existing)
    study = place_in_study(dose_node, request.ct, request.segmentation)
    put_histograms(histograms, dose_node, request.segmentation, study)
    goals_node = put_goals(tuple(results), _("Clinical goals"), request.parameters.goals)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    hierarchy.CreateItem(study, goals_node)
    request.parameters.dose, request.parameters.goals = dose_node, goals_node
    show_dose_wash(request.ct, dose_node)
    show_legend(dose_node)
    if existing is None:
        left, posterior, superior = case.isocentre
        centre_views((-left, -posterior, superior))
    return dose_node
