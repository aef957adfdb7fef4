"""The table of segments in the panel: colour, name, role and prescription, each correctable by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.case import RoleKind

from .SegmentRoles import SegmentRow
from .Signal import Signal
from .TableHeight import ROW_HEIGHT, fit_height

COLOUR, NAME, ROLE, PRESCRIPTION = range(4)
Choice = tuple[RoleKind, str]


def role_text(kind: RoleKind, standard_name: str) -> str:
    """A role as the panel calls it."""
    if kind is RoleKind.ORGAN:
        return _("Organ: {name}").format(name=standard_name) if standard_name else _("Organ: other")
    return {RoleKind.TARGET: _("Target"), RoleKind.EXTERNAL: _("Body"), RoleKind.IGNORED: _("Not used")}[kind]


class StructureTable:
    """Shows rows in a QTableWidget; `edited(row)` is emitted with the row as the user wants it.

    `organs` are the TG-263 names that can always be chosen; those of the segments come on top.
    """

    def __init__(self, table: Any, organs: tuple[str, ...] = ()) -> None:
        self.edited = Signal()
        self._table = table
        self._organs = organs
        self._rows: tuple[SegmentRow, ...] = ()
        self._choices: list[Choice] = []
        self._combos: list[Any] = []
        self._is_updating = False
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels(["", _("Structure"), _("Role"), _("Dose (Gy)")])
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = table.horizontalHeader()
        header.setSectionResizeMode(COLOUR, qt.QHeaderView.Fixed)
        header.setSectionResizeMode(NAME, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(ROLE, qt.QHeaderView.Fixed)
        header.setSectionResizeMode(PRESCRIPTION, qt.QHeaderView.Fixed)
        table.setColumnWidth(COLOUR, 24)
        table.setColumnWidth(ROLE, 176)
        table.setColumnWidth(PRESCRIPTION, 76)
        fit_height(table, 3, 14)
        table.cellChanged.connect(self._on_cell_changed)

    def show(self, rows: tuple[SegmentRow, ...]) -> None:
        """Show `rows`; cells are kept where the segments are the same, for an edit may be under way in one of them."""
        self._is_updating = True
        try:
            is_new = [row.segment_id for row in rows] != [row.segment_id for row in self._rows]
            organs = {*self._organs, *(row.standard_name for row in rows if row.kind is RoleKind.ORGAN)} - {""}
            if is_new or not organs <= {standard_name for _kind, standard_name in self._choices}:
                self._choices = [(RoleKind.IGNORED, ""), (RoleKind.TARGET, "PTV"), (RoleKind.EXTERNAL, "External")]
                self._choices += [(RoleKind.ORGAN, name) for name in [*sorted(organs), ""]]
                self._build(len(rows))
                fit_height(self._table, 3, 14)
                self._rows = ()
            for index, row in enumerate(rows):
                if row not in self._rows[index : index + 1]:
                    self._update(index, row)
            self._rows = rows
        finally:
            self._is_updating = False

    def _build(self, count: int) -> None:
        self._table.setRowCount(0)
        self._table.setRowCount(count)
        self._combos = []
        for index in range(count):
            for column in (COLOUR, NAME, PRESCRIPTION):
                self._table.setItem(index, column, qt.QTableWidgetItem())
            combo = qt.QComboBox()
            for kind, standard_name in self._choices:
                combo.addItem(role_text(kind, standard_name))
            combo.connect("currentIndexChanged(int)", self._role_slot(index))
            self._table.setCellWidget(index, ROLE, combo)
            self._combos.append(combo)

    def _update(self, index: int, row: SegmentRow) -> None:
        is_target = row.kind is RoleKind.TARGET
        colour = self._table.item(index, COLOUR)
        colour.setBackground(qt.QBrush(qt.QColor.fromRgbF(*row.colour)))
        colour.setFlags(qt.Qt.ItemIsEnabled)
        name = self._table.item(index, NAME)
        name.setText(row.name)
        name.setToolTip(row.name)
        name.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
        self._combos[index].currentIndex = self._choices.index((row.kind, row.standard_name))
        self._combos[index].toolTip = _("What {name} is to the plan").format(name=row.name)
        dose = self._table.item(index, PRESCRIPTION)
        dose.setText(row.prescription if is_target else "")
        selectable = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        dose.setFlags(selectable | qt.Qt.ItemIsEditable if is_target else selectable)
        dose.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        problem = row.prescription_problem
        dose.setToolTip(problem or (_("Prescribed dose of {name} in Gy").format(name=row.name) if is_target else ""))
        if problem and not row.prescription:
            dose.setText(_("missing"))
        dose.setForeground(qt.QBrush(qt.QColor(200, 40, 40)) if problem else qt.QBrush())

    def _role_slot(self, index: int) -> Any:
        def on_role_changed(choice: int) -> None:
            if not self._is_updating:
                kind, standard_name = self._choices[choice]
                self.edited.emit(replace(self._rows[index], kind=kind, standard_name=standard_name))

        return on_role_changed

    def _on_cell_changed(self, index: int, column: int) -> None:
        if not self._is_updating and column == PRESCRIPTION:
            self.edited.emit(replace(self._rows[index], prescription=self._table.item(index, PRESCRIPTION).text().strip()))
