"""DICOM is read and written by a process of the core, so that the window never waits for it: one process a command."""

from __future__ import annotations

import logging
from typing import Any

import qt
from slicer.i18n import tr as _

from .EventLines import EventLines
from .Signal import Signal
from .WorkerProcess import core_environment, python_program

KILL_WAIT_MS = 3000


class ExchangeProcess:
    """Runs `python -m dose_prediction.exchange`, or another `command`, one at a time.

    `progressed(stage, fraction)`, then exactly one of `finished(event)` and `failed(sentence)`, unless it is stopped.
    """

    def __init__(self, command: tuple[str, ...] | None = None) -> None:
        self.progressed = Signal()
        self.finished = Signal()
        self.failed = Signal()
        self._command = command
        self._process: Any = None
        self._ended: Any = None
        self._lines = EventLines()
        self._last_event: dict[str, Any] = {}

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, *arguments: str) -> None:
        """Begin a command; RuntimeError while another one runs."""
        if self.is_running:
            raise RuntimeError("An import or export is under way.")
        program, *first = self._command or (python_program(), "-m", "dose_prediction.exchange")
        self._lines, self._last_event = EventLines(), {}
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(core_environment())
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._on_ended)
        self._process.errorOccurred.connect(self._on_error)
        self._process.start(program, [*first, *arguments])

    def stop(self) -> None:
        """End the process at once; nothing more is heard of it."""
        if self.is_running:
            process = self._retire()
            process.kill()
            process.waitForFinished(KILL_WAIT_MS)

    def _retire(self) -> Any:
        """Part with the process; it is kept until the next one goes, for it may be in the middle of a signal."""
        self._ended, self._process = self._process, None
        return self._ended

    def _read(self) -> None:
        if not self.is_running:
            return
        for event in self._lines.events_in(bytes(self._process.readAllStandardOutput().data())):
            self._last_event = event
            if event["event"] == "progress":
                self.progressed.emit(str(event["stage"]), float(event["fraction"]))

    def _on_error(self, error: int) -> None:
        if self.is_running and error == qt.QProcess.FailedToStart:
            reason = self._retire().errorString()
            self.failed.emit(_("Python could not be started: {reason}. Reinstall the extension if this persists.").format(reason=reason))

    def _on_ended(self) -> None:
        if not self.is_running:
            return
        self._read()
        process = self._retire()
        event = self._last_event
        if event.get("event") == "result":
            self.finished.emit(event)
        elif event.get("event") == "error":
            self.failed.emit(str(event["message"]))
        else:
            last_words = bytes(process.readAllStandardError().data()).decode("utf-8", errors="replace").strip()
            logging.error("DICOM process: %s", last_words)
            reason = last_words.splitlines()[-1] if last_words else _("it was ended from outside, perhaps for want of memory")
            self.failed.emit(_("The process that handles DICOM stopped: {reason}. Nothing was changed; try again.").format(reason=reason))
