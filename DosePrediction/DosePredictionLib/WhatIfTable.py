"""The table of wishes for organs: each a dose metric with a slider for the limit that it is to keep to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.case import DoseGoal, RoleKind

from .CoreWords import translated
from .SegmentRoles import SegmentRow
from .Signal import Signal
from .TableLayout import fit_height, set_headings

WISH, NOW, SLIDER, LIMIT = range(4)
METRICS = ("mean", "max")
TOP_GY = 80


@dataclass(frozen=True)
class Wish:
    """A metric of an organ, by the organ's TG-263 name and the segment's own."""

    organ: str
    structure: str
    metric: str


def wishes_for(rows: tuple[SegmentRow, ...]) -> tuple[Wish, ...]:
    """Mean and maximum of every organ whose name is known."""
    organs = [row for row in rows if row.kind is RoleKind.ORGAN and row.standard_name]
    return tuple(Wish(row.standard_name, row.name, metric) for row in organs for metric in METRICS)


class WhatIfTable:
    """Shows wishes in a QTableWidget; a slider that is moved ticks its wish.  `changed` when a wish is ticked or its limit moved."""

    def __init__(self, table: Any) -> None:
        self.changed = Signal()
        self._table = table
        self._wishes: tuple[Wish, ...] = ()
        self._sliders: list[Any] = []
        self._is_updating = False
        set_headings(table, [_("Organ"), _("Now (Gy)"), _("At most"), _("Gy")])
        header = table.horizontalHeader()
        for column, width in ((NOW, 64), (LIMIT, 36)):
            header.setSectionResizeMode(column, qt.QHeaderView.Fixed)
            table.setColumnWidth(column, width)
        header.setSectionResizeMode(WISH, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(SLIDER, qt.QHeaderView.Stretch)
        table.cellChanged.connect(self._on_cell_changed)

    @property
    def goals(self) -> tuple[DoseGoal, ...]:
        """The wishes that are ticked, with their limits."""
        ticked = [row for row in range(len(self._wishes)) if self._table.item(row, WISH).checkState() == qt.Qt.Checked]
        return tuple(DoseGoal(self._wishes[row].organ, self._wishes[row].metric, float(self._sliders[row].value)) for row in ticked)

    def show(self, wishes: tuple[Wish, ...], now_gy: Mapping[tuple[str, str], float]) -> None:
        """Show the wishes and, by structure and metric, what the shown dose has, where the sliders of other wishes than the ticked ones go."""
        self._is_updating = True
        try:
            if wishes != self._wishes:
                self._wishes = wishes
                self._build()
            for row, wish in enumerate(wishes):
                found = now_gy.get((wish.structure, wish.metric))
                self._table.item(row, NOW).setText("" if found is None else f"{found:.1f}")
                if found is not None and self._table.item(row, WISH).checkState() != qt.Qt.Checked:
                    self._sliders[row].value = round(min(found, TOP_GY))
                    self._table.item(row, LIMIT).setText(str(self._sliders[row].value))
        finally:
            self._is_updating = False

    def _build(self) -> None:
        self._table.setRowCount(0)
        self._table.setRowCount(len(self._wishes))
        fit_height(self._table, 2, 10)
        self._sliders = []
        for row, wish in enumerate(self._wishes):
            for column in (WISH, NOW, LIMIT):
                item = qt.QTableWidgetItem()
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable if column == WISH else qt.Qt.ItemIsEnabled)
                self._table.setItem(row, column, item)
            self._table.item(row, WISH).setText(f"{wish.structure} {translated(wish.metric)}")
            self._table.item(row, WISH).setCheckState(qt.Qt.Unchecked)
            slider = qt.QSlider(qt.Qt.Horizontal)
            slider.setRange(0, TOP_GY)
            told = _("The dose in Gy that {name} is to keep to ({metric}); above what it has now, other wishes may cost it dose.")
            slider.toolTip = told.format(name=wish.structure, metric=translated(wish.metric))
            slider.connect("valueChanged(int)", self._slot(row))
            self._table.setCellWidget(row, SLIDER, slider)
            self._sliders.append(slider)

    def _slot(self, row: int) -> Any:
        def on_moved(value: int) -> None:
            if self._is_updating:
                return
            self._table.item(row, LIMIT).setText(str(value))
            self._table.item(row, WISH).setCheckState(qt.Qt.Checked)

        return on_moved

    def _on_cell_changed(self, _row: int, _column: int) -> None:
        if not self._is_updating:
            self.changed.emit()
