"""The part of the panel that asks "what if": organs are to keep to less or more dose, and what that costs is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from dose_prediction.case import DoseGoal, RoleKind

from .ComparisonNodes import CHANGES_ROLE, SHOWN_ROLE
from .DoseNode import DOSE_UNIT, provenance_of
from .DvhTables import D_COLUMNS, metrics_of
from .Section import PanelView, load_section, say
from .SegmentRoles import SegmentRow
from .WhatIfTable import WhatIfTable, wishes_for

WORTH_TELLING_GY = 0.5
MOST_COSTS = 5
# What a wish is about, as the metrics table has it: the mean, and the dose of the hottest 0.03 cc for the maximum.
COLUMNS = {"mean": f"Mean dose ({DOSE_UNIT})", "max": D_COLUMNS[-1]}


class WhatIfSection:
    """`start(goals)` begins a guided prediction; its result is compared with the one that is shown by then."""

    def __init__(self, container: Any, start: Callable[[tuple[DoseGoal, ...]], None]) -> None:
        self.ui = load_section(container, "WhatIf.ui")
        self._start = start
        self._view: PanelView | None = None
        self.table = WhatIfTable(self.ui.whatIfTable)
        self.table.changed.connect(self._show_button)
        self.ui.whatIfButton.clicked.connect(self._on_clicked)

    def show(self, view: PanelView) -> None:
        self._view = view
        dose = view.parameters.dose if view.parameters else None
        self.table.show(wishes_for(view.rows), _doses_now(metrics_of(dose)))
        say(self.ui.costLabel, _cost_in_words(view, dose))
        self._show_button()

    def clean_up(self) -> None:
        """Nothing is observed and nothing runs."""

    def _show_button(self) -> None:
        view, button = self._view, self.ui.whatIfButton
        has_result = view is not None and view.parameters is not None and view.parameters.dose is not None
        button.enabled = bool(has_result and view is not None and view.is_idle and self.table.goals)
        button.toolTip = (
            _("Predict the dose with these wishes and compare it with the one that is shown.")
            if button.enabled
            else _("Predict a dose first, then move the slider of an organ.")
        )

    def _on_clicked(self) -> None:
        self._start(self.table.goals)


def _doses_now(metrics: Any) -> dict[tuple[str, str], float]:
    """The dose in Gy of every structure and metric of a metrics node."""
    if metrics is None:
        return {}
    table = metrics.GetTable()
    found = {}
    for row in range(table.GetNumberOfRows()):
        structure = table.GetColumnByName("Structure").GetValue(row)
        for metric, column in COLUMNS.items():
            found[structure, metric] = table.GetColumnByName(column).GetValue(row)
    return found


def _cost_in_words(view: PanelView, dose: Any) -> str:
    """What the wishes of the shown result cost, once it has been compared with the one without."""
    wishes = provenance_of(dose).get("goals", [])
    changes = view.parameters.node.GetNodeReference(CHANGES_ROLE) if view.parameters is not None and wishes else None
    if changes is None or changes.GetNodeReference(SHOWN_ROLE) is not dose:
        return ""
    rows = {row.name: row for row in view.rows}
    cells = [[changes.GetCellText(row, column) for column in range(5)] for row in range(changes.GetNumberOfRows())]
    worse = [(structure, metric, change) for structure, metric, _before, _after, change in cells if _costs(rows.get(structure), metric, change)]
    largest = sorted(worse, key=lambda cost: -abs(float(cost[2].split()[0])))[:MOST_COSTS]
    costs = [" ".join(cost) for cost in worse if cost in largest]
    if len(worse) > MOST_COSTS:
        costs.append(_("and {count} less than these, in the table of changes").format(count=len(worse) - MOST_COSTS))
    told = _("It costs: {costs}.").format(costs="; ".join(costs)) if costs else _("It costs no structure more than 0.5 Gy.")
    return _("What if {wishes}? {told}").format(wishes=", ".join(map(str, wishes)), told=told)


def _costs(row: SegmentRow | None, metric: str, change: str) -> bool:
    """True where a target has lost coverage or an organ has got more dose, by an amount worth telling."""
    figure, _space, unit = change.partition(" ")
    if row is None or unit != "Gy" or abs(float(figure)) < WORTH_TELLING_GY:
        return False
    is_coverage = row.kind is RoleKind.TARGET and metric in ("D98%", "D95%")
    return float(figure) < 0 if is_coverage else float(figure) > 0
