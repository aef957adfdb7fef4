"""The table of results: one row a prediction, which can be renamed in place."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from .Results import goals_of
from .Signal import Signal
from .TableLayout import fit_height, set_headings

NAME, GOALS = range(2)
OUTCOME_COLUMN = 3  # of the goals node


class HistoryTable:
    """Shows results in a QTableWidget; `chosen(dose_node)` when a row is clicked, `renamed(dose_node, name)` when a name was typed."""

    def __init__(self, table: Any) -> None:
        self.chosen = Signal()
        self.renamed = Signal()
        self._table = table
        self._results: list[Any] = []
        self._is_updating = False
        set_headings(table, [_("Result"), _("Goals met")])
        header = table.horizontalHeader()
        header.setSectionResizeMode(NAME, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(GOALS, qt.QHeaderView.ResizeToContents)
        table.cellClicked.connect(self._on_cell_clicked)
        table.cellChanged.connect(self._on_cell_changed)

    def show(self, results: list[Any], shown: Any) -> None:
        """Show the results; the one that is on the screen is in bold and marked."""
        self._is_updating = True
        try:
            self._results = results
            self._table.setRowCount(len(results))
            fit_height(self._table, 1, 8)
            for row, dose_node in enumerate(results):
                name, goals = qt.QTableWidgetItem(dose_node.GetName()), qt.QTableWidgetItem(_goals_in_words(dose_node))
                goals.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                font = name.font()
                font.setBold(dose_node is shown)
                name.setFont(font)
                name.setToolTip(_("Shown.") if dose_node is shown else _("Click to show this result; type to rename it."))
                self._table.setItem(row, NAME, name)
                self._table.setItem(row, GOALS, goals)
        finally:
            self._is_updating = False

    def _on_cell_clicked(self, row: int, _column: int) -> None:
        self.chosen.emit(self._results[row])

    def _on_cell_changed(self, row: int, column: int) -> None:
        if not self._is_updating and column == NAME:
            self.renamed.emit(self._results[row], self._table.item(row, NAME).text().strip())


def _goals_in_words(dose_node: Any) -> str:
    goals = goals_of(dose_node)
    if goals is None:
        return ""
    outcomes = [goals.GetCellText(row, OUTCOME_COLUMN) for row in range(goals.GetNumberOfRows())]
    return _("{met} of {count}").format(met=outcomes.count("met"), count=len(outcomes))
