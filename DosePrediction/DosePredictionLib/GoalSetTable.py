"""The table in which clinical goals are edited: each is switched, and its structure, metric and limit are typed in place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.dosimetry import ClinicalGoal, GoalError, parse_goal

from .GoalSets import PlanGoal
from .Signal import Signal
from .TableLayout import fit_height, set_headings

STRUCTURE, METRIC, LIMIT = range(3)
FEWEST_ROWS, MOST_ROWS = 2, 8


def limit_text(goal: ClinicalGoal) -> str:
    """The limit as it is read: "≤ 26 Gy"."""
    return f"{'≤' if goal.comparison == '<=' else '≥'} {goal.limit:g} {goal.unit}"


class GoalSetTable:
    """Shows goals in a QTableWidget; `edited(goals)` is emitted with all goals as the user wants them, `refused(sentence)` where that cannot be."""

    def __init__(self, table: Any) -> None:
        self.edited = Signal()
        self.refused = Signal()
        self._table = table
        self._goals: tuple[PlanGoal, ...] = ()
        self._is_updating = False
        set_headings(table, [_("Structure"), _("Metric"), _("Limit")])
        header = table.horizontalHeader()
        for column, width in ((METRIC, 64), (LIMIT, 150)):
            header.setSectionResizeMode(column, qt.QHeaderView.Fixed)
            table.setColumnWidth(column, width)
        header.setSectionResizeMode(STRUCTURE, qt.QHeaderView.Stretch)
        table.cellChanged.connect(self._on_cell_changed)

    @property
    def current(self) -> int:
        """The row that is selected; -1 if none is."""
        return int(self._table.currentRow())

    def select(self, row: int) -> None:
        self._table.setCurrentCell(row, STRUCTURE)

    def show(self, goals: tuple[PlanGoal, ...]) -> None:
        self._is_updating = True
        try:
            if self._table.rowCount != len(goals) or not goals:
                self._table.setRowCount(len(goals))
                fit_height(self._table, FEWEST_ROWS, MOST_ROWS)
            for row, one in enumerate(goals):
                if one not in self._goals[row : row + 1] or self._table.item(row, LIMIT) is None:
                    self._update(row, one)
            self._goals = goals
        finally:
            self._is_updating = False

    def _update(self, row: int, one: PlanGoal) -> None:
        selectable = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEditable
        for column, text in enumerate((one.goal.structure, one.goal.metric, limit_text(one.goal))):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(one.goal.source or _("No source is given for this goal"))
            item.setFlags(selectable | qt.Qt.ItemIsUserCheckable if column == STRUCTURE else selectable)
            if column == STRUCTURE:
                item.setCheckState(qt.Qt.Checked if one.is_on else qt.Qt.Unchecked)
            self._table.setItem(row, column, item)

    def _on_cell_changed(self, row: int, column: int) -> None:
        if self._is_updating:
            return
        one, item = self._goals[row], self._table.item(row, column)
        try:
            changed = self._changed(one, column, item.text().strip(), item.checkState() == qt.Qt.Checked)
        except GoalError as error:
            self._goals = (*self._goals[:row], replace(one, is_on=not one.is_on), *self._goals[row + 1 :])  # so that the row is shown anew
            self.show((*self._goals[:row], one, *self._goals[row + 1 :]))
            self.refused.emit(str(error))
        else:
            self.edited.emit((*self._goals[:row], changed, *self._goals[row + 1 :]))

    def _changed(self, one: PlanGoal, column: int, text: str, is_ticked: bool) -> PlanGoal:
        """The goal as typed; GoalError where it cannot be.  What the user has changed is no longer said to come from the source."""
        goal = one.goal
        if column == STRUCTURE and is_ticked != one.is_on:
            return replace(one, is_on=is_ticked)
        if column == STRUCTURE:
            if not text:
                raise GoalError(_("A goal needs a structure: a TG-263 name, PTV for every target, or PTV_High for the highest."))
            return replace(one, goal=replace(goal, structure=text))
        metric, limit = (text, limit_text(goal)) if column == METRIC else (goal.metric, _whole_limit(text, goal))
        changed = parse_goal(f"{metric} {limit}", goal.structure)
        return one if replace(changed, source=goal.source) == goal else replace(one, goal=changed)


def _whole_limit(text: str, goal: ClinicalGoal) -> str:
    """What was typed, with the comparison and unit of `goal` where it is a bare number."""
    bare = text.replace(",", ".")
    try:
        float(bare)
    except ValueError:
        return text
    return f"{goal.comparison} {bare} {goal.unit}"
