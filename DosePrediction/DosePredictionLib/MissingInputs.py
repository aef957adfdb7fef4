"""Everything that still keeps a prediction from starting, in sentences."""

from __future__ import annotations

from slicer.i18n import tr as _

from dose_prediction.case import RoleKind

from .Parameters import Parameters
from .SceneReader import volume_problem
from .SegmentRoles import SegmentRow


def missing_inputs(parameters: Parameters | None, rows: tuple[SegmentRow, ...]) -> tuple[str, ...]:
    """All reasons, in the order of the panel; none if a prediction can start."""
    if parameters is None:
        return (_("There is no scene to read from."),)
    reasons = []
    if parameters.ct is None:
        reasons.append(_("Select a CT."))
    else:
        reasons.append(volume_problem(parameters.ct))
    if parameters.segmentation is None:
        reasons.append(_("Select a segmentation."))
    elif not rows:
        reasons.append(_("Segmentation {name} has no segments; contour a target.").format(name=parameters.segmentation.GetName()))
    elif not any(row.kind is RoleKind.TARGET for row in rows):
        reasons.append(_("Give at least one segment the role Target."))
    reasons += [row.prescription_problem for row in rows]
    reasons.append(parameters.beams_problem)
    return tuple(reason for reason in reasons if reason)
