"""What each segment is to the plan: recognised from its name, corrected by the user, and kept with the segmentation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from dose_prediction.case import MAX_PRESCRIPTION_GY, Role, RoleKind, recognise

# Attribute of the segmentation node with the user's corrections, so that they are saved and copied with it.
ROLES_ATTRIBUTE = "DosePrediction.Roles"


@dataclass(frozen=True)
class SegmentRow:
    """One segment as the panel lists it.  `prescription` is the text of the cell; only a target has one; `is_corrected` if the user chose it all."""

    segment_id: str
    name: str
    colour: tuple[float, float, float]
    kind: RoleKind
    standard_name: str
    prescription: str
    is_corrected: bool = False

    @property
    def prescription_problem(self) -> str:
        """What is wrong with the prescription, as a sentence; empty if nothing is."""
        if self.kind is not RoleKind.TARGET:
            return ""
        if not self.prescription:
            return _("Target {name} has no prescription; enter its dose in Gy.").format(name=self.name)
        dose_gy = dose_gy_of(self.prescription)
        if dose_gy is None or not 0 < dose_gy <= MAX_PRESCRIPTION_GY:
            sentence = _("Prescription of {name} is {text}; enter a dose in Gy above 0 and at most {limit}.")
            return sentence.format(name=self.name, text=self.prescription, limit=f"{MAX_PRESCRIPTION_GY:g}")
        return ""

    @property
    def role(self) -> Role:
        """The role for the plan; a target whose prescription has a problem comes without one."""
        if self.kind is RoleKind.TARGET:
            return Role(RoleKind.TARGET, self.standard_name, None if self.prescription_problem else dose_gy_of(self.prescription))
        return Role(self.kind, self.standard_name)


def segment_rows(segmentation_node: Any) -> tuple[SegmentRow, ...]:
    """Every segment of the node in its order; none without a node."""
    if segmentation_node is None:
        return ()
    corrections = _corrections(segmentation_node)
    segmentation = segmentation_node.GetSegmentation()
    rows = []
    for index in range(segmentation.GetNumberOfSegments()):
        segment_id = segmentation.GetNthSegmentID(index)
        segment = segmentation.GetSegment(segment_id)
        name, colour = segment.GetName(), tuple(segment.GetColor())
        correction = corrections.get(segment_id)
        if correction is None:
            role = recognise(name)
            prescription = "" if role.prescription_gy is None else f"{role.prescription_gy:g}"
            rows.append(SegmentRow(segment_id, name, colour, role.kind, role.standard_name, prescription))
        else:
            kind = RoleKind(correction["kind"])
            rows.append(SegmentRow(segment_id, name, colour, kind, correction["standard_name"], correction["prescription"], is_corrected=True))
    return tuple(rows)


def correct_role(segmentation_node: Any, row: SegmentRow) -> None:
    """Keep what the user set for the segment of `row`."""
    corrections = _corrections(segmentation_node)
    corrections[row.segment_id] = {"kind": row.kind.value, "standard_name": row.standard_name, "prescription": row.prescription.strip()}
    segmentation_node.SetAttribute(ROLES_ATTRIBUTE, json.dumps(corrections))


def _corrections(segmentation_node: Any) -> dict[str, dict[str, str]]:
    text = segmentation_node.GetAttribute(ROLES_ATTRIBUTE)
    found: dict[str, dict[str, str]] = json.loads(text) if text else {}
    return found


def dose_gy_of(text: str) -> float | None:
    """The dose that a user has typed, with a decimal point or comma; None if it is no number."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
