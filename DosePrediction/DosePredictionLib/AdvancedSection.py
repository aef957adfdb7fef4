"""What predicts: the model with its card, another model in its place, versions, and packages without a network."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import ctk
from slicer.i18n import tr as _

from dose_prediction.case import CaseError
from dose_prediction.model_files import read_model_card
from dose_prediction.resources import resource_path

from .PythonPackages import set_wheels_folder, versions, wheels_folder
from .Section import PanelView, load_section, say
from .WorkerProcess import WorkerProtocol


class AdvancedSection:
    """Drives the widgets of `Advanced.ui` inside `container`, and tells `worker` which model to predict with."""

    def __init__(self, container: Any, worker: WorkerProtocol) -> None:
        self.ui = load_section(container, "Advanced.ui")
        self._worker = worker
        self._view: PanelView | None = None
        self._shown: str | None = None  # the folder of the model whose card is shown
        for line_edit, key in ((self.ui.modelPathLineEdit, "ModelFolder"), (self.ui.wheelsPathLineEdit, "WheelsFolder")):
            line_edit.filters = ctk.ctkPathLineEdit.Dirs
            line_edit.settingKey = f"DosePrediction/{key}"
        self.ui.wheelsPathLineEdit.currentPath = wheels_folder()
        self.ui.wheelsPathLineEdit.currentPathChanged.connect(set_wheels_folder)
        self.ui.useModelButton.clicked.connect(self._on_use_clicked)
        self.ui.releasedModelButton.clicked.connect(self._on_released_clicked)
        self.ui.versionsLabel.text = ", ".join(f"{name} {version}" for name, version in versions().items())

    def show(self, view: PanelView) -> None:
        self._view = view
        parameters = view.parameters
        for widget in (self.ui.modelPathLineEdit, self.ui.useModelButton, self.ui.releasedModelButton):
            widget.enabled = parameters is not None and view.is_idle
        if parameters is None or not view.is_idle:
            return
        self.ui.releasedModelButton.enabled = bool(parameters.model_folder)
        self._worker.use_model(parameters.model_folder)
        if parameters.model_folder != self._shown:
            self._shown = parameters.model_folder
            self.ui.modelPathLineEdit.currentPath = parameters.model_folder
            self._show_card(parameters.model_folder)

    def clean_up(self) -> None:
        """Nothing is observed or running."""

    def _show_card(self, folder: str) -> None:
        try:
            card = read_model_card(Path(folder) if folder else resource_path("Models"))
        except CaseError as error:
            say(self.ui.modelProblemLabel, str(error))
            self.ui.cardLabel.text = ""
            return
        say(self.ui.modelProblemLabel, "")
        self.ui.cardLabel.text = card_in_words(card)

    def _on_use_clicked(self) -> None:
        folder = self.ui.modelPathLineEdit.currentPath
        try:
            read_model_card(Path(folder))
        except CaseError as error:
            say(self.ui.modelProblemLabel, str(error))
            return
        self.ui.modelPathLineEdit.addCurrentPathToHistory()
        self._view.parameters.model_folder = folder

    def _on_released_clicked(self) -> None:
        self._view.parameters.model_folder = ""


def card_in_words(card: dict[str, Any]) -> str:
    """The card of a model as lines of rich text."""
    data, scores = card.get("training_data", {}), card.get("validation", {})
    prescriptions = ", ".join(f"{dose:g}" for dose in card.get("trained_prescriptions_gy", []))
    told = [
        (_("Model"), f"{card.get('name', '?')} {card['version']}"),
        (_("Intended use"), card.get("intended_use")),
        (_("Trained on"), _("{source}, {cases} cases").format(**data) if data else None),
        (_("Sites"), ", ".join(card.get("sites", []))),
        (_("Technique"), card.get("technique")),
        (_("Prescriptions"), f"{prescriptions} Gy" if prescriptions else None),
        (_("Scores"), _scores_in_words(scores) if scores else None),
        (_("Limits"), " ".join(card.get("limits", []))),
        (_("SHA-256"), f"{card['sha256'][:16]}…"),
    ]
    return "<br>".join(f"<b>{html.escape(name)}:</b> {html.escape(str(text))}" for name, text in told if text)


def _scores_in_words(scores: dict[str, Any]) -> str:
    words = _("dose score {dose} Gy, DVH score {dvh} Gy on {cases} cases ({data})")
    return words.format(
        dose=scores.get("dose_score_gy", "?"), dvh=scores.get("dvh_score_gy", "?"), cases=scores.get("cases", "?"), data=scores.get("data", "?")
    )
