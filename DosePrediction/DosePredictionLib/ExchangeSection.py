"""Import and export: a DICOM study into the scene; the dose, its tables and its report out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .CoreWords import translated
from .DicomExport import DicomExport
from .DicomImport import DicomImport
from .ResultFiles import WantedFiles, write_result
from .Section import PanelView, load_section, say
from .Steps import Steps, sentence_of


class ExchangeSection(VTKObservationMixin):
    """Drives the widgets of `Exchange.ui` inside `container`; importer and exporter can be handed in, as tests do."""

    def __init__(self, container: Any, importer: DicomImport | None = None, exporter: DicomExport | None = None) -> None:
        super().__init__()
        self.ui = load_section(container, "Exchange.ui")
        self._view: PanelView | None = None
        self._steps: Steps | None = None
        # Of the export that is under way: where it writes, and what it has written.
        self._folder = ""
        self._written: list[str] = []
        self._importer = importer or DicomImport()
        self._exporter = exporter or DicomExport()
        for line_edit, key in ((self.ui.importPathLineEdit, "ImportFolder"), (self.ui.exportPathLineEdit, "ExportFolder")):
            line_edit.filters = ctk.ctkPathLineEdit.Dirs
            line_edit.settingKey = f"DosePrediction/{key}"
            line_edit.currentPathChanged.connect(self._on_choice_changed)
        for box in self._boxes:
            box.toggled.connect(self._on_choice_changed)
        self.ui.importButton.clicked.connect(self._on_import_clicked)
        self.ui.exportButton.clicked.connect(self._on_export_clicked)
        for work in (self._importer, self._exporter):
            work.progressed.connect(self._on_progressed)
            work.stopped.connect(self._on_ended)
        self._importer.finished.connect(self._on_ended)
        self._exporter.finished.connect(self._on_exported)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._on_scene_start_close)
        self._show_buttons()

    def show(self, view: PanelView) -> None:
        self._view = view
        self._show_buttons()

    def clean_up(self) -> None:
        self._importer.stop()
        self._stop_export()
        self.removeObservers()

    @property
    def _boxes(self) -> tuple[Any, ...]:
        return self.ui.doseCheckBox, self.ui.tablesCheckBox, self.ui.reportCheckBox, self.ui.pdfCheckBox

    def _on_choice_changed(self) -> None:
        self._show_buttons()

    def _on_scene_start_close(self, _caller: Any, _event: Any) -> None:
        self._importer.stop()
        self._stop_export()
        say(self.ui.exchangeStatusLabel, "")

    def _show_buttons(self) -> None:
        """Each button as its work is: it begins it, cancels it, or says why it cannot begin."""
        for button, is_running, label, reasons in (
            (self.ui.importButton, self._importer.is_running, _("&Load study"), self._missing_for_import()),
            (self.ui.exportButton, self._is_exporting, _("Expor&t"), self._missing_for_export()),
        ):
            button.text = _("Cancel") if is_running else label
            button.enabled = is_running or not reasons
            button.toolTip = "" if is_running else "\n".join(reasons)
        self.ui.exchangeProgressBar.visible = self._importer.is_running or self._is_exporting

    @property
    def _is_exporting(self) -> bool:
        return self._steps is not None or self._exporter.is_running

    def _missing_for_import(self) -> list[str]:
        reasons = [] if self._has_parameters else [_("There is no scene to load into.")]
        if not Path(self.ui.importPathLineEdit.currentPath).is_dir() or not self.ui.importPathLineEdit.currentPath:
            reasons.append(_("Choose the folder of a DICOM study."))
        return reasons + self._busy(self._is_exporting)

    def _missing_for_export(self) -> list[str]:
        dose = self._view.parameters.dose if self._has_parameters else None
        reasons = [] if dose is not None else [_("Predict a dose first.")]
        if not self.ui.exportPathLineEdit.currentPath:
            reasons.append(_("Choose a folder to write into."))
        if not any(box.checked for box in self._boxes):
            reasons.append(_("Tick what is to be written."))
        if self._view is not None and self._view.is_figure_awaited and (self.ui.reportCheckBox.checked or self.ui.pdfCheckBox.checked):
            reasons.append(_("Wait until what the beams cannot do of the dose is computed, or leave the report out."))
        return reasons + self._busy(self._importer.is_running)

    @property
    def _has_parameters(self) -> bool:
        return self._view is not None and self._view.parameters is not None

    def _busy(self, is_other_running: bool) -> list[str]:
        is_predicting = self._view is not None and not self._view.is_idle
        return [_("Wait until what is under way has ended.")] if is_other_running or is_predicting else []

    def _on_import_clicked(self) -> None:
        if self._importer.is_running:
            self._importer.stop()
            return
        self.ui.importPathLineEdit.addCurrentPathToHistory()
        self._importer.start(self.ui.importPathLineEdit.currentPath, self._view.parameters)
        self._on_progressed(_("Starting"), 0.0)
        self._show_buttons()

    def _on_export_clicked(self) -> None:
        if self._is_exporting:
            self._stop_export()
            return
        self.ui.exportPathLineEdit.addCurrentPathToHistory()
        ui, parameters = self.ui, self._view.parameters
        wanted = WantedFiles(ui.tablesCheckBox.checked, ui.reportCheckBox.checked, ui.pdfCheckBox.checked)
        self._folder = ui.exportPathLineEdit.currentPath
        if wanted == WantedFiles(False, False, False):
            self._on_files_written([])
            return
        work = write_result(Path(self._folder), parameters.dose, parameters.goals, wanted)
        stage = _("Writing tables and report")
        self._steps = Steps(work, self._on_files_written, self._on_files_failed, lambda fraction: self._on_progressed(stage, fraction))
        self._show_buttons()

    def _on_files_written(self, names: list[str]) -> None:
        self._steps, self._written = None, names
        if self.ui.doseCheckBox.checked:
            self._exporter.start(self._view.parameters, self._view.rows, self._folder)
            self._show_buttons()
        else:
            self._on_exported([], "")

    def _on_files_failed(self, error: Exception) -> None:
        self._steps = None
        self._on_ended(sentence_of(error))

    def _stop_export(self) -> None:
        """Stop whichever part of an export is under way."""
        if self._steps is not None:
            self._steps.stop()
            self._steps = None
            self._on_ended(_("Cancelled."))
        self._exporter.stop()

    def _on_progressed(self, stage: str, fraction: float) -> None:
        self.ui.exchangeProgressBar.value = round(100 * fraction)
        say(self.ui.exchangeStatusLabel, translated(stage) + "…")

    def _on_exported(self, names: list[str], remark: str) -> None:
        names = [*self._written, *names]
        told = _("Wrote {count} files into {folder}. {remark}")
        self._on_ended(told.format(count=len(names), folder=self._folder, remark=remark).strip())
        self.ui.exchangeStatusLabel.toolTip = "\n".join(names)

    def _on_ended(self, sentence: str) -> None:
        say(self.ui.exchangeStatusLabel, sentence)
        self.ui.exchangeStatusLabel.toolTip = ""
        self._show_buttons()
