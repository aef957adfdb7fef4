"""The part of the panel that keeps results: show one, rename it, delete it, go back to what it was made from."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from .ChartView import has_chart_view, show_chart
from .DisplaySettings import DisplaySettings
from .DvhTables import chart_of
from .Fingerprints import Fingerprints
from .GoingBack import PanelInputs, earlier_inputs, go_to, present_inputs
from .HistoryTable import HistoryTable
from .Parameters import Parameters
from .ResultDisplay import display_result
from .Results import remove_result, results
from .RunInputs import CT_ROLE, SEGMENTATION_ROLE, forget_unused_contours, inputs_of
from .Section import PanelView, load_section, say
from .Steps import Steps, sentence_of


class HistorySection:
    """Lists the results of the scene, the last at the bottom."""

    def __init__(self, container: Any, fingerprints: Fingerprints) -> None:
        self.ui = load_section(container, "History.ui")
        self.table = HistoryTable(self.ui.historyTable)
        self._parameters: Parameters | None = None
        self._steps: Steps | None = None
        self._fingerprints = fingerprints
        self._before: PanelInputs | None = None  # what the user went back from
        self._is_idle = True
        self.table.chosen.connect(self._choose)
        self.table.renamed.connect(self._rename)
        self.ui.goBackButton.clicked.connect(self._go_back)
        self.ui.undoButton.clicked.connect(self._undo)
        self.ui.deleteResultButton.clicked.connect(self._delete)

    def show(self, view: PanelView) -> None:
        self._parameters = view.parameters
        if view.is_closing:
            self.clean_up()
            say(self.ui.historyLabel, "")
        self.table.show(results() if view.parameters else [], view.parameters.dose if view.parameters else None)
        if self._before is not None and not _is_there(self._before):
            self._before = None
        self._is_idle = view.is_idle
        self._show_buttons()

    def clean_up(self) -> None:
        if self._steps is not None:
            self._steps.stop()
        self._steps = self._before = None

    def _show_buttons(self) -> None:
        dose = self._parameters.dose if self._parameters is not None else None
        can_change = self._is_idle and self._steps is None and dose is not None
        self.ui.goBackButton.enabled = can_change and inputs_of(dose) is not None
        self.ui.deleteResultButton.enabled = can_change
        self.ui.undoButton.enabled = self._is_idle and self._steps is None and self._before is not None

    def _choose(self, dose_node: Any) -> None:
        """Show a result, over the CT that it was made from, and its chart where there is a view for it."""
        assert self._parameters is not None
        if dose_node is self._parameters.dose:
            return
        self._parameters.dose = dose_node
        if has_chart_view():
            show_chart(chart_of(dose_node))
        ct = dose_node.GetNodeReference(CT_ROLE) or self._parameters.ct
        if ct is not None:
            if self._steps is not None:
                self._steps.stop()
            steps = display_result(DisplaySettings(self._parameters.node), ct, dose_node)
            self._steps = Steps(steps, self._on_displayed, self._on_error, lambda _fraction: None)

    def _on_displayed(self, _nothing: None) -> None:
        self._steps = None
        self._show_buttons()

    def _on_error(self, error: Exception) -> None:
        self._steps = None
        say(self.ui.historyLabel, sentence_of(error))
        self._show_buttons()

    def _rename(self, dose_node: Any, name: str) -> None:
        if name:
            dose_node.SetName(name)
        assert self._parameters is not None
        self.table.show(results(), self._parameters.dose)

    def _delete(self) -> None:
        """Delete the result that is shown; the last of those that remain takes its place."""
        assert self._parameters is not None
        shown = self._parameters.dose
        name, remaining = shown.GetName(), [dose for dose in results() if dose is not shown]
        if remaining:
            self._choose(remaining[-1])
        remove_result(shown)
        forget_unused_contours()
        say(self.ui.historyLabel, _("{name} was deleted.").format(name=name))

    def _go_back(self) -> None:
        """Set everything as it was when the shown result was predicted."""
        assert self._parameters is not None
        dose = self._parameters.dose
        if dose.GetNodeReference(CT_ROLE) is None or dose.GetNodeReference(SEGMENTATION_ROLE) is None:
            say(self.ui.historyLabel, _("The CT or the segmentation of {name} is no longer in the scene.").format(name=dose.GetName()))
            return
        inputs = inputs_of(dose)
        assert inputs is not None
        earlier, lost = earlier_inputs(dose, inputs, self._fingerprints)
        before = present_inputs(self._parameters, earlier.segmentation, earlier.contours)
        told = _("Contours, roles, prescriptions, beams and settings are those of {name}.").format(name=dose.GetName())
        if lost:
            told += " " + _("Not kept, and left as they are: the contours of {names}.").format(names=", ".join(lost))
        self._go_to(earlier, before, told)

    def _undo(self) -> None:
        """Set everything as it was before the user went back."""
        assert self._before is not None
        self._go_to(self._before, None, _("Everything is as it was before."))

    def _go_to(self, inputs: PanelInputs, before: PanelInputs | None, told: str) -> None:
        assert self._parameters is not None
        if self._steps is not None:
            self._steps.stop()

        def on_done(_nothing: None) -> None:
            self._steps, self._before = None, before
            say(self.ui.historyLabel, told)
            self._show_buttons()

        self._steps = Steps(go_to(inputs, self._parameters), on_done, self._on_error, lambda _fraction: None)
        self._show_buttons()


def _is_there(inputs: PanelInputs) -> bool:
    """True while the scene has the nodes that the inputs are of."""
    return all(node is None or slicer.mrmlScene.IsNodePresent(node) for node in (inputs.ct, inputs.segmentation))
