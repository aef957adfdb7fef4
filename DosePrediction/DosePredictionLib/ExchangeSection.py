"""Import and export: a DICOM study into the scene; the dose, its tables and its report out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctk
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from dose_prediction.output_files import OutputError, whole_folder
from dose_prediction.report import file_stem

from .CoreWords import translated
from .DicomExport import DicomExport
from .DicomImport import DicomImport
from .Report import report_html, write_pdf
from .ResultTables import write_tables
from .Section import PanelView, load_section, say


class ExchangeSection(VTKObservationMixin):
    """Drives the widgets of `Exchange.ui` inside `container`; importer and exporter can be handed in, as tests do."""

    def __init__(self, container: Any, importer: DicomImport | None = None, exporter: DicomExport | None = None) -> None:
        super().__init__()
        self.ui = load_section(container, "Exchange.ui")
        self._view: PanelView | None = None
        self._written: list[str] = []  # by the export that is under way
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
        self._exporter.stop()
        self.removeObservers()

    @property
    def _boxes(self) -> tuple[Any, ...]:
        return self.ui.doseCheckBox, self.ui.tablesCheckBox, self.ui.reportCheckBox, self.ui.pdfCheckBox

    def _on_choice_changed(self) -> None:
        self._show_buttons()

    def _on_scene_start_close(self, _caller: Any, _event: Any) -> None:
        self._importer.stop()
        self._exporter.stop()
        say(self.ui.exchangeStatusLabel, "")

    def _show_buttons(self) -> None:
        """Each button as its work is: it begins it, cancels it, or says why it cannot begin."""
        for button, work, label, reasons in (
            (self.ui.importButton, self._importer, _("&Load study"), self._missing_for_import()),
            (self.ui.exportButton, self._exporter, _("Expor&t"), self._missing_for_export()),
        ):
            button.text = _("Cancel") if work.is_running else label
            button.enabled = work.is_running or not reasons
            button.toolTip = "" if work.is_running else "\n".join(reasons)
        self.ui.exchangeProgressBar.visible = self._importer.is_running or self._exporter.is_running

    def _missing_for_import(self) -> list[str]:
        reasons = [] if self._has_parameters else [_("There is no scene to load into.")]
        if not Path(self.ui.importPathLineEdit.currentPath).is_dir() or not self.ui.importPathLineEdit.currentPath:
            reasons.append(_("Choose the folder of a DICOM study."))
        return reasons + self._busy(self._exporter)

    def _missing_for_export(self) -> list[str]:
        dose = self._view.parameters.dose if self._has_parameters else None
        reasons = [] if dose is not None else [_("Predict a dose first.")]
        if not self.ui.exportPathLineEdit.currentPath:
            reasons.append(_("Choose a folder to write into."))
        if not any(box.checked for box in self._boxes):
            reasons.append(_("Tick what is to be written."))
        return reasons + self._busy(self._importer)

    @property
    def _has_parameters(self) -> bool:
        return self._view is not None and self._view.parameters is not None

    def _busy(self, other: Any) -> list[str]:
        is_predicting = self._view is not None and not self._view.is_idle
        return [_("Wait until what is under way has ended.")] if other.is_running or is_predicting else []

    def _on_import_clicked(self) -> None:
        if self._importer.is_running:
            self._importer.stop()
            return
        self.ui.importPathLineEdit.addCurrentPathToHistory()
        self._importer.start(self.ui.importPathLineEdit.currentPath, self._view.parameters)
        self._on_progressed(_("Starting"), 0.0)
        self._show_buttons()

    def _on_export_clicked(self) -> None:
        if self._exporter.is_running:
            self._exporter.stop()
            return
        self.ui.exportPathLineEdit.addCurrentPathToHistory()
        folder = self.ui.exportPathLineEdit.currentPath
        try:
            self._written = self._write_tables_and_report(Path(folder))
        except OutputError as error:
            self._on_ended(str(error))
            return
        if self.ui.doseCheckBox.checked:
            self._exporter.start(self._view.parameters, self._view.rows, folder)
            self._show_buttons()
        else:
            self._on_exported([], "")

    def _write_tables_and_report(self, folder: Path) -> list[str]:
        parameters = self._view.parameters
        dose, goals = parameters.dose, parameters.goals
        written = write_tables(folder, dose, goals) if self.ui.tablesCheckBox.checked else []
        if self.ui.reportCheckBox.checked or self.ui.pdfCheckBox.checked:
            text = report_html(dose, goals)
            with whole_folder(folder) as scratch:
                stem = f"{file_stem(dose.GetName())}_report"
                if self.ui.reportCheckBox.checked:
                    (scratch / f"{stem}.html").write_text(text, encoding="utf-8")
                if self.ui.pdfCheckBox.checked:
                    write_pdf(scratch / f"{stem}.pdf", text)
                written += sorted(path.name for path in scratch.iterdir())
        return written

    def _on_progressed(self, stage: str, fraction: float) -> None:
        self.ui.exchangeProgressBar.value = round(100 * fraction)
        say(self.ui.exchangeStatusLabel, translated(stage) + "…")

    def _on_exported(self, names: list[str], remark: str) -> None:
        names = [*self._written, *names]
        folder = self.ui.exportPathLineEdit.currentPath
        self._on_ended(_("Wrote {count} files into {folder}. {remark}").format(count=len(names), folder=folder, remark=remark).strip())
        self.ui.exchangeStatusLabel.toolTip = "\n".join(names)

    def _on_ended(self, sentence: str) -> None:
        say(self.ui.exchangeStatusLabel, sentence)
        self.ui.exchangeStatusLabel.toolTip = ""
        self._show_buttons()
