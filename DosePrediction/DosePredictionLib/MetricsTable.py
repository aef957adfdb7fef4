"""The dose metrics of every structure beside its goals, read from the metrics table node."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from .DoseNode import DOSE_UNIT
from .DvhTables import D_COLUMNS
from .Signal import Signal
from .TableLayout import fit_height, set_headings

# The metrics node's columns, and how the panel heads them; doses are in Gy.
D98, D95, D50, D2, D_SMALL = D_COLUMNS
FIGURES = ((f"Mean dose ({DOSE_UNIT})", "Dmean"), (D98, "D98%"), (D95, "D95%"), (D2, "D2%"), (D_SMALL, "D0.03cc"))


class MetricsTable:
    """Shows a metrics node in a QTableWidget; `clicked(structure)` when a row is."""

    def __init__(self, table: Any) -> None:
        self.clicked = Signal()
        self._table = table
        set_headings(table, [_("Structure"), *(heading for _column, heading in FIGURES)])
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        table.cellClicked.connect(self._on_cell_clicked)

    def show(self, metrics_node: Any) -> None:
        """Show the rows of the node; none without one."""
        table = metrics_node.GetTable() if metrics_node is not None else None
        rows = table.GetNumberOfRows() if table is not None else 0
        self._table.setRowCount(rows)
        fit_height(self._table, 1, 16)
        for row in range(rows):
            cells = [table.GetColumnByName("Structure").GetValue(row)]
            cells += [f"{table.GetColumnByName(column).GetValue(row):.1f}" for column, _heading in FIGURES]
            for column, text in enumerate(cells):
                item = qt.QTableWidgetItem(text)
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                if column:
                    item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
                self._table.setItem(row, column, item)

    def _on_cell_clicked(self, row: int, _column: int) -> None:
        self.clicked.emit(self._table.item(row, 0).text())
