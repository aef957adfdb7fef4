"""The table of isodose levels: which are drawn, in which colour, at what percent of the prescription and what dose."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from .Isodose import MOST_PERCENT, IsodoseLevel
from .Signal import Signal
from .TableLayout import fit_height, set_headings

SHOWN, COLOUR, PERCENT, DOSE = range(4)


class IsodoseTable:
    """Shows levels in a QTableWidget; `edited(levels)` is emitted with the levels as the user wants them, the highest first."""

    def __init__(self, table: Any) -> None:
        self.edited = Signal()
        self._table = table
        self._levels: tuple[IsodoseLevel, ...] = ()
        self._prescription_gy: float | None = None
        self._is_updating = False
        set_headings(table, [_("Show"), "", _("% of prescription"), _("Gy")])
        header = table.horizontalHeader()
        header.setSectionResizeMode(PERCENT, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(DOSE, qt.QHeaderView.Stretch)
        table.setColumnWidth(SHOWN, 48)
        table.setColumnWidth(COLOUR, 24)
        table.cellChanged.connect(self._on_cell_changed)

    def show(self, levels: tuple[IsodoseLevel, ...], prescription_gy: float | None) -> None:
        """Show the levels; without a prescription their doses are not known."""
        self._levels, self._prescription_gy = levels, prescription_gy
        self._is_updating = True
        try:
            self._table.setRowCount(len(levels))
            fit_height(self._table, 2, 10)
            for row, level in enumerate(levels):
                self._show_level(row, level)
        finally:
            self._is_updating = False

    def add(self) -> None:
        """A new level, 5 % below the lowest or half of it."""
        lowest = min((level.percent for level in self._levels), default=105.0)
        self._emit([*self._levels, IsodoseLevel(lowest - 5.0 if lowest > 10.0 else lowest / 2)])

    def remove_selected(self) -> None:
        """Take out the level of the current row."""
        row = self._table.currentRow()
        if 0 <= row < len(self._levels):
            self._emit([level for number, level in enumerate(self._levels) if number != row])

    def _show_level(self, row: int, level: IsodoseLevel) -> None:
        shown, colour, percent, dose = (qt.QTableWidgetItem() for _column in range(4))
        shown.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
        shown.setCheckState(qt.Qt.Checked if level.is_shown else qt.Qt.Unchecked)
        colour.setFlags(qt.Qt.ItemIsEnabled)
        colour.setBackground(qt.QBrush(qt.QColor.fromRgbF(*level.colour)))
        percent.setText(f"{level.percent:g}")
        if self._prescription_gy is None:
            dose.setFlags(qt.Qt.ItemIsEnabled)
        else:
            dose.setText(f"{level.percent / 100 * self._prescription_gy:.2f}")
        for column, item in enumerate((shown, colour, percent, dose)):
            self._table.setItem(row, column, item)

    def _on_cell_changed(self, row: int, column: int) -> None:
        if self._is_updating:
            return
        level, text = self._levels[row], self._table.item(row, column).text()
        if column == SHOWN:
            level = IsodoseLevel(level.percent, self._table.item(row, SHOWN).checkState() == qt.Qt.Checked)
        elif column in (PERCENT, DOSE):
            percent = _number(text)
            if percent is not None and column == DOSE and self._prescription_gy:
                percent *= 100 / self._prescription_gy
            if percent is not None and 0 < percent <= MOST_PERCENT:
                level = IsodoseLevel(percent, level.is_shown)
        self._emit([level if number == row else other for number, other in enumerate(self._levels)])

    def _emit(self, levels: list[IsodoseLevel]) -> None:
        """Tell of the levels, each once; a cell that was no level shows its old one again."""
        by_percent = {level.percent: level for level in reversed(levels)}
        self.edited.emit(tuple(by_percent[percent] for percent in sorted(by_percent, reverse=True)))


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None
