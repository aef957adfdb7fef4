"""Everything that still keeps a prediction from starting, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from slicer.i18n import tr as _

from dose_prediction.case import RoleKind

from .IsocentrePoint import isocentre_problem
from .MemoryNeed import memory_in_words
from .Parameters import Parameters
from .SceneReader import volume_problem
from .SegmentMeasures import SegmentMeasure
from .SegmentRoles import SegmentRow
from .StructureFindings import structure_findings

NOTHING_MEASURED: Mapping[str, SegmentMeasure] = {}


def missing_inputs(
    parameters: Parameters | None, rows: tuple[SegmentRow, ...], measures: Mapping[str, SegmentMeasure] = NOTHING_MEASURED
) -> tuple[str, ...]:
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
    reasons += dict.fromkeys(finding.sentence for finding in structure_findings(rows, measures) if finding.prevents)
    reasons += [parameters.beams_problem, parameters.goals_problem]
    if parameters.ct is not None and not volume_problem(parameters.ct):
        reasons.append(isocentre_problem(parameters.isocentre_mm, parameters.ct))
        sentence, is_enough = memory_in_words(parameters, rows)
        reasons.append("" if is_enough else sentence)
    return tuple(reason for reason in reasons if reason)
