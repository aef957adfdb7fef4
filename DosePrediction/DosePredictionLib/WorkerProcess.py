"""The process that predicts: it stays warm between runs and is spoken to in lines of JSON."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from dose_prediction.case import DoseGoal

from .EventLines import EventLines
from .Signal import Signal

KILL_WAIT_MS = 3000
QUIT_WAIT_MS = 300
CORE_FOLDER = Path(__file__).resolve().parent.parent


class WorkerProtocol(Protocol):
    """What the panel asks of a worker; a test hands in one of its own.

    `progressed(stage, fraction)`; `finished(event)` with the paths of the arrays and the provenance; `fitted(event)` with what became known of that
    dose later; `cancelled()`; `failed(message)` for an error that the worker lived through; `died(message)` when the process ended on its own;
    `ended()` whenever there is no process any more.
    """

    progressed: Signal
    finished: Signal
    fitted: Signal
    cancelled: Signal
    failed: Signal
    died: Signal
    ended: Signal

    def predict(self, case_path: str, output_folder: str, samples: int, seed: int, device: str, goals: tuple[DoseGoal, ...]) -> None: ...

    def cancel(self) -> None: ...

    def kill(self) -> None: ...

    def shut_down(self) -> None: ...

    def use_model(self, folder: str) -> None: ...


def python_program() -> str:
    """The Python interpreter that runs the worker: PythonSlicer inside Slicer, else the present one."""
    name = "PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"
    beside_slicer = os.path.join(slicer.app.slicerHome, "bin", name)
    return beside_slicer if os.path.isfile(beside_slicer) else shutil.which(name) or sys.executable


def core_environment() -> Any:
    """The environment in which Python finds the core and speaks UTF-8."""
    environment = qt.QProcessEnvironment.systemEnvironment()
    paths = [str(CORE_FOLDER), environment.value("PYTHONPATH", "")]
    environment.insert("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    environment.insert("PYTHONIOENCODING", "utf-8")
    return environment


class WorkerProcess:
    """`python -m dose_prediction.worker`, or another `command`, in a QProcess that is started at the first prediction and kept."""

    def __init__(self, command: tuple[str, ...] | None = None) -> None:
        self.progressed = Signal()
        self.finished = Signal()
        self.fitted = Signal()
        self.cancelled = Signal()
        self.failed = Signal()
        self.died = Signal()
        self.ended = Signal()
        self.command = command
        self._model_folder = ""
        self._process: Any = None
        self._retired: Any = None
        self._lines = EventLines()
        self._last_words = ""
        self._is_ending = False

    @property
    def process_id(self) -> int:
        """The operating system's number of the process; 0 when there is none."""
        return int(self._process.processId()) if self._process is not None else 0

    def predict(self, case_path: str, output_folder: str, samples: int, seed: int, device: str, goals: tuple[DoseGoal, ...]) -> None:
        """Start the process where there is none and ask it for one dose, steered by `goals` if there are any."""
        if self._process is None:
            self._start()
        command = {"command": "predict", "case": case_path, "output": output_folder, "samples": samples, "seed": seed, "device": device}
        self._send({**command, "goals": [asdict(goal) for goal in goals]})

    def cancel(self) -> None:
        self._send({"command": "cancel"})

    def kill(self) -> None:
        """End the process at once; nothing that it still has to say is heard."""
        self._end(after_ms=0)

    def shut_down(self) -> None:
        """Let the process leave by itself for a moment, then end it."""
        self._send({"command": "quit"})
        self._end(after_ms=QUIT_WAIT_MS)

    def use_model(self, folder: str) -> None:
        """Predict with the model in `folder` from now on, "" for the released one; a process that has another one loaded is ended."""
        if folder != self._model_folder:
            self._model_folder = folder
            self.shut_down()

    def _start(self) -> None:
        program, *arguments = self.command or (python_program(), "-m", "dose_prediction.worker")
        arguments += [self._model_folder] if self._model_folder else []
        self._process = qt.QProcess()
        self._lines, self._last_words, self._is_ending = EventLines(), "", False
        self._process.setProcessEnvironment(core_environment())
        self._process.readyReadStandardOutput.connect(self._read_output)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._on_ended)
        self._process.errorOccurred.connect(self._on_process_error)
        self._process.start(program, list(arguments))

    def _send(self, command: dict[str, Any]) -> None:
        if self._process is not None:
            self._process.write((json.dumps(command) + "\n").encode())

    def _end(self, after_ms: int) -> None:
        if self._process is None:
            return
        self._is_ending = True
        process = self._retire()
        process.closeWriteChannel()
        if not (after_ms and process.waitForFinished(after_ms)):
            process.kill()
            process.waitForFinished(KILL_WAIT_MS)

    def _retire(self) -> Any:
        """Part with the process; it is kept until the next one goes, for it may be in the middle of a signal."""
        self._retired, self._process = self._process, None
        self.ended.emit()
        return self._retired

    def _read_output(self) -> None:
        if self._process is None:
            return
        for event in self._lines.events_in(bytes(self._process.readAllStandardOutput().data())):
            self._hear(event)

    def _hear(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "progress":
            self.progressed.emit(str(event["stage"]), float(event["fraction"]))
        elif kind == "result":
            self.finished.emit(event)
        elif kind == "deliverability":
            self.fitted.emit(event)
        elif kind == "cancelled":
            self.cancelled.emit()
        elif kind == "error":
            self.failed.emit(str(event["message"]))

    def _read_errors(self) -> None:
        if self._process is None:
            return
        text = bytes(self._process.readAllStandardError().data()).decode("utf-8", errors="replace").strip()
        if text:
            logging.debug("Prediction process: %s", text)
            self._last_words = text.splitlines()[-1]

    def _on_process_error(self, error: int) -> None:
        if self._process is not None and not self._is_ending and error == qt.QProcess.FailedToStart:
            reason = self._retire().errorString()
            self.died.emit(
                _("The prediction process could not be started: {reason}. Reinstall the extension if this persists.").format(reason=reason)
            )

    def _on_ended(self) -> None:
        if self._process is None or self._is_ending:
            return
        self._read_output()
        self._read_errors()
        if self._process is None:
            return
        process = self._retire()
        if process.exitStatus() == qt.QProcess.CrashExit:
            reason = _("it was ended from outside, perhaps for want of memory")
        else:
            reason = self._last_words or _("exit code {code}").format(code=process.exitCode())
        self.died.emit(_("The prediction process stopped: {reason}. Nothing was changed; press Predict to try again.").format(reason=reason))
