"""The clinical goals of a predicted dose: a table node in the scene, and the panel's view of it."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from dose_prediction.dosimetry import GoalResult, Outcome

from .CoreWords import translated
from .Signal import Signal
from .TableLayout import fit_height, set_headings

ROWS = 2, 30  # fewest and most that are shown at once
COLUMNS = ("Structure", "Goal", "Reached", "Outcome", "Source")
# Sign and colour of each outcome, readable on light and on dark ground; the words say the same.
OUTCOME_LOOKS = {Outcome.MET.value: ("✓", (40, 150, 70)), Outcome.CLOSE.value: ("≈", (200, 130, 0)), Outcome.MISSED.value: ("✗", (210, 50, 50))}


def put_goals(results: tuple[GoalResult, ...], name: str, existing: Any = None) -> Any:
    """A table node with one row a goal and structure, or `existing` with its rows replaced; goals for structures that are not there are left out."""
    node = existing or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(name))
    columns = [vtk.vtkStringArray() for _name in COLUMNS]
    for result in results:
        if result.outcome is Outcome.NOT_APPLICABLE or result.value is None:
            continue
        goal = str(result.goal).replace(">=", "≥").replace("<=", "≤")
        cells = (result.structure, goal, f"{result.value:.1f} {result.unit}", result.outcome.value, result.goal.source)
        for column, cell in zip(columns, cells, strict=True):
            column.InsertNextValue(cell)
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        for column, title in zip(columns, COLUMNS, strict=True):
            column.SetName(title)
            node.AddColumn(column)
    return node


class GoalsTable:
    """Shows a goals node in a QTableWidget; `clicked(structure, goal)` when a row is."""

    def __init__(self, table: Any) -> None:
        self.clicked = Signal()
        self._table = table
        set_headings(table, [_("Structure"), _("Goal"), _("Reached"), _("Outcome")])
        header = table.horizontalHeader()
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for column in (1, 2, 3):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        fit_height(table, *ROWS)
        table.cellClicked.connect(self._on_cell_clicked)

    def show(self, goals_node: Any) -> None:
        """Show the rows of the node; none without one."""
        rows = goals_node.GetNumberOfRows() if goals_node is not None else 0
        self._table.setRowCount(rows)
        fit_height(self._table, *ROWS)
        for row in range(rows):
            structure, goal, reached, outcome, source = (goals_node.GetCellText(row, column) for column in range(len(COLUMNS)))
            sign, colour = OUTCOME_LOOKS.get(outcome, ("", (128, 128, 128)))
            for column, text in enumerate((structure, goal, reached, f"{sign} {translated(outcome)}".strip())):
                item = qt.QTableWidgetItem(text)
                item.setToolTip("\n".join(filter(None, (text, source))))  # whole, where the column is too narrow for it
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                if column == 3:
                    item.setForeground(qt.QBrush(qt.QColor(*colour)))
                self._table.setItem(row, column, item)

    def _on_cell_clicked(self, row: int, _column: int) -> None:
        self.clicked.emit(self._table.item(row, 0).text(), self._table.item(row, 1).text())
