"""The table of beams in the panel: each is switched, named, aimed and turned into an arc in its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.case import Arc, Beam, CaseError, describe

from .PlanBeams import ENERGIES, Energy, PlanBeam, as_arc, as_field, beam_label, energy_of, with_energy
from .Signal import Signal
from .TableLayout import fit_height, set_headings

NAME, KIND, GANTRY, STOP, COLLIMATOR, COUCH, ENERGY = range(7)
FEWEST_ROWS, MOST_ROWS = 2, 10
FIELD, CLOCKWISE, COUNTER_CLOCKWISE = range(3)
# Attribute that a column shows: of a field, of an arc.
ANGLES = {
    GANTRY: ("gantry_deg", "start_deg"),
    STOP: ("", "stop_deg"),
    COLLIMATOR: ("collimator_deg", "collimator_deg"),
    COUCH: ("couch_deg", "couch_deg"),
}


class BeamTable:
    """Shows beams in a QTableWidget; `edited(beams)` is emitted with all beams as the user wants them, `refused(sentence)` where that cannot be."""

    def __init__(self, table: Any) -> None:
        self.edited = Signal()
        self.refused = Signal()
        self._table = table
        self._beams: tuple[PlanBeam, ...] = ()
        self._combos: list[Any] = []
        self._energies: list[EnergyChoice] = []
        self._is_updating = False
        set_headings(table, [_("Beam"), _("Kind"), _("Gantry"), _("to"), _("Coll."), _("Couch"), _("MV")])
        for column, tool_tip in enumerate(_column_tool_tips()):
            table.horizontalHeaderItem(column).setToolTip(tool_tip)
        header = table.horizontalHeader()
        header.setSectionResizeMode(NAME, qt.QHeaderView.Stretch)
        for column, width in ((KIND, 66), (GANTRY, 46), (STOP, 40), (COLLIMATOR, 38), (COUCH, 44), (ENERGY, 60)):
            header.setSectionResizeMode(column, qt.QHeaderView.Fixed)
            table.setColumnWidth(column, width)
        table.cellChanged.connect(self._on_cell_changed)

    @property
    def current(self) -> int:
        """The row that is selected; -1 if none is."""
        return int(self._table.currentRow())

    def select(self, row: int) -> None:
        self._table.setCurrentCell(row, NAME)

    def show(self, beams: tuple[PlanBeam, ...]) -> None:
        """Show `beams`; cells are kept where their number is the same, for an edit may be under way in one of them."""
        self._is_updating = True
        try:
            if len(beams) != self._table.rowCount or not beams:
                self._build(len(beams))
            for row, one in enumerate(beams):
                self._update(row, one)
            self._beams = beams
        finally:
            self._is_updating = False

    def _build(self, count: int) -> None:
        self._table.setRowCount(count)
        self._combos, self._energies = self._combos[:count], self._energies[:count]
        for row in range(len(self._combos), count):
            for column in (NAME, GANTRY, STOP, COLLIMATOR, COUCH):
                self._table.setItem(row, column, qt.QTableWidgetItem())
            combo = qt.QComboBox()
            for text in (_("Field"), _("Arc ↻"), _("Arc ↺")):
                combo.addItem(text)
            combo.connect("currentIndexChanged(int)", self._kind_slot(row))
            combo.toolTip = _("A static field, or an arc clockwise (↻, towards larger gantry angles) or counter-clockwise (↺)")
            self._table.setCellWidget(row, KIND, combo)
            self._combos.append(combo)
            self._energies.append(EnergyChoice(self._energy_slot(row)))
            self._table.setCellWidget(row, ENERGY, self._energies[row].combo)
        fit_height(self._table, FEWEST_ROWS, MOST_ROWS)

    def _update(self, row: int, one: PlanBeam) -> None:
        beam, selectable = one.beam, qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        name = self._table.item(row, NAME)
        name.setFlags(selectable | qt.Qt.ItemIsEditable | qt.Qt.ItemIsUserCheckable)
        name.setText(beam_label(row + 1, beam))
        name.setCheckState(qt.Qt.Checked if one.is_on else qt.Qt.Unchecked)
        name.setToolTip(describe(beam) if one.is_on else _("{beam}: switched off").format(beam=describe(beam)))
        self._combos[row].currentIndex = FIELD if isinstance(beam, Beam) else CLOCKWISE if beam.is_clockwise else COUNTER_CLOCKWISE
        for column, attributes in ANGLES.items():
            attribute = attributes[isinstance(beam, Arc)]
            item = self._table.item(row, column)
            item.setText(f"{getattr(beam, attribute):g}" if attribute else "")
            item.setFlags(selectable | qt.Qt.ItemIsEditable if attribute else selectable)
            item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            item.setToolTip(self._table.horizontalHeaderItem(column).toolTip())
        self._energies[row].show(energy_of(beam))

    def _kind_slot(self, row: int) -> Callable[[int], None]:
        def on_kind_changed(kind: int) -> None:
            if not self._is_updating:
                self._change(row, lambda beam: as_field(beam) if kind == FIELD else as_arc(beam, kind == CLOCKWISE))

        return on_kind_changed

    def _energy_slot(self, row: int) -> Callable[[Energy], None]:
        def on_energy_chosen(energy: Energy) -> None:
            self._change(row, lambda beam: with_energy(beam, energy))

        return on_energy_chosen

    def _on_cell_changed(self, row: int, column: int) -> None:
        if self._is_updating:
            return
        item = self._table.item(row, column)
        if column == NAME:
            is_on, name = item.checkState() == qt.Qt.Checked, item.text().strip()
            if is_on != self._beams[row].is_on:
                self._emit(row, replace(self._beams[row], is_on=is_on))
            else:
                self._change(row, lambda beam: replace(beam, name=name))
        elif column in ANGLES:
            self._change(row, lambda beam: replace(beam, **{ANGLES[column][isinstance(beam, Arc)]: _degrees(item.text())}))

    def _change(self, row: int, changed: Callable[[Beam | Arc], Beam | Arc]) -> None:
        """Have the beam of a row changed; what cannot be is refused with the reason, and the row shows again what is."""
        try:
            beam = changed(self._beams[row].beam)
        except CaseError as error:
            self.show(self._beams)
            self.refused.emit(_("{beam}: {reason}").format(beam=beam_label(row + 1, self._beams[row].beam), reason=str(error)))
        else:
            self._emit(row, replace(self._beams[row], beam=beam))

    def _emit(self, row: int, one: PlanBeam) -> None:
        self.edited.emit((*self._beams[:row], one, *self._beams[row + 1 :]))


class EnergyChoice:
    """A combo box of the energies that there are beam data for; another that a beam has comes on top.  `on_chosen(energy)` when the user chooses."""

    def __init__(self, on_chosen: Callable[[Energy], None]) -> None:
        self.combo = qt.QComboBox()
        self.combo.toolTip = _("Nominal photon energy of this beam in MV; FFF is without flattening filter")
        self._on_chosen = on_chosen
        self._choices: tuple[Energy, ...] = ()
        self.combo.connect("activated(int)", self._on_activated)

    def show(self, energy: Energy) -> None:
        choices = ENERGIES if energy in ENERGIES else (*ENERGIES, energy)
        if choices != self._choices:
            self._choices = choices
            self.combo.clear()
            for energy_mv, is_flattened in choices:
                self.combo.addItem(f"{energy_mv:g}" + ("" if is_flattened else " FFF"))
        self.combo.currentIndex = choices.index(energy)

    def _on_activated(self, index: int) -> None:
        self._on_chosen(self._choices[index])


def _column_tool_tips() -> tuple[str, ...]:
    return (
        _("Name of the beam; a beam that is not ticked is left out"),
        _("A static field (IMRT) or an arc (VMAT)"),
        _("Gantry angle in degrees (IEC 61217: 0 enters from anterior, 90 from the left of a head-first supine patient); of an arc, where it begins"),
        _("Gantry angle in degrees where an arc ends"),
        _("Collimator angle in degrees (IEC 61217)"),
        _("Couch angle in degrees (IEC 61217: counter-clockwise seen from above)"),
        _("Nominal photon energy in MV; choose one for all beams below"),
    )


def _degrees(text: str) -> float:
    """The angle that was typed; CaseError if it is none."""
    try:
        return float(text.replace(",", ".").replace("°", "").strip())
    except ValueError:
        raise CaseError(_("angle {text} is not a number; give degrees.").format(text=repr(text))) from None
