"""The panel: what the user sees and sets, kept in step with the parameter node, the scene and the run."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from dose_prediction.case import DoseGoal

from .AdvancedSection import AdvancedSection
from .BeamsSection import BeamsSection
from .BodySegment import BodySegment
from .ChartView import has_chart_view, show_chart
from .ComparisonSection import ComparisonSection
from .CoreWords import translated
from .DoseNode import DOSE_VOLUME_ATTRIBUTE, provenance_of
from .DvhBands import take_names_from_bands
from .DvhTables import chart_of
from .ExchangeSection import ExchangeSection
from .Fingerprints import Fingerprints
from .FractionsSection import FractionsSection
from .GoalSets import organs_with_goals
from .GoalsSection import GoalsSection
from .GoalsTable import GoalsTable
from .HistorySection import HistorySection
from .IsocentreSection import IsocentreSection
from .MemoryNeed import in_gb, memory_in_words, memory_needed
from .MissingInputs import missing_inputs
from .Parameters import DEVICES, Parameters
from .PredictionRun import PredictionRun
from .PythonPackages import PackagesProtocol, PythonPackages
from .ResultNodes import RunRequest
from .ResultsSection import ResultsSection
from .RunState import RunState, state_label, time_left_in_words
from .Section import PanelView, Section, say
from .SegmentMeasures import SegmentMeasures
from .SegmentRoles import SegmentRow, segment_rows
from .Staleness import Staleness
from .StructuresSection import StructuresSection
from .TabOrder import set_tab_order
from .WhatIfSection import WhatIfSection
from .WorkerProcess import WorkerProcess, WorkerProtocol


class Panel(VTKObservationMixin):
    """Drives the widgets of `DosePrediction.ui`.

    `ui` holds them by name and `logic` gives the parameter node; worker and packages can be handed in, as tests do.
    """

    def __init__(self, ui: Any, logic: Any, worker: WorkerProtocol | None = None, packages: PackagesProtocol | None = None) -> None:
        super().__init__()
        self.ui = ui
        self.parameters: Parameters | None = None
        self._logic = logic
        self._worker = worker or WorkerProcess()
        self._packages = packages or PythonPackages()
        self._is_updating = False
        self._is_update_due = False
        self._is_first_result = True
        self._begun_s = 0.0
        self._unguided: Any = None
        self._is_entered = False
        self._rows: tuple[SegmentRow, ...] = ()
        self._watched: dict[str, Any] = {}
        self._measures = SegmentMeasures()
        self._measures.changed.connect(self._update_soon)
        self.goals = GoalsTable(ui.goalsTable)
        fingerprints = Fingerprints()
        self.staleness = Staleness(ui, fingerprints, self._update_by_itself)
        self.staleness.changed.connect(self._show_button)
        history, self.comparison = HistorySection(ui.compareCollapsibleButton, fingerprints), ComparisonSection(ui.compareCollapsibleButton)
        self.sections: tuple[Section, ...] = (
            StructuresSection(ui, organs_with_goals()),
            BodySegment(ui),
            BeamsSection(ui.planCollapsibleButton),
            ExchangeSection(ui.exchangeCollapsibleButton),
            IsocentreSection(ui.planCollapsibleButton),
            FractionsSection(ui.planCollapsibleButton),
            GoalsSection(ui.planCollapsibleButton),
            ResultsSection(ui.resultsCollapsibleButton, self.goals),
            history,
            self.comparison,
            WhatIfSection(ui.whatIfCollapsibleButton, self._ask_what_if),
            AdvancedSection(ui.advancedCollapsibleButton, self._worker),
            self.staleness,
        )
        set_tab_order(ui.predictButton.parentWidget())
        self.run = PredictionRun(self._worker, fingerprints)
        self.run.machine.changed.connect(self._on_state_changed)
        self.run.progressed.connect(self._on_progressed)
        self.run.finished.connect(self._on_finished)
        self.run.stopped.connect(self._on_stopped)
        self.run.late_figure.changed.connect(self._update_soon)
        self._connect_widgets()
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_end)
        self.addObserver(scene, scene.EndImportEvent, self._on_scene_end)
        self.addObserver(scene, scene.NodeRemovedEvent, self._on_node_removed)
        self._show_state(RunState.IDLE)
        self._update()

    def enter(self) -> None:
        """The user has come to the module."""
        self._is_entered = True
        self._take_parameter_node()

    def exit(self) -> None:
        """The user has left; a run goes on, the panel stops following the scene."""
        self._is_entered = False
        self._set_parameters(None)

    def clean_up(self) -> None:
        """The module is being destroyed: nothing may be left observing or running."""
        self.run.abandon()
        self._set_parameters(None)
        self._measures.stop()
        for section in self.sections:
            section.clean_up()
        self.removeObservers()
        self._worker.shut_down()

    def _connect_widgets(self) -> None:
        ui = self.ui
        ui.ctSelector.currentNodeChanged.connect(self._on_ct_selected)
        ui.segmentationSelector.currentNodeChanged.connect(self._on_segmentation_selected)
        for widget_signal in (
            ui.deviceComboBox.currentIndexChanged,
            ui.samplesSpinBox.valueChanged,
            ui.seedSpinBox.valueChanged,
        ):
            widget_signal.connect(self._on_setting_changed)
        ui.predictButton.clicked.connect(self._on_predict_clicked)
        ui.showChartButton.clicked.connect(self._on_show_chart_clicked)

    # The parameter node and the nodes that it refers to

    def _take_parameter_node(self) -> None:
        self._set_parameters(Parameters(self._logic.getParameterNode()))
        take_names_from_bands()
        self._select_defaults()

    def _set_parameters(self, parameters: Parameters | None) -> None:
        self._watch("parameters", parameters.node if parameters else None, ("ModifiedEvent",), self._on_parameters_modified)
        self.parameters = parameters
        self._update()

    def _select_defaults(self) -> None:
        """Save the user a choice where there is only one sensible."""
        assert self.parameters is not None
        if self.parameters.ct is None:
            volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            images = [node for node in volumes if not node.GetAttribute(DOSE_VOLUME_ATTRIBUTE) and not node.IsA("vtkMRMLLabelMapVolumeNode")]
            self.parameters.ct = images[0] if images else None
        if self.parameters.segmentation is None:
            segmentations = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
            self.parameters.segmentation = segmentations[0] if segmentations else None

    def _watch(self, name: str, node: Any, events: tuple[str, ...], method: Any) -> None:
        """Observe `node` under `name` in place of the one observed before."""
        before = self._watched.get(name)
        if before is node:
            return
        for event in events:
            if before is not None:
                self.removeObserver(before, _event_id(before, event), method)
            if node is not None:
                self.addObserver(node, _event_id(node, event), method)
        self._watched[name] = node

    def _on_parameters_modified(self, _caller: Any, _event: Any) -> None:
        self._update_soon()

    def _on_inputs_modified(self, _caller: Any, _event: Any) -> None:
        self._update_soon()

    def _on_scene_start_close(self, _caller: Any, _event: Any) -> None:
        self._show_status("")  # it speaks of what is closed
        self.run.abandon()
        self._set_parameters(None)

    def _on_scene_end(self, _caller: Any, _event: Any) -> None:
        if self._is_entered:
            self._take_parameter_node()

    def _on_node_removed(self, _caller: Any, _event: Any) -> None:
        if not slicer.mrmlScene.IsClosing():
            self.run.late_figure.forget_removed()
            self._update_soon()

    # From the widgets to the parameter node

    def _on_ct_selected(self) -> None:
        if self.parameters is not None and not self._is_updating:
            self.parameters.ct = self.ui.ctSelector.currentNode()

    def _on_segmentation_selected(self) -> None:
        if self.parameters is not None and not self._is_updating:
            self.parameters.segmentation = self.ui.segmentationSelector.currentNode()

    def _on_setting_changed(self) -> None:
        if self.parameters is None or self._is_updating:
            return
        ui, parameters = self.ui, self.parameters
        with slicer.util.NodeModify(parameters.node):
            parameters.device = DEVICES[ui.deviceComboBox.currentIndex]
            parameters.samples = ui.samplesSpinBox.value
            parameters.seed = ui.seedSpinBox.value

    # From the parameter node to the widgets

    def _update_soon(self) -> None:
        """Update once when the events that are under way have all been heard; one change of a node often brings several."""
        if not self._is_update_due:
            self._is_update_due = True
            qt.QTimer.singleShot(0, self._update_if_due)

    def _update_if_due(self) -> None:
        if self._is_update_due:
            self._update()

    def _update(self) -> None:
        self._is_update_due = False
        if self._is_updating:
            return
        self._is_updating = True
        try:
            parameters = self.parameters
            ct = parameters.ct if parameters else None
            segmentation = parameters.segmentation if parameters else None
            self._watch("ct", ct, ("ModifiedEvent", "TransformModifiedEvent", "ImageDataModifiedEvent"), self._on_inputs_modified)
            self._watch("segmentation", segmentation, ("ModifiedEvent", "TransformModifiedEvent"), self._on_inputs_modified)
            self._watch("segments", segmentation.GetSegmentation() if segmentation else None, SEGMENT_EVENTS, self._on_inputs_modified)
            isocentre = parameters.isocentre_point if parameters else None
            self._watch("isocentre", isocentre, ("PointModifiedEvent", "PointRemovedEvent", "TransformModifiedEvent"), self._on_inputs_modified)
            self._rows = segment_rows(segmentation)
            self.ui.ctSelector.setCurrentNode(ct)
            self.ui.segmentationSelector.setCurrentNode(segmentation)
            if parameters is not None:
                self._measures.follow(ct, segmentation, self._rows)
                self._show_settings(parameters)
            else:
                self._measures.stop()
            self._show_results()
            self._show_button()
            is_figure_awaited = parameters is not None and self.run.late_figure.is_awaited_for(parameters.dose)
            measures = self._measures.found, self._measures.targets_mm
            states = self.run.machine.is_idle, is_figure_awaited, bool(slicer.mrmlScene.IsClosing())
            view = PanelView(parameters, self._rows, *states, *measures)
            for section in self.sections:
                section.show(view)
        finally:
            self._is_updating = False

    def _show_settings(self, parameters: Parameters) -> None:
        ui = self.ui
        ui.deviceComboBox.currentIndex = DEVICES.index(parameters.device)
        ui.samplesSpinBox.value = parameters.samples
        ui.seedSpinBox.value = parameters.seed

    def _show_results(self) -> None:
        dose = self.parameters.dose if self.parameters else None
        self.goals.show(self.parameters.goals if self.parameters else None)
        self.ui.showChartButton.enabled = chart_of(dose) is not None
        say(self.ui.deliverabilityLabel, self.run.late_figure.sentence(dose))
        self.ui.provenanceLabel.text = _provenance_in_words(provenance_of(dose))

    def _show_button(self) -> None:
        label = state_label(self.run.machine.state)
        button = self.ui.predictButton
        button.text = label.button
        self.ui.readinessLabel.visible = self.run.machine.is_idle
        if not self.run.machine.is_idle:
            button.enabled = label.button_enabled
            button.toolTip = _("Stop the prediction; the scene stays as it is.")
            return
        reasons = missing_inputs(self.parameters, self._rows, self._measures.found)
        button.enabled = not reasons
        if self.staleness.is_stale:
            button.text = _("Update")
        button.toolTip = "\n".join(reasons) or self._run_in_words()
        self.ui.readinessLabel.text = reasons[0] if reasons else self._needs_in_words()

    def _run_in_words(self) -> str:
        """What a press of the button does: where it is computed and what memory it takes."""
        assert self.parameters is not None
        sentence = _("Predict the dose that a good plan with these beams would give.")
        device = _("Device: {device}.").format(device=self.ui.deviceComboBox.currentText)
        return "\n".join((sentence, device, memory_in_words(self.parameters, self._rows)[0]))

    def _needs_in_words(self) -> str:
        assert self.parameters is not None
        sentence = _("Device: {device}. Needs about {needed} GB of memory.")
        return sentence.format(device=self.ui.deviceComboBox.currentText, needed=in_gb(memory_needed(self.parameters, self._rows)))

    # The run

    def _on_predict_clicked(self) -> None:
        if not self.run.machine.is_idle:
            self.run.cancel()
            return
        self._update_if_due()
        if self.parameters is None or missing_inputs(self.parameters, self._rows, self._measures.found) or not self._has_packages():
            return
        self._start(is_automatic=False)

    def _start(self, is_automatic: bool, wishes: tuple[DoseGoal, ...] = ()) -> None:
        assert self.parameters is not None
        self._is_first_result = self.parameters.dose is None
        self._unguided = self.parameters.dose if wishes else None
        self.run.start(replace(RunRequest.of(self.parameters, self._rows, is_automatic), wishes=wishes))

    def _ask_what_if(self, wishes: tuple[DoseGoal, ...]) -> None:
        """Predict with wishes for organs; the result is compared with the one that is shown now."""
        if self.run.machine.is_idle and not missing_inputs(self.parameters, self._rows, self._measures.found):
            self._start(is_automatic=False, wishes=wishes)

    def _update_by_itself(self) -> None:
        """Predict again without being asked for, where nothing keeps a run from starting."""
        if self.run.machine.is_idle and not missing_inputs(self.parameters, self._rows, self._measures.found) and not self._packages.missing():
            self._start(is_automatic=True)

    def _has_packages(self) -> bool:
        missing = self._packages.missing()
        if not missing:
            return True
        if not self._packages.ask(missing):
            self._show_status(_("Not started: {names} must be installed first.").format(names=", ".join(missing)))
            return False
        self._show_status(_("Installing {names}; the window waits…").format(names=", ".join(missing)))
        slicer.app.processEvents()  # so that it is read
        problem = self._packages.install(missing)
        self._show_status(problem)
        return not problem

    def _on_state_changed(self, state: RunState) -> None:
        self._show_state(state)
        self._show_button()

    def _show_state(self, state: RunState) -> None:
        self.ui.progressBar.visible = state is not RunState.IDLE
        if state is RunState.PREPARING:
            self._begun_s = time.monotonic()
            self._show_progress(0.0)
        if state is not RunState.IDLE:
            self._show_status(state_label(state).status + "…")

    def _on_progressed(self, stage: str, fraction: float) -> None:
        self._show_progress(fraction)
        self._show_status(translated(stage) + "…")

    def _show_progress(self, fraction: float) -> None:
        self.ui.progressBar.value = round(100 * fraction)
        self.ui.progressBar.format = " ".join(filter(None, ("%p%", time_left_in_words(time.monotonic() - self._begun_s, fraction))))

    def _on_finished(self, dose_node: Any) -> None:
        self._update()
        if self._is_first_result or has_chart_view():
            self._on_show_chart_clicked()
        if self._unguided is not None:
            self.comparison.compare_with(self._unguided)
        warnings = provenance_of(dose_node).get("warnings", [])
        self._show_status(" ".join([_("Done: {name}.").format(name=dose_node.GetName()), *warnings]))

    def _on_stopped(self, sentence: str) -> None:
        self._show_status(sentence)
        self._update_soon()  # sections that were shown while the run was under way wait for its end

    def _on_show_chart_clicked(self) -> None:
        show_chart(chart_of(self.parameters.dose) if self.parameters else None)

    def _show_status(self, text: str) -> None:
        self.ui.statusLabel.text = text


SEGMENT_EVENTS = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified", "SourceRepresentationModified")


def _event_id(observed: Any, name: str) -> Any:
    """The number of a MRML or segmentation event; VTK's own go by name."""
    return name if name == "ModifiedEvent" else getattr(observed, name)


def _provenance_in_words(provenance: dict[str, Any]) -> str:
    if not provenance:
        return ""
    seconds = sum(provenance.get("stage_seconds", {}).values())
    made = _("Model {model} on {device}, seed {seed}, {seconds} s.").format(
        model=provenance.get("model_version", "?"), device=provenance.get("device", "?"), seed=provenance.get("seed", "?"), seconds=f"{seconds:.1f}"
    )
    fractions = _("{count} fractions.").format(count=provenance["fractions"]) if "fractions" in provenance else ""
    return " ".join(filter(None, (made, fractions, _("Research only, not for clinical use."))))
