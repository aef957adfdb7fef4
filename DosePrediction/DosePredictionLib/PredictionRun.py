"""One prediction from the press of the button to the dose on the screen, without ever holding up the window."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from dose_prediction.case import PlanCase
from dose_prediction.case_files import write_case_in_steps

from .Fingerprints import Fingerprints
from .LateFigure import LateFigure
from .ResultNodes import JudgedDose, RunRequest, judge, show
from .RunInputs import RunInputs, forget_unused_contours, keep_inputs, read_contours, read_inputs
from .RunState import RunState, RunStateMachine, state_label
from .SceneReader import read_case
from .Signal import Signal
from .Steps import StepGenerator, Steps, sentence_of
from .WorkerProcess import WorkerProtocol

CANCEL_PATIENCE_MS = 1000
# Where each state begins on the progress bar.
BEGINS = {RunState.PREPARING: 0.0, RunState.STARTING: 0.05, RunState.RUNNING: 0.05, RunState.JUDGING: 0.95, RunState.SHOWING: 0.98}
ENDS = {RunState.PREPARING: 0.05, RunState.STARTING: 0.95, RunState.RUNNING: 0.95, RunState.JUDGING: 0.98, RunState.SHOWING: 1.0}


class PredictionRun:
    """Takes a `RunRequest` through the states of `machine`; one at a time, the worker staying warm between them.

    `progressed(stage, fraction)` while it goes on; then exactly one of `finished(dose_node)` and `stopped(sentence)`.
    """

    def __init__(self, worker: WorkerProtocol, fingerprints: Fingerprints) -> None:
        self.machine = RunStateMachine()
        self.progressed = Signal()
        self.finished = Signal()
        self.stopped = Signal()
        self.late_figure = LateFigure(worker)
        self._worker = worker
        self._fingerprints = fingerprints
        self._request: RunRequest | None = None
        self._inputs: RunInputs | None = None
        self._contours: dict[str, str] = {}
        self._case: PlanCase | None = None
        self._steps: Steps | None = None
        self._folder: Path | None = None
        self._patience = qt.QTimer()
        self._patience.setSingleShot(True)
        self._patience.setInterval(CANCEL_PATIENCE_MS)
        self._patience.timeout.connect(self._lose_patience)
        worker.progressed.connect(self._on_worker_progressed)
        worker.finished.connect(self._on_worker_finished)
        worker.cancelled.connect(self._on_worker_cancelled)
        worker.failed.connect(self._on_worker_failed)
        worker.died.connect(self._on_worker_failed)

    def start(self, request: RunRequest) -> None:
        """Begin; RuntimeError while another run is under way."""
        self.machine.move_to(RunState.PREPARING)
        self._request = request
        self._take_steps(self._prepare(request), self._on_prepared)

    def cancel(self) -> None:
        """Stop as soon as may be: at once outside the worker, and within it when it next looks up or after a second at the latest."""
        state = self.machine.state
        if state in (RunState.STARTING, RunState.RUNNING):
            self.machine.move_to(RunState.CANCELLING)
            self._patience.start()
            self._worker.cancel()
        elif state in (RunState.PREPARING, RunState.JUDGING):
            self._end(_("Cancelled."))

    def abandon(self) -> None:
        """Drop the run without waiting for anything, as when the scene is closed."""
        if self.machine.state in (RunState.STARTING, RunState.RUNNING, RunState.CANCELLING):
            self._worker.kill()
        if not self.machine.is_idle:
            self._end(_("Cancelled."))
        self.late_figure.forget()

    def _prepare(self, request: RunRequest) -> Generator[float, None, PlanCase]:
        self._inputs = yield from read_inputs(request, self._fingerprints)
        self._contours = yield from read_contours(request, self._inputs)
        case = yield from read_case(request.ct, request.segmentation, request.rows, request.beams, request.isocentre_mm)
        self._folder = Path(tempfile.mkdtemp(prefix="DosePrediction-", dir=slicer.app.temporaryPath))
        for fraction in write_case_in_steps(self._folder / "case.npz", case):
            yield 0.9 + 0.1 * fraction
        return case

    def _on_prepared(self, case: PlanCase) -> None:
        assert self._request is not None and self._folder is not None
        self._case = case
        self.machine.move_to(RunState.STARTING)
        self._report(state_label(RunState.STARTING).status, 0.0)
        self.late_figure.forget()  # of the dose before: the worker must not go on with it
        request = self._request
        paths = str(self._folder / "case.npz"), str(self._folder / "result")
        self._worker.predict(*paths, request.samples, request.seed, request.device, request.wishes)

    def _on_worker_progressed(self, stage: str, fraction: float) -> None:
        if self.machine.state is RunState.STARTING:
            self.machine.move_to(RunState.RUNNING)
        if self.machine.state is RunState.RUNNING:
            self._report(stage, fraction)

    def _on_worker_finished(self, event: dict[str, Any]) -> None:
        if self.machine.state is RunState.CANCELLING:
            self._end(_("Cancelled."))
        elif self.machine.state in (RunState.STARTING, RunState.RUNNING):
            assert self._request is not None and self._case is not None
            self.late_figure.expect(event)
            self.machine.move_to(RunState.JUDGING)
            self._take_steps(judge(self._request, self._case, event), self._on_judged)

    def _on_judged(self, judged: JudgedDose) -> None:
        assert self._request is not None and self._case is not None
        self.machine.move_to(RunState.SHOWING)
        self._take_steps(show(self._request, self._case, judged), self._on_shown)

    def _on_shown(self, dose_node: Any) -> None:
        assert self._request is not None and self._inputs is not None
        keep_inputs(dose_node, self._inputs, self._contours, self._request)
        forget_unused_contours()  # of the result that this one took the place of
        self._clear()
        self.late_figure.belongs_to(dose_node)
        self.machine.move_to(RunState.IDLE)
        self.finished.emit(dose_node)

    def _take_steps(self, work: StepGenerator, on_done: Callable[[Any], None]) -> None:
        """Do the work of the present state; its fraction goes to the progress bar."""
        status = state_label(self.machine.state).status
        self._steps = Steps(work, on_done, self._on_step_error, lambda fraction: self._report(status, fraction))

    def _report(self, stage: str, fraction: float) -> None:
        begins, ends = BEGINS[self.machine.state], ENDS[self.machine.state]
        self.progressed.emit(stage, begins + (ends - begins) * fraction)

    def _on_worker_cancelled(self) -> None:
        if self.machine.state in (RunState.STARTING, RunState.RUNNING, RunState.CANCELLING):
            self._end(_("Cancelled."))

    def _on_worker_failed(self, message: str) -> None:
        if self.machine.state in (RunState.STARTING, RunState.RUNNING):
            self._end(message)
        elif self.machine.state is RunState.CANCELLING:
            self._end(_("Cancelled."))

    def _lose_patience(self) -> None:
        if self.machine.state is RunState.CANCELLING:
            self._worker.kill()
            self._end(_("Cancelled."))

    def _on_step_error(self, error: Exception) -> None:
        self._end(sentence_of(error, _("The prediction failed: {error}. See the error log; the scene is unchanged.")))

    def _end(self, sentence: str) -> None:
        if self.machine.state in (RunState.JUDGING, RunState.SHOWING):
            self.late_figure.forget()  # of a dose that will not be shown
        self._clear()
        self.machine.move_to(RunState.IDLE)
        self.stopped.emit(sentence)

    def _clear(self) -> None:
        self._patience.stop()
        if self._steps is not None:
            self._steps.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._request = self._inputs = self._case = self._steps = self._folder = None
        self._contours = {}
