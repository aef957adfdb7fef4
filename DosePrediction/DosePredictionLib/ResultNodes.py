"""From what the worker wrote to what the user sees: dose volume, histograms, goals and the views."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray
from slicer.i18n import tr as _

from dose_prediction.case import Arc, Beam, CaseError, DoseGoal, PlanCase, RoleKind
from dose_prediction.dosimetry import GoalResult, GoalSet, StructureDose, evaluate_goals, samples_in_slices

from .DisplaySettings import DisplaySettings
from .DoseNode import place_in_study, put_dose
from .DvhTables import Histogram, histogram, put_histograms, with_band
from .GoalsTable import put_goals
from .IsocentrePoint import Point
from .NodeRemoval import remove_nodes
from .OverlayVolumes import put_spread
from .Parameters import Parameters
from .ResultDisplay import display_result
from .Results import AUTOMATIC_ATTRIBUTE, GOALS_ROLE, SPREAD_ROLE, goals_of, new_name, spread_of
from .SegmentRoles import SegmentRow
from .SliceDisplay import centre_views

NO_GOALS = GoalSet("", "", ())


@dataclass(frozen=True, eq=False)
class RunRequest:
    """What was asked for when Predict was pressed.

    The dose becomes a new result, but one that is predicted without being asked for takes the place of one like it, so that they do not pile up.
    """

    parameters: Parameters
    ct: Any
    segmentation: Any
    rows: tuple[SegmentRow, ...]
    beams: tuple[Beam | Arc, ...]
    samples: int
    seed: int
    device: str
    is_automatic: bool = False
    isocentre_mm: Point | None = None
    goal_set: GoalSet = NO_GOALS
    model_folder: str = ""
    wishes: tuple[DoseGoal, ...] = ()

    @classmethod
    def of(cls, parameters: Parameters, rows: tuple[SegmentRow, ...], is_automatic: bool = False) -> RunRequest:
        """The request of what is set now.  Raises CaseError where the beams or the goals cannot be read."""
        return cls(
            parameters,
            parameters.ct,
            parameters.segmentation,
            rows,
            parameters.beams,
            parameters.samples,
            parameters.seed,
            parameters.device,
            is_automatic,
            parameters.isocentre_mm,
            parameters.plan_goals.goal_set,
            parameters.model_folder,
        )


@dataclass(frozen=True, eq=False)
class JudgedDose:
    """A dose with all that is said about it, before any of it is in the scene."""

    dose_gy: NDArray[np.float32]
    provenance: dict[str, Any]
    histograms: tuple[Histogram, ...]
    goals: tuple[GoalResult, ...]
    spread_gy: NDArray[np.float32] | None = None


def judge(request: RunRequest, case: PlanCase, event: dict[str, Any]) -> Generator[float, None, JudgedDose]:
    """Histograms and goals of the dose of the worker's `result` event; the scene is not touched.  Yields the fraction done."""
    dose_gy: NDArray[np.float32] = np.load(event["dose"], allow_pickle=False)
    if dose_gy.shape != case.grid.shape:
        sentence = _("The predicted dose has {found} voxels, the CT {expected}; press Predict again.")
        raise CaseError(sentence.format(found=dose_gy.shape, expected=case.grid.shape))
    rows = {row.name: row for row in request.rows if row.kind is not RoleKind.IGNORED}
    judged = [structure for structure in case.structures if structure.role.kind in (RoleKind.TARGET, RoleKind.ORGAN)]
    histograms: list[Histogram] = []
    doses: dict[str, StructureDose] = {}
    plans = [np.load(path, mmap_mode="r", allow_pickle=False) for path in event.get("samples", ())]
    top_gy = max(float(dose_gy.max()), *(float(plan.max()) for plan in plans), 0.0)
    for number, structure in enumerate(judged):
        # Voxels are divided: those of a small organ are few, and its metrics would go in steps of one.
        samples = samples_in_slices(case.grid, structure.mask)
        doses[structure.name] = samples.dose(dose_gy)
        found = histogram(rows[structure.name], doses[structure.name], top_gy)
        of_plans = []
        for drawn, plan in enumerate(plans):
            of_plans.append(samples.dose(plan).cumulative(found.dose_gy))
            yield 0.9 * (number + drawn / len(plans)) / len(judged)
        histograms.append(with_band(found, of_plans) if of_plans else found)
        yield 0.9 * (number + 1) / len(judged)
    results = evaluate_goals(request.goal_set.goals, doses, case)
    spread_gy = np.load(event["spread"], allow_pickle=False) if event.get("spread") else None
    return JudgedDose(dose_gy, _provenance(request, event), tuple(histograms), results, spread_gy)


def _provenance(request: RunRequest, event: dict[str, Any]) -> dict[str, Any]:
    """What the worker says of the dose, and the fractions, where the user has said how many."""
    fractions = request.parameters.fractions
    return {**event.get("provenance", {}), **({"fractions": fractions} if fractions else {})}


def show(request: RunRequest, case: PlanCase, judged: JudgedDose) -> Generator[float, None, Any]:
    """Put the dose and all about it into the scene and the views, to be run to its end; yields the fraction done and returns the dose node."""
    for node in (request.ct, request.segmentation):
        if slicer.mrmlScene.GetNodeByID(node.GetID() or "") is not node:
            raise CaseError(_("{name} was removed while its dose was being predicted; nothing was added.").format(name=node.GetName()))
    before, settings = request.parameters.dose, DisplaySettings(request.parameters.node)
    replaced = before if request.is_automatic and before is not None and before.GetAttribute(AUTOMATIC_ATTRIBUTE) else None
    prescription_gy = max(target.role.prescription_gy or 0.0 for target in case.targets)
    dose_node = put_dose(judged.dose_gy, case.grid, new_name(request.ct, request.wishes), prescription_gy, judged.provenance, replaced, before)
    dose_node.SetAttribute(AUTOMATIC_ATTRIBUTE, "1" if request.is_automatic else None)
    yield 0.2
    study = place_in_study(dose_node, request.ct, request.segmentation)
    yield 0.3
    put_histograms(judged.histograms, dose_node, request.segmentation, study)
    yield 0.5
    goals_node = put_goals(judged.goals, _("Clinical goals"), goals_of(dose_node))
    dose_node.SetNodeReferenceID(GOALS_ROLE, goals_node.GetID())
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene).CreateItem(study, goals_node)
    _put_spread_of(judged, case, dose_node, study)
    yield 0.6
    for fraction in display_result(settings, request.ct, dose_node):
        yield 0.6 + 0.4 * fraction
    request.parameters.dose = dose_node
    if before is None:
        left, posterior, superior = case.isocentre
        centre_views((-left, -posterior, superior))
    return dose_node


def _put_spread_of(judged: JudgedDose, case: PlanCase, dose_node: Any, study: int) -> None:
    """The spread volume of a dose, beside it in the study; one of an earlier run with samples goes where this one had none."""
    if judged.spread_gy is None:
        remove_nodes((spread_of(dose_node),))
        return
    node = put_spread(judged.spread_gy, case.grid, _("{dose} spread").format(dose=dose_node.GetName()), spread_of(dose_node))
    dose_node.SetNodeReferenceID(SPREAD_ROLE, node.GetID())
    slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene).CreateItem(study, node)
