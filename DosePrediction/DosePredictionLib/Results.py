"""The predictions that the scene keeps: each is a dose volume that refers to its goals, its histograms and all else that was made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
from slicer.i18n import tr as _

from dose_prediction.case import DoseGoal

from .DoseNode import PROVENANCE_ATTRIBUTE
from .DvhTables import remove_histograms
from .Isodose import remove_isodoses
from .NodeRemoval import remove_nodes

GOALS_ROLE = "DosePrediction.goalsRef"
# Of a result that was predicted without being asked for.
AUTOMATIC_ATTRIBUTE = "DosePrediction.IsAutomatic"
SPREAD_ROLE = "DosePrediction.spreadRef"


def results() -> list[Any]:
    """Every predicted dose in the scene, the oldest first."""
    return [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetAttribute(PROVENANCE_ATTRIBUTE)]


def new_name(ct_node: Any, wishes: Sequence[DoseGoal] = ()) -> str:
    """A name that no result has: "CT predicted dose", or what was wished for, then with a number."""
    name = _("{ct} predicted dose").format(ct=ct_node.GetName())
    if wishes:
        name = _("What if {wishes}").format(wishes=", ".join(map(str, wishes)))
    taken = {node.GetName() for node in results()}
    return next(one for one in (name, *(f"{name} {number}" for number in range(2, len(taken) + 3))) if one not in taken)


def goals_of(dose_node: Any) -> Any:
    """The table of clinical goals of a result; None if there is none."""
    return dose_node.GetNodeReference(GOALS_ROLE) if dose_node is not None else None


def spread_of(dose_node: Any) -> Any:
    """The volume with the spread of a result's sampled plans; None if none were drawn."""
    return dose_node.GetNodeReference(SPREAD_ROLE) if dose_node is not None else None


def remove_result(dose_node: Any) -> None:
    """Remove a result with everything that was made of it."""
    remove_histograms(dose_node)
    remove_isodoses(dose_node)
    remove_nodes((goals_of(dose_node), spread_of(dose_node), dose_node))
