"""The part of the panel that keeps results: show one, rename it, delete it, go back to what it was made from."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from .DisplaySettings import DisplaySettings
from .HistoryTable import HistoryTable
from .Parameters import Parameters
from .ResultDisplay import display_result
from .Results import remove_result, results
from .RunInputs import CT_ROLE, SEGMENTATION_ROLE, go_back, inputs_of
from .Section import PanelView, load_section
from .Steps import Steps


class HistorySection:
    """Lists the results of the scene, the last at the bottom."""

    def __init__(self, container: Any) -> None:
        self.ui = load_section(container, "History.ui")
        self.table = HistoryTable(self.ui.historyTable)
        self._parameters: Parameters | None = None
        self._steps: Steps | None = None
        self.table.chosen.connect(self._choose)
        self.table.renamed.connect(self._rename)
        self.ui.goBackButton.clicked.connect(self._go_back)
        self.ui.deleteResultButton.clicked.connect(self._delete)

    def show(self, view: PanelView) -> None:
        self._parameters = view.parameters
        dose = view.parameters.dose if view.parameters else None
        self.table.show(results() if view.parameters else [], dose)
        self.ui.goBackButton.enabled = view.is_idle and inputs_of(dose) is not None
        self.ui.deleteResultButton.enabled = view.is_idle and dose is not None

    def clean_up(self) -> None:
        if self._steps is not None:
            self._steps.stop()

    def _choose(self, dose_node: Any) -> None:
        """Show a result, over the CT that it was made from."""
        assert self._parameters is not None
        if dose_node is self._parameters.dose:
            return
        self._parameters.dose = dose_node
        ct = dose_node.GetNodeReference(CT_ROLE) or self._parameters.ct
        if ct is not None:
            if self._steps is not None:
                self._steps.stop()
            steps = display_result(DisplaySettings(self._parameters.node), ct, dose_node)
            self._steps = Steps(steps, self._on_displayed, self._on_error, lambda _fraction: None)

    def _on_displayed(self, _nothing: None) -> None:
        self._steps = None

    def _on_error(self, error: Exception) -> None:
        self._steps = None
        self.ui.historyLabel.text = str(error)

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
        self.ui.historyLabel.text = _("{name} was deleted.").format(name=name)

    def _go_back(self) -> None:
        """Set everything as it was when the shown result was predicted; contours stay as they are."""
        assert self._parameters is not None
        dose = self._parameters.dose
        segmentation = dose.GetNodeReference(SEGMENTATION_ROLE)
        if dose.GetNodeReference(CT_ROLE) is None or segmentation is None:
            self.ui.historyLabel.text = _("The CT or the segmentation of {name} is no longer in the scene.").format(name=dose.GetName())
            return
        inputs = inputs_of(dose)
        assert inputs is not None
        with slicer.util.NodeModify(self._parameters.node):
            self._parameters.ct, self._parameters.segmentation = dose.GetNodeReference(CT_ROLE), segmentation
            go_back(inputs, self._parameters.node, segmentation)
        self.ui.historyLabel.text = _("Settings, roles, prescriptions and beams are those of {name}; edited contours stay as they are.").format(
            name=dose.GetName()
        )
