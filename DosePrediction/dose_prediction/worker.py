"""The process that predicts for Slicer's panel: `python -m dose_prediction.worker`, then the folder of a model that is not the released one.

It stays warm between predictions and can be killed at any time.  It is spoken to in lines of JSON.  On standard input:
{"command": "predict", "case": PATH, "output": FOLDER, "samples": 0, "seed": 0, "device": "auto"}, {"command": "cancel"}, {"command": "quit"};
a predict may have "goals" that steer it: [{"organ": "Parotid_R", "metric": "mean", "limit_gy": 20}]; "deliverable": true asks for
what the beams can give of the dose.  The end of the input quits as well.
On standard output, which carries nothing else: "ready" once, "progress" with stage and fraction, and for each predict exactly one of "result" (paths
of dose, prior and spread as .npy, of each sample in a list "samples"; in a list "changes" what goals gained and cost, with structure, standard_name,
metric, before_gy and after_gy; "deliverability", what the beams cannot do of the dose, as mean_gy and p99_gy; and the provenance), "cancelled" and
"error" (message).  A cancel is answered at once, even inside a long step; what that step computes is thrown away.
A result whose deliverability is null comes before the beams are fitted to the dose.  A "deliverability" event follows with that field and the
provenance, both filled in, or with null and a message where the fit failed.  None follows where a cancel or another predict came first: neither
waits for the fit.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from dose_prediction.case import DoseGoal
from dose_prediction.case_files import read_case
from dose_prediction.error_sentences import sentence_for
from dose_prediction.output_files import whole_folder
from dose_prediction.warm_model import Predictor, WarmModel

if TYPE_CHECKING:
    from dose_prediction.prediction import Prediction, Progress

# Lower than usual: the window that waits for the dose must not wait for a processor.
PRIORITY = 5


@dataclass
class Job:
    """One prediction that was asked for.  It ends once: whoever ends it first, with a result or a cancel, has the word.

    A cancel counts beyond that end: it stops the fit that follows a result.
    """

    case: Path
    output: Path
    samples: int
    seed: int
    device: str
    goals: tuple[DoseGoal, ...] = ()
    is_deliverable: bool = False
    is_cancelled: bool = False
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def from_command(cls, command: dict[str, Any]) -> Job:
        goals = tuple(DoseGoal(goal["organ"], goal["metric"], float(goal["limit_gy"])) for goal in command.get("goals", ()))
        numbers = int(command["samples"]), int(command["seed"])
        return cls(Path(command["case"]), Path(command["output"]), *numbers, str(command["device"]), goals, bool(command.get("deliverable", False)))

    @property
    def has_ended(self) -> bool:
        return self._ended

    def end(self) -> bool:
        """End the job; False if it had ended before."""
        with self._lock:
            ended_before, self._ended = self._ended, True
            return not ended_before


class Events:
    """The lines that go out; any thread may send one."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, event: str, **content: Any) -> None:
        with self._lock:
            self._stream.write(json.dumps({"event": event, **content}) + "\n")
            self._stream.flush()


class _Ended(Exception):
    """The job was cancelled while it was being carried out."""


def serve(commands: Iterable[str], events: Events, predictor: Predictor) -> None:
    """Carry out the commands of `commands`, a line each, until one says quit or there are no more."""
    jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands, events, jobs), daemon=True).start()
    events.send("ready")
    while (job := jobs.get()) is not None:
        if not job.has_ended:
            _carry_out(job, events, predictor, jobs.empty)


def _listen(commands: Iterable[str], events: Events, jobs: queue.SimpleQueue[Job | None]) -> None:
    """Read commands as they come, so that a cancel is heard while a job runs."""
    asked: list[Job] = []
    for line in commands:
        if not line.strip():
            continue
        try:
            command = json.loads(line)
            name = command["command"]
            if name == "predict":
                asked = [job for job in asked if not job.has_ended]
                asked.append(Job.from_command(command))
                jobs.put(asked[-1])
            elif name == "cancel":
                _cancel(asked, events)
            elif name == "quit":
                break
            else:
                events.send("error", message=f"Command {name!r} is not known; give predict, cancel or quit.")
        except (ValueError, KeyError, TypeError) as error:
            events.send("error", message=f"The line {line.strip()[:200]!r} is not a command ({type(error).__name__}: {error}).")
    for job in asked:
        job.end()
    jobs.put(None)


def _cancel(jobs: list[Job], events: Events) -> None:
    for job in jobs:
        job.is_cancelled = True
        if job.end():
            events.send("cancelled")


def _carry_out(job: Job, events: Events, predictor: Predictor, is_last: Callable[[], bool]) -> None:
    """Answer one job, and fit its beams for as long as that is the last thing that was asked for."""

    def report(progress: Progress) -> None:
        if not job.has_ended:
            events.send("progress", stage=progress.stage, fraction=progress.fraction)

    def answer(prediction: Prediction) -> None:
        content = _write_arrays(job, prediction)
        events.send("result", **content, changes=[asdict(change) for change in prediction.changes], **_origin(prediction))

    def is_over() -> bool:
        return job.is_cancelled or (job.has_ended and not is_last())

    try:
        case = read_case(job.case)
        _stop_if_ended(job)
        predictor.load()
        _stop_if_ended(job)
        prediction = predictor.predict(
            case,
            samples=job.samples,
            seed=job.seed,
            device=job.device,
            goals=job.goals,
            is_deliverable=job.is_deliverable,
            on_progress=report,
            on_dose=answer,
            is_cancelled=is_over,
        )
        if not (job.is_deliverable or is_over()):
            events.send("deliverability", **_origin(prediction))
    except Exception as error:
        if job.end():
            events.send("error", message=_told(error))
        elif not is_over():
            events.send("deliverability", deliverability=None, message=_told(error))


def _origin(prediction: Prediction) -> dict[str, Any]:
    provenance = prediction.provenance.as_dict()
    return {"deliverability": provenance["deliverability"], "provenance": provenance}


def _told(error: Exception) -> str:
    sentence = sentence_for(error)
    if sentence is None:
        traceback.print_exception(error)
        sentence = f"The prediction failed unexpectedly ({type(error).__name__}: {error}); please report this with the log."
    return sentence


def _write_arrays(job: Job, prediction: Prediction) -> dict[str, Any]:
    """Save dose, prior, spread and samples into the job's folder and end the job; from then on a cancel comes too late.  Returns their paths."""
    single = {"dose": prediction.dose_gy, "prior": prediction.prior_gy, "spread": prediction.spread_gy}
    samples = {f"sample_{number}": dose for number, dose in enumerate(prediction.samples_gy, start=1)}
    arrays = {name: array for name, array in (single | samples).items() if array is not None}
    with whole_folder(job.output) as scratch:
        for name, array in arrays.items():
            np.save(scratch / f"{name}.npy", array, allow_pickle=False)
        if not job.end():
            raise _Ended
    paths = {name: str(job.output / f"{name}.npy") for name in arrays}
    return {**{name: paths.get(name) for name in single}, "samples": [paths[name] for name in samples]}


def _stop_if_ended(job: Job) -> None:
    if job.has_ended:
        raise _Ended


def main() -> int:
    """Serve standard input until it ends."""
    if hasattr(os, "nice"):
        os.nice(PRIORITY)
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the protocol
    sys.stdout = sys.stderr
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    serve(sys.stdin, Events(protocol), WarmModel(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
    return 0


if __name__ == "__main__":
    sys.exit(main())
