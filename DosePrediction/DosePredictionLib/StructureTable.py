"""The table of segments in the panel: colour, name, role, prescription and volume; role and prescription can be corrected by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.case import RoleKind

from .SegmentMeasures import SegmentMeasure
from .SegmentRoles import SegmentRow
from .Signal import Signal
from .StructureFindings import Finding
from .TableLayout import fit_height, set_headings

COLOUR, NAME, ROLE, PRESCRIPTION, VOLUME = range(5)
FEWEST_ROWS, MOST_ROWS = 3, 14
# In the colour's cell: something is missing, or doubtful.
PREVENTS, DOUBTFUL = "✗", "?"
Choice = tuple[RoleKind, str]


def role_text(kind: RoleKind, standard_name: str) -> str:
    """A role as the panel calls it."""
    if kind is RoleKind.ORGAN:
        return _("Organ: {name}").format(name=standard_name) if standard_name else _("Organ: other")
    return {RoleKind.TARGET: _("Target"), RoleKind.EXTERNAL: _("Body"), RoleKind.IGNORED: _("Not used")}[kind]


def mark_of(findings: tuple[Finding, ...]) -> str:
    """The sign for what was found about one segment; none if nothing was."""
    if not findings:
        return ""
    return PREVENTS if any(finding.prevents for finding in findings) else DOUBTFUL


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
        set_headings(table, ["", _("Structure"), _("Role"), _("Gy"), _("cc")])
        header = table.horizontalHeader()
        for column, width in ((COLOUR, 24), (ROLE, 162), (PRESCRIPTION, 48), (VOLUME, 46)):
            header.setSectionResizeMode(column, qt.QHeaderView.Fixed)
            table.setColumnWidth(column, width)
        header.setSectionResizeMode(NAME, qt.QHeaderView.Stretch)
        fit_height(table, FEWEST_ROWS, MOST_ROWS)
        table.cellChanged.connect(self._on_cell_changed)

    def show(self, rows: tuple[SegmentRow, ...], measures: Mapping[str, SegmentMeasure], findings: tuple[Finding, ...]) -> None:
        """Show `rows` and what is known of them; cells are kept where the segments are the same, for an edit may be under way in one of them."""
        self._is_updating = True
        try:
            self._show_rows(rows)
            for index, row in enumerate(rows):
                self._show_volume(index, measures.get(row.segment_id))
                self._show_findings(index, row, tuple(finding for finding in findings if finding.segment_id == row.segment_id))
        finally:
            self._is_updating = False

    def _show_rows(self, rows: tuple[SegmentRow, ...]) -> None:
        is_new = [row.segment_id for row in rows] != [row.segment_id for row in self._rows]
        organs = {*self._organs, *(row.standard_name for row in rows if row.kind is RoleKind.ORGAN)} - {""}
        if is_new or not organs <= {standard_name for _kind, standard_name in self._choices}:
            self._choices = [(RoleKind.IGNORED, ""), (RoleKind.TARGET, "PTV"), (RoleKind.EXTERNAL, "External")]
            self._choices += [(RoleKind.ORGAN, name) for name in [*sorted(organs), ""]]
            self._build(len(rows))
            fit_height(self._table, FEWEST_ROWS, MOST_ROWS)
            self._rows = ()
        for index, row in enumerate(rows):
            if row not in self._rows[index : index + 1]:
                self._update(index, row)
        self._rows = rows

    def _build(self, count: int) -> None:
        self._table.setRowCount(0)
        self._table.setRowCount(count)
        self._combos = []
        for index in range(count):
            for column in (COLOUR, NAME, PRESCRIPTION, VOLUME):
                self._table.setItem(index, column, qt.QTableWidgetItem())
            combo = qt.QComboBox()
            for kind, standard_name in self._choices:
                combo.addItem(role_text(kind, standard_name))
            combo.connect("currentIndexChanged(int)", self._role_slot(index))
            self._table.setCellWidget(index, ROLE, combo)
            self._combos.append(combo)

    def _update(self, index: int, row: SegmentRow) -> None:
        is_target = row.kind is RoleKind.TARGET
        selectable = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        colour = self._table.item(index, COLOUR)
        colour.setBackground(qt.QBrush(qt.QColor.fromRgbF(*row.colour)))
        colour.setForeground(qt.QBrush(_readable_on(row.colour)))
        colour.setTextAlignment(qt.Qt.AlignCenter)
        colour.setFlags(selectable)
        name = self._table.item(index, NAME)
        name.setText(row.name)
        name.setFlags(selectable)
        self._combos[index].currentIndex = self._choices.index((row.kind, row.standard_name))
        self._combos[index].toolTip = _("What {name} is to the plan").format(name=row.name)
        dose = self._table.item(index, PRESCRIPTION)
        dose.setText(row.prescription if is_target else "")
        dose.setFlags(selectable | qt.Qt.ItemIsEditable if is_target else selectable)
        dose.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
        problem = row.prescription_problem
        dose.setToolTip(problem or (_("Prescribed dose of {name} in Gy").format(name=row.name) if is_target else ""))
        if problem and not row.prescription:
            dose.setText(_("missing"))
        dose.setForeground(qt.QBrush(qt.QColor(215, 70, 60)) if problem else qt.QBrush())
        volume = self._table.item(index, VOLUME)
        volume.setFlags(selectable)
        volume.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)

    def _show_volume(self, index: int, measure: SegmentMeasure | None) -> None:
        item = self._table.item(index, VOLUME)
        if measure is None:
            text, tool_tip = "…", _("Being measured")
        elif measure.volume_cc is None:
            text, tool_tip = "–", _("The volume cannot be told under a transform that bends the segment.")
        else:
            text, tool_tip = _volume_text(measure.volume_cc), _("Volume in cc")
        item.setText(text)
        item.setToolTip(tool_tip)

    def _show_findings(self, index: int, row: SegmentRow, findings: tuple[Finding, ...]) -> None:
        sentences = "\n".join(finding.sentence for finding in findings)
        colour = self._table.item(index, COLOUR)
        colour.setText(mark_of(findings))
        colour.setToolTip(sentences)
        self._table.item(index, NAME).setToolTip("\n".join(filter(None, (row.name, sentences))))

    def _role_slot(self, index: int) -> Any:
        def on_role_changed(choice: int) -> None:
            if not self._is_updating:
                kind, standard_name = self._choices[choice]
                self.edited.emit(replace(self._rows[index], kind=kind, standard_name=standard_name))

        return on_role_changed

    def _on_cell_changed(self, index: int, column: int) -> None:
        if not self._is_updating and column == PRESCRIPTION:
            self.edited.emit(replace(self._rows[index], prescription=self._table.item(index, PRESCRIPTION).text().strip()))


def _volume_text(volume_cc: float) -> str:
    return f"{volume_cc:.0f}" if volume_cc >= 100 else f"{volume_cc:.1f}" if volume_cc >= 0.95 or volume_cc == 0 else f"{volume_cc:.2f}"


def _readable_on(colour: tuple[float, float, float]) -> Any:
    """Black or white, whichever stands out; weights of the luminance as in ITU-R BT.601."""
    red, green, blue = colour
    return qt.QColor(0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else qt.QColor(255, 255, 255)
