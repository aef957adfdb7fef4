"""The panel's clinical goals: a set is chosen, edited, read from a file and written to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.case import CaseError
from dose_prediction.dosimetry import ClinicalGoal, GoalError, write_goal_set
from dose_prediction.output_files import OutputError

from .CoreWords import translated
from .GoalSets import PlanGoal, PlanGoals, read_goals, shipped_sets
from .GoalSetTable import GoalSetTable
from .Parameters import Parameters
from .Section import PanelView, load_section, say
from .StructureTable import PREVENTS

FILE_FILTER = "*.json"
NEW_GOAL = PlanGoal(ClinicalGoal("SpinalCord", "D0.03cc", "<=", 45.0, "Gy"))


class GoalsSection:
    """Shows and changes `Parameters.plan_goals`; what is refused is said in `goalSetLabel` until the next change."""

    def __init__(self, container: Any) -> None:
        self.ui = ui = load_section(container, "Goals.ui")
        self._parameters: Parameters | None = None
        self._message = ""
        self._table = GoalSetTable(ui.goalSetTable)
        self._table.edited.connect(lambda goals: self._edit(lambda _goals: goals))
        self._table.refused.connect(self._refuse)
        for shipped in shipped_sets():
            ui.goalSetComboBox.addItem(translated(shipped.name))
        ui.goalSetComboBox.connect("activated(int)", self._on_set_chosen)
        ui.editGoalsButton.toggled.connect(self._on_edit_toggled)
        ui.addGoalButton.clicked.connect(self._on_add)
        ui.removeGoalButton.clicked.connect(self._on_remove)
        ui.importGoalsButton.clicked.connect(self._on_import)
        ui.exportGoalsButton.clicked.connect(self._on_export)

    def show(self, view: PanelView) -> None:
        self._parameters = view.parameters
        if view.parameters is None:
            return
        try:
            goals, problem = view.parameters.plan_goals, ""
        except CaseError as error:
            goals, problem = PlanGoals("", "", ()), str(error)
        self._show_name(goals)
        self._table.show(goals.goals)
        self.ui.removeGoalButton.enabled = bool(goals.goals)
        self._say(self._message or (f"{PREVENTS} {problem}" if problem else ""))

    def clean_up(self) -> None:
        self._parameters = None

    def _show_name(self, goals: PlanGoals) -> None:
        """The chosen set in the chooser; one of the user's own has an entry at the end for as long as it is the chosen one."""
        combo, shipped = self.ui.goalSetComboBox, shipped_sets()
        while combo.count > len(shipped):
            combo.removeItem(combo.count - 1)
        if not goals.file_name:
            combo.addItem(goals.name or _("None"))
        combo.currentIndex = next((index for index, one in enumerate(shipped) if one.file_name == goals.file_name), len(shipped))
        combo.toolTip = "\n\n".join(filter(None, (_("The goals that a dose is judged by."), goals.description)))

    def _say(self, text: str) -> None:
        say(self.ui.goalSetLabel, text)

    def _refuse(self, sentence: str) -> None:
        self._message = f"{PREVENTS} {sentence}"
        self._say(self._message)

    def _set(self, goals: PlanGoals) -> None:
        self._message = ""
        if self._parameters is not None:
            self._parameters.plan_goals = goals

    def _goals(self) -> PlanGoals:
        """The present goals; none where the scene's cannot be read."""
        try:
            return self._parameters.plan_goals if self._parameters is not None else PlanGoals("", "", ())
        except CaseError:
            return PlanGoals("", "", ())

    def _edit(self, change: Callable[[tuple[PlanGoal, ...]], tuple[PlanGoal, ...]]) -> None:
        """Have the goals changed; from then on they are the user's own set."""
        before = self._goals()
        after = replace(before, goals=change(before.goals))
        if after == before:
            return
        if before.file_name:
            after = replace(after, file_name="", name=_("{name} (edited)").format(name=translated(before.name)))
        self._set(after)

    def _on_edit_toggled(self, is_shown: bool) -> None:
        self.ui.goalEditWidget.visible = is_shown

    def _on_set_chosen(self, index: int) -> None:
        if index < len(shipped_sets()):
            self._set(shipped_sets()[index])

    def _on_add(self) -> None:
        self._edit(lambda goals: (*goals, NEW_GOAL))
        self._table.show(self._goals().goals)
        self._table.select(len(self._goals().goals) - 1)

    def _on_remove(self) -> None:
        row = self._table.current if self._table.current >= 0 else len(self._goals().goals) - 1
        self._edit(lambda goals: (*goals[:row], *goals[row + 1 :]))

    def _on_import(self) -> None:
        path = qt.QFileDialog.getOpenFileName(None, _("Import clinical goals"), "", FILE_FILTER)
        if not path:
            return
        try:
            self._set(read_goals(path))
        except GoalError as error:
            self._refuse(str(error))

    def _on_export(self) -> None:
        path = qt.QFileDialog.getSaveFileName(None, _("Export clinical goals"), "goals.json", FILE_FILTER)
        if not path:
            return
        path = path if path.lower().endswith(".json") else f"{path}.json"
        try:
            write_goal_set(path, self._goals().goal_set)
        except OutputError as error:
            self._refuse(str(error))
            return
        self._message = ""
        self._say(_("Written: {path}").format(path=Path(path).name))
