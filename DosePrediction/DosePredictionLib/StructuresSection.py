"""The panel's segments: their table, and below it in sentences what is missing or doubtful about them."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from .Section import PanelView, say
from .SegmentRoles import SegmentRow, correct_role
from .StructureFindings import Finding, structure_findings
from .StructureTable import DOUBTFUL, PREVENTS, StructureTable

MOST_SENTENCES = 4


class StructuresSection:
    """Drives `structuresTable` and `findingsLabel`; `organs` are the names that can always be chosen."""

    def __init__(self, ui: Any, organs: tuple[str, ...]) -> None:
        self._label = ui.findingsLabel
        self._segmentation: Any = None
        self._table = StructureTable(ui.structuresTable, organs)
        self._table.edited.connect(self._on_edited)

    def show(self, view: PanelView) -> None:
        self._segmentation = view.parameters.segmentation if view.parameters else None
        findings = structure_findings(view.rows, view.measures)
        self._table.show(view.rows, view.measures, findings)
        say(self._label, findings_text(findings))

    def clean_up(self) -> None:
        self._segmentation = None

    def _on_edited(self, row: SegmentRow) -> None:
        if self._segmentation is not None:
            correct_role(self._segmentation, row)


def findings_text(findings: tuple[Finding, ...]) -> str:
    """The sentences with their marks, what prevents a prediction first; of many, the first few."""
    ordered = sorted(findings, key=lambda finding: not finding.prevents)
    lines = list(dict.fromkeys(f"{PREVENTS if finding.prevents else DOUBTFUL} {finding.sentence}" for finding in ordered))
    if len(lines) > MOST_SENTENCES:
        rest = len(lines) - MOST_SENTENCES + 1
        lines[MOST_SENTENCES - 1 :] = [_("and {count} more: point at the marks in the table.").format(count=rest)]
    return "\n".join(lines)
