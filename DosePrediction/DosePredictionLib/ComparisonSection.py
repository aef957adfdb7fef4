"""The part of the panel that compares the shown result with another dose: one of ours, or any in the scene."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from dose_prediction.case import CaseError
from dose_prediction.dosimetry import GammaCriteria

from .ChartView import show_chart
from .ComparisonNodes import CHANGES_ROLE, CHART_ROLE, COLUMNS, PASSING_ATTRIBUTE, REFERENCE_ROLE, SHOWN_ROLE, put_comparison
from .DisplaySettings import DIFFERENCE, DisplaySettings
from .DoseComparison import ComparedDoses, ComparisonRequest, compare
from .DoseNode import DOSE_VOLUME_ATTRIBUTE
from .ResultDisplay import display_result
from .Section import PanelView, load_section, say
from .Steps import StepGenerator, Steps, sentence_of
from .TableLayout import fit_height, set_headings


class ComparisonSection:
    """Compares in steps; the button stops them."""

    def __init__(self, container: Any) -> None:
        self.ui = load_section(container, "Comparison.ui")
        self._view: PanelView | None = None
        self._steps: Steps | None = None
        self.ui.referenceSelector.addAttribute("vtkMRMLScalarVolumeNode", DOSE_VOLUME_ATTRIBUTE, "1")
        table = self.ui.changesTable
        set_headings(table, [_("Structure"), _("Metric"), _("Reference"), _("Shown"), _("Change")])
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        self.ui.compareButton.clicked.connect(self._on_compare_clicked)
        self.ui.pairedChartButton.clicked.connect(self._on_chart_clicked)
        self.ui.referenceSelector.currentNodeChanged.connect(self._show_button)

    def show(self, view: PanelView) -> None:
        self._view = view
        if view.is_closing:
            self._stop()
        node = view.parameters.node if view.parameters else None
        changes = node.GetNodeReference(CHANGES_ROLE) if node is not None else None
        self._show_changes(changes)
        self.ui.pairedChartButton.enabled = node is not None and node.GetNodeReference(CHART_ROLE) is not None
        self._show_button()

    def clean_up(self) -> None:
        self._stop()

    def compare_with(self, reference: Any) -> None:
        """Compare the shown result with another dose, without gamma: what a guided prediction changed."""
        self._start(reference, None)

    def _show_button(self) -> None:
        parameters = self._view.parameters if self._view is not None else None
        self.ui.compareButton.text = _("Stop comparing") if self._steps is not None else _("Compare")
        reference = self.ui.referenceSelector.currentNode()
        problem = ""
        if parameters is None or parameters.dose is None:
            problem = _("There is no result to compare; press Predict.")
        elif reference is None or reference is parameters.dose:
            problem = _("Select another dose than the one that is shown.")
        self.ui.compareButton.enabled = not problem or self._steps is not None
        self.ui.compareButton.toolTip = problem or _("Compare the shown result with the selected dose, which is the reference.")

    def _show_changes(self, changes: Any) -> None:
        table = self.ui.changesTable
        rows = changes.GetNumberOfRows() if changes is not None else 0
        table.setRowCount(rows)
        fit_height(table, 1, 16)
        for row in range(rows):
            for column in range(len(COLUMNS)):
                item = qt.QTableWidgetItem(changes.GetCellText(row, column))
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
                table.setItem(row, column, item)
        say(self.ui.comparedLabel, _compared_in_words(changes))

    def _on_compare_clicked(self) -> None:
        if self._steps is not None:
            self._stop()
            say(self.ui.comparedLabel, _("Stopped."))
            self._show_button()
            return
        criteria = GammaCriteria(self.ui.gammaPercentSpinBox.value, self.ui.gammaDistanceSpinBox.value) if self.ui.gammaCheckBox.checked else None
        self._start(self.ui.referenceSelector.currentNode(), criteria)

    def _start(self, reference: Any, criteria: GammaCriteria | None) -> None:
        assert self._view is not None and self._view.parameters is not None
        parameters = self._view.parameters
        if parameters.ct is None or parameters.segmentation is None:
            say(self.ui.comparedLabel, _("Select the CT and the segmentation that the doses belong to."))
            return
        request = ComparisonRequest(parameters.dose, reference, parameters.ct, parameters.segmentation, self._view.rows, criteria)
        self._take_steps(compare(request), lambda found: self._on_compared(parameters.node, request, found))
        self._show_button()

    def _on_compared(self, node: Any, request: ComparisonRequest, found: ComparedDoses) -> None:
        def show() -> StepGenerator:
            for dose in (request.dose, request.reference):
                if not slicer.mrmlScene.IsNodePresent(dose):
                    raise CaseError(_("{name} was deleted while it was compared; nothing was added.").format(name=dose.GetName()))
            yield from put_comparison(node, request, found)
            settings = DisplaySettings(node)
            settings.overlay = DIFFERENCE
            yield from display_result(settings, request.ct, request.dose)

        self._take_steps(show(), lambda _nothing: self._on_shown())

    def _on_shown(self) -> None:
        self._steps = None
        self._on_chart_clicked()
        if self._view is not None:
            self.show(self._view)

    def _on_chart_clicked(self) -> None:
        parameters = self._view.parameters if self._view is not None else None
        show_chart(parameters.node.GetNodeReference(CHART_ROLE) if parameters is not None else None)

    def _take_steps(self, work: StepGenerator, on_done: Any) -> None:
        self._steps = Steps(work, on_done, self._on_error, self._on_fraction)

    def _on_fraction(self, fraction: float) -> None:
        say(self.ui.comparedLabel, _("Comparing: {percent} %").format(percent=round(100 * fraction)))

    def _on_error(self, error: Exception) -> None:
        self._steps = None
        self._show_button()
        is_told = isinstance(error, ValueError)  # of the core's dosimetry, with a sentence
        say(self.ui.comparedLabel, str(error) if is_told else sentence_of(error))

    def _stop(self) -> None:
        if self._steps is not None:
            self._steps.stop()
            self._steps = None


def _compared_in_words(changes: Any) -> str:
    if changes is None:
        return ""
    shown, reference = changes.GetNodeReference(SHOWN_ROLE), changes.GetNodeReference(REFERENCE_ROLE)
    names = [node.GetName() if node is not None else _("a deleted dose") for node in (shown, reference)]
    sentence = _("{dose} (solid) against {reference} (dashed).").format(dose=names[0], reference=names[1])
    return " ".join([sentence, changes.GetAttribute(PASSING_ATTRIBUTE) or ""]).strip()
