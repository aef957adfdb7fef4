"""The banner that says what has changed since the result that is shown, and the option to predict again when editing pauses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.case import CaseError

from .DisplaySettings import DisplaySettings
from .Fingerprints import Fingerprints
from .ResultNodes import RunRequest
from .RunInputs import RunInputs, inputs_of, read_inputs, what_changed
from .Section import PanelView, say
from .Signal import Signal
from .Steps import Steps, sentence_of

# An edit comes in many events; the inputs are read when they pause.
SETTLED_MS = 250
# Editing has paused when nothing has changed for so long.
PAUSED_MS = 1500


class Staleness:
    """Compares the inputs with those of the result that is shown, in steps.

    `changed` is emitted when the result becomes stale or is so no longer; `update` is called when the user wants it updated by itself.
    """

    def __init__(self, ui: Any, fingerprints: Fingerprints, update: Callable[[], None]) -> None:
        self.changed = Signal()
        self.changes: tuple[str, ...] = ()
        self._ui = ui
        self._fingerprints = fingerprints
        self._update = update
        self._view: PanelView | None = None
        self._steps: Steps | None = None
        self._inputs: RunInputs | None = None
        self._tried: RunInputs | None = None
        self._settled = _timer(SETTLED_MS, self._read)
        self._paused = _timer(PAUSED_MS, self._update_by_itself)
        ui.autoUpdateCheckBox.toggled.connect(self._on_auto_toggled)
        self._set_changes(())

    @property
    def is_stale(self) -> bool:
        """True where a prediction now would not give the dose that is shown."""
        return bool(self.changes)

    def show(self, view: PanelView) -> None:
        self._view = view
        self._stop()
        parameters = view.parameters
        if parameters is not None:
            self._ui.autoUpdateCheckBox.checked = DisplaySettings(parameters.node).is_auto_update
        if parameters is None or inputs_of(parameters.dose) is None:
            self._set_changes(())
        elif view.is_idle:
            self._settled.start()

    def clean_up(self) -> None:
        self._stop()

    def _stop(self) -> None:
        self._settled.stop()
        self._paused.stop()
        if self._steps is not None:
            self._steps.stop()
            self._steps = None

    def _read(self) -> None:
        assert self._view is not None and self._view.parameters is not None
        parameters = self._view.parameters
        missing = [what for what, node in ((_("the CT"), parameters.ct), (_("the segmentation"), parameters.segmentation)) if node is None]
        if missing:
            self._set_changes(tuple(missing))
            return
        try:
            request = RunRequest.of(parameters, self._view.rows)
        except CaseError:
            self._set_changes((_("the beams"),))
            return
        self._steps = Steps(read_inputs(request, self._fingerprints), self._on_read, self._on_error, lambda _fraction: None)

    def _on_read(self, inputs: RunInputs) -> None:
        self._steps, self._inputs = None, inputs
        before = inputs_of(self._view.parameters.dose) if self._view is not None and self._view.parameters is not None else None
        self._set_changes(what_changed(before, inputs) if before is not None else ())
        if self.is_stale and self._ui.autoUpdateCheckBox.checked:
            self._paused.start()

    def _on_error(self, error: Exception) -> None:
        self._steps = None
        self._set_changes((sentence_of(error),))

    def _set_changes(self, changes: tuple[str, ...]) -> None:
        was_stale, self.changes = self.is_stale, changes
        told = _("⚠ Out of date. Changed since this result: {changes}.").format(changes=", ".join(changes))
        say(self._ui.staleLabel, told if changes else "")
        if was_stale != self.is_stale:
            self.changed.emit()

    def _on_auto_toggled(self, is_on: bool) -> None:
        if self._view is None or self._view.parameters is None:
            return
        settings = DisplaySettings(self._view.parameters.node)
        if settings.is_auto_update != is_on:
            settings.is_auto_update = is_on

    def _update_by_itself(self) -> None:
        """Once for each state of the inputs, so that a run that failed is not tried again and again."""
        if self._inputs is not None and self._inputs != self._tried:
            self._tried = self._inputs
            self._update()


def _timer(interval_ms: int, on_timeout: Callable[[], None]) -> Any:
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(interval_ms)
    timer.timeout.connect(on_timeout)
    return timer
