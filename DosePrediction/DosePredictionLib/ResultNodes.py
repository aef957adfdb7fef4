"""From what the worker wrote to what the user sees: dose volume, histograms, goals and the views."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray
from slicer.i18n import tr as _

from dose_prediction.case import Beam, CaseError, PlanCase, RoleKind
from dose_prediction.dosimetry import GoalResult, GoalSet, evaluate_goals, load_goal_set
from dose_prediction.resources import resource_path

from .DoseNode import place_in_study, put_dose
from .DvhTables import Histogram, histogram, put_histograms
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


@dataclass(frozen=True, eq=False)
class JudgedDose:
    """A dose with all that is said about it, before any of it is in the scene."""

    dose_gy: NDArray[np.float32]
    provenance: dict[str, Any]
    histograms: tuple[Histogram, ...]
    goals: tuple[GoalResult, ...]


def judge(request: RunRequest, case: PlanCase, event: dict[str, Any]) -> Generator[float, None, JudgedDose]:
    """Histograms and goals of the dose of the worker's `result` event; the scene is not touched.  Yields the fraction done."""
    dose_gy: NDArray[np.float32] = np.load(event["dose"], allow_pickle=False)
    if dose_gy.shape != case.grid.shape:
        sentence = _("The predicted dose has {found} voxels, the CT {expected}; press Predict again.")
        raise CaseError(sentence.format(found=dose_gy.shape, expected=case.grid.shape))
    rows = {row.name: row for row in request.rows if row.kind is not RoleKind.IGNORED}
    judged = [structure for structure in case.structures if structure.role.kind in (RoleKind.TARGET, RoleKind.ORGAN)]
    histograms: list[Histogram] = []
    for number, structure in enumerate(judged, start=1):
        histograms.append(histogram(rows[structure.name], structure, dose_gy, case.grid.voxel_volume_mm3))
        yield 0.5 * number / len(judged)
    results: list[GoalResult] = []
    goals = goal_set().goals
    for number, goal in enumerate(goals, start=1):
        results += evaluate_goals((goal,), dose_gy, case)
        yield 0.5 + 0.5 * number / len(goals)
    return JudgedDose(dose_gy, event.get("provenance", {}), tuple(histograms), tuple(results))


def show(request: RunRequest, case: PlanCase, judged: JudgedDose) -> Generator[float, None, Any]:
    """Put the dose and all about it into the scene and the views, to be run to its end; yields the fraction done and returns the dose node."""
    for node in (request.ct, request.segmentation):
        if slicer.mrmlScene.GetNodeByID(node.GetID() or "") is not node:
            raise CaseError(_("{name} was removed while its dose was being predicted; nothing was added.").format(name=node.GetName()))
    existing = request.parameters.dose
    name = _("{ct} predicted dose").format(ct=request.ct.GetName())
    prescription_gy = max(target.role.prescription_gy or 0.0 for target in case.targets)
    dose_node = put_dose(judged.dose_gy, case.grid, name, prescription_gy, judged.provenance, existing)
    yield 0.3
    study = place_in_study(dose_node, request.ct, request.segmentation)
    yield 0.4
    put_histograms(judged.histograms, dose_node, request.segmentation, study)
    yield 0.7
    goals_node = put_goals(judged.goals, _("Clinical goals"), request.parameters.goals)
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene).CreateItem(study, goals_node)
    request.parameters.dose, request.parameters.goals = dose_node, goals_node
    yield 0.8
    show_dose_wash(request.ct, dose_node)
    show_legend(dose_node)
    if existing is None:
        left, posterior, superior = case.isocentre
        centre_views((-left, -posterior, superior))
    return dose_node
