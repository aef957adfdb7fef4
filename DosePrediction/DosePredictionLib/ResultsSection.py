"""The part of the panel that shows a result: metrics, where a structure fails most, the overlay and the isodoses."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from .DisplaySettings import OVERLAYS, DisplaySettings
from .DoseNode import prescription_of
from .DvhTables import metrics_of
from .GoalsTable import GoalsTable
from .Isodose import IsodoseLevel
from .IsodoseTable import IsodoseTable
from .MetricsTable import MetricsTable
from .Parameters import Parameters
from .ResultDisplay import display_result
from .Section import PanelView, load_section, say
from .SliceDisplay import centre_views
from .Steps import StepGenerator, Steps, sentence_of
from .WorstPoint import WorstPoint, is_coldest_worst, worst_point


class ResultsSection:
    """Beside the goals that the panel shows; long work goes on in steps, one at a time."""

    def __init__(self, container: Any, goals: GoalsTable) -> None:
        self.ui = load_section(container, "Results.ui")
        self._parameters: Parameters | None = None
        self._view: PanelView | None = None
        self._steps: Steps | None = None
        self._is_updating = False
        self.metrics = MetricsTable(self.ui.metricsTable)
        self.isodoses = IsodoseTable(self.ui.isodoseTable)
        goals.clicked.connect(self._on_structure_clicked)
        self.metrics.clicked.connect(self._on_structure_clicked)
        self.isodoses.edited.connect(self._on_levels_edited)
        self.ui.overlayComboBox.currentIndexChanged.connect(self._on_display_changed)
        self.ui.linesCheckBox.toggled.connect(self._on_display_changed)
        self.ui.surfacesCheckBox.toggled.connect(self._on_display_changed)
        self.ui.addLevelButton.clicked.connect(self.isodoses.add)
        self.ui.removeLevelButton.clicked.connect(self.isodoses.remove_selected)

    def show(self, view: PanelView) -> None:
        self._view, self._parameters = view, view.parameters
        if view.is_closing:
            self.clean_up()
        dose = view.parameters.dose if view.parameters else None
        self.metrics.show(metrics_of(dose))
        self.ui.displayWidget.enabled = dose is not None
        if dose is None:
            say(self.ui.pointLabel, "")
        if view.parameters is None:
            return
        settings = DisplaySettings(view.parameters.node)
        self._is_updating = True
        try:
            self.ui.overlayComboBox.currentIndex = OVERLAYS.index(settings.overlay)
            self.ui.linesCheckBox.checked = settings.has_lines
            self.ui.surfacesCheckBox.checked = settings.has_surfaces
            self.isodoses.show(settings.isodose_levels, prescription_of(dose) if dose is not None else None)
        finally:
            self._is_updating = False

    def clean_up(self) -> None:
        if self._steps is not None:
            self._steps.stop()
            self._steps = None

    def _on_display_changed(self) -> None:
        if self._is_updating or self._parameters is None:
            return
        settings = DisplaySettings(self._parameters.node)
        settings.overlay = OVERLAYS[self.ui.overlayComboBox.currentIndex]
        settings.has_lines, settings.has_surfaces = self.ui.linesCheckBox.checked, self.ui.surfacesCheckBox.checked
        self._display()

    def _on_levels_edited(self, levels: tuple[IsodoseLevel, ...]) -> None:
        if self._parameters is None:
            return
        settings = DisplaySettings(self._parameters.node)
        if levels == settings.isodose_levels:
            self.isodoses.show(levels, prescription_of(self._parameters.dose) if self._parameters.dose else None)
            return
        settings.isodose_levels = levels
        self._display()

    def _display(self) -> None:
        assert self._parameters is not None
        if self._parameters.dose is not None and self._parameters.ct is not None:
            settings = DisplaySettings(self._parameters.node)
            self._take_steps(display_result(settings, self._parameters.ct, self._parameters.dose), self._on_displayed)

    def _on_displayed(self, _nothing: None) -> None:
        self._steps = None

    def _on_structure_clicked(self, structure: str, goal: str = "") -> None:
        row = next((row for row in self._view.rows if row.name == structure), None) if self._view is not None else None
        if row is None or self._parameters is None or self._parameters.dose is None:
            say(self.ui.pointLabel, _("{name} is no longer contoured.").format(name=structure))
            return
        work = worst_point(self._parameters.dose, self._parameters.segmentation, row, is_coldest_worst(row, goal))
        self._take_steps(work, self._on_point_found)

    def _on_point_found(self, found: WorstPoint | None) -> None:
        self._steps = None
        if found is None:
            return
        centre_views(found.point_ras)
        sentence = _("{name}: coldest point, {dose} Gy") if found.is_coldest else _("{name}: hottest point, {dose} Gy")
        say(self.ui.pointLabel, sentence.format(name=found.structure, dose=f"{found.dose_gy:.1f}"))

    def _take_steps(self, work: StepGenerator, on_done: Any) -> None:
        if self._steps is not None:
            self._steps.stop()
        self._steps = Steps(work, on_done, self._on_step_error, lambda _fraction: None)

    def _on_step_error(self, error: Exception) -> None:
        self._steps = None
        say(self.ui.pointLabel, sentence_of(error))
