"""The worker process: one answer to each prediction, cancels heard at once, errors as sentences, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dose_prediction.case_files import write_case
from dose_prediction.model.bundle import ModelError
from dose_prediction.worker import Events, serve
from instant_model import InstantModel
from water_case import water_case

CORE = Path(__file__).resolve().parents[2] / "DosePrediction"
WAIT_S = 20


class Conversation:
    """A worker in a thread: lines go in by `say`, events come out by `hear`."""

    def __init__(self, model: InstantModel) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.thread = threading.Thread(target=serve, args=(iter(self._lines.get, None), Events(self), model), daemon=True)
        self.thread.start()
        assert self.hear() == {"event": "ready"}

    def write(self, line: str) -> None:
        self._events.put(json.loads(line))

    def flush(self) -> None:
        pass

    def say(self, line: str | dict[str, Any]) -> None:
        self._lines.put(line if isinstance(line, str) else json.dumps(line))

    def hear(self) -> dict[str, Any]:
        return self._events.get(timeout=WAIT_S)

    def answer(self) -> dict[str, Any]:
        """The next answer to a predict: progress and what is said later of an earlier dose are passed over."""
        while (event := self.hear())["event"] in ("progress", "deliverability"):
            pass
        return event

    def is_silent(self) -> bool:
        time.sleep(0.2)
        return self._events.empty()

    def end(self) -> None:
        self._lines.put(None)
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    write_case(tmp_path / "case.npz", water_case())
    return tmp_path / "case.npz"


@pytest.fixture
def held() -> Iterator[tuple[Conversation, InstantModel, threading.Event]]:
    """A worker whose predictions stay in their first step until the event is set."""
    hold = threading.Event()
    model = InstantModel(hold=hold)
    conversation = Conversation(model)
    yield conversation, model, hold
    hold.set()
    conversation.end()


def predict(case: Path, output: Path, **options: Any) -> dict[str, Any]:
    return {"command": "predict", "case": str(case), "output": str(output), "samples": 0, "seed": 0, "device": "auto", **options}


def test_a_prediction_gives_progress_then_the_arrays_and_the_provenance(case_file, tmp_path):
    worker = Conversation(InstantModel())
    worker.say(predict(case_file, tmp_path / "out", samples=2, seed=9))
    assert worker.hear() == {"event": "progress", "stage": "Physics prior", "fraction": 0.25}
    result = worker.hear()
    assert result["event"] == "result"
    case = water_case()
    dose, prior, spread = (np.load(result[name], allow_pickle=False) for name in ("dose", "prior", "spread"))
    assert dose[case.targets[0].mask].min() == 70 and dose.shape == case.grid.shape
    assert np.allclose(prior, 0.9 * dose) and spread.max() == 0.5
    assert [float((np.load(path, allow_pickle=False) - dose).max()) for path in result["samples"]] == [0.5, -0.5]
    assert result["provenance"]["case_sha256"] == case.digest and result["provenance"]["seed"] == 9
    worker.end()


def test_without_samples_the_spread_is_null(case_file, tmp_path):
    worker = Conversation(InstantModel())
    worker.say(predict(case_file, tmp_path / "out"))
    answer = worker.answer()
    assert answer["spread"] is None and answer["samples"] == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["dose.npy", "prior.npy"]
    worker.end()


def test_the_worker_stays_for_the_next_prediction(case_file, tmp_path):
    worker = Conversation(InstantModel())
    for run in ("first", "second"):
        worker.say(predict(case_file, tmp_path / run))
        assert worker.answer()["dose"] == str(tmp_path / run / "dose.npy")
    worker.end()


def test_goals_reach_the_model_and_a_goal_that_makes_no_sense_is_an_error(case_file, tmp_path):
    worker = Conversation(InstantModel())
    worker.say(predict(case_file, tmp_path / "out", goals=[{"organ": "Parotid_L", "metric": "mean", "limit_gy": 20}]))
    answer = worker.answer()
    assert answer["provenance"]["goals"] == ["Parotid_L mean <= 20 Gy"]
    assert answer["changes"] == [{"structure": "Parotid_L", "standard_name": "Parotid_L", "metric": "Dmean", "before_gy": 10.0, "after_gy": 20.0}]
    worker.say(predict(case_file, tmp_path / "other", goals=[{"organ": "Parotid_L", "metric": "median", "limit_gy": 20}]))
    assert "give mean or max" in worker.answer()["message"]
    worker.end()


def test_a_cancel_is_answered_within_a_long_step_and_nothing_is_written(held, case_file, tmp_path):
    worker, model, hold = held
    worker.say(predict(case_file, tmp_path / "out"))
    assert model.holding.wait(WAIT_S)
    started = time.monotonic()
    worker.say({"command": "cancel"})
    assert worker.answer() == {"event": "cancelled"}
    assert time.monotonic() - started < 0.5
    hold.set()
    assert worker.is_silent()
    assert model.cancels_seen == 1
    assert not (tmp_path / "out").exists()


def test_after_a_cancel_the_next_prediction_runs(held, case_file, tmp_path):
    worker, model, hold = held
    worker.say(predict(case_file, tmp_path / "first"))
    assert model.holding.wait(WAIT_S)
    worker.say({"command": "cancel"})
    worker.say(predict(case_file, tmp_path / "second"))
    assert worker.answer() == {"event": "cancelled"}
    hold.set()
    assert worker.answer()["dose"] == str(tmp_path / "second" / "dose.npy")
    assert not (tmp_path / "first").exists()


def test_a_cancel_right_after_the_prediction_is_not_lost(held, case_file, tmp_path):
    worker, _, hold = held
    worker.say(predict(case_file, tmp_path / "out"))
    worker.say({"command": "cancel"})
    assert worker.answer() == {"event": "cancelled"}
    hold.set()
    assert worker.is_silent()


def test_a_cancel_with_nothing_to_cancel_is_passed_over(case_file, tmp_path):
    worker = Conversation(InstantModel())
    worker.say({"command": "cancel"})
    assert worker.is_silent()
    worker.say(predict(case_file, tmp_path / "out"))
    assert worker.answer()["event"] == "result"
    assert worker.hear()["event"] == "deliverability"
    worker.say({"command": "cancel"})
    assert worker.is_silent()
    worker.end()


@pytest.fixture
def fitting(case_file, tmp_path) -> Iterator[tuple[Conversation, InstantModel]]:
    """A worker that has sent its dose and is fitting the beams to it until it is told to stop."""
    model = InstantModel(hold_fit=threading.Event())
    worker = Conversation(model)
    worker.say(predict(case_file, tmp_path / "out"))
    assert worker.answer()["deliverability"] is None
    assert model.fitting.wait(WAIT_S)
    yield worker, model
    worker.end()


def test_the_dose_comes_first_and_what_the_beams_cannot_do_of_it_when_that_is_known(fitting):
    worker, model = fitting
    model.hold_fit.set()
    later = worker.hear()
    assert (later["event"], later["deliverability"]) == ("deliverability", {"mean_gy": 0.5, "p99_gy": 2.0})
    assert later["provenance"]["deliverability"] == later["deliverability"]
    assert later["provenance"]["model_version"] == "test"


def test_a_dose_that_had_to_be_fitted_comes_with_its_figure_and_nothing_follows(case_file, tmp_path):
    worker = Conversation(InstantModel())
    worker.say(predict(case_file, tmp_path / "out", deliverable=True))
    assert worker.answer()["deliverability"] == {"mean_gy": 0.5, "p99_gy": 2.0}
    assert worker.is_silent()
    worker.end()


def test_the_next_prediction_does_not_wait_for_the_fit_of_the_one_before(fitting, case_file, tmp_path):
    worker, model = fitting
    worker.say(predict(case_file, tmp_path / "next"))
    while (event := worker.hear())["event"] == "progress":
        pass
    assert (event["event"], event["dose"]) == ("result", str(tmp_path / "next" / "dose.npy"))
    assert model.cancels_seen == 1


@pytest.mark.parametrize("command", ["cancel", "quit"])
def test_a_cancel_ends_the_fit_without_a_word_and_the_dose_stays(fitting, tmp_path, command):
    worker, model = fitting
    worker.say({"command": command})
    assert worker.is_silent()
    assert model.cancels_seen == 1
    assert (tmp_path / "out" / "dose.npy").exists()


def test_a_fit_that_fails_is_told_and_the_worker_lives_on(case_file, tmp_path):
    worker = Conversation(InstantModel(fit_error=MemoryError()))
    for run in ("first", "second"):
        worker.say(predict(case_file, tmp_path / run))
        assert worker.answer()["event"] == "result"
        later = worker.hear()
        assert (later["event"], later["deliverability"]) == ("deliverability", None)
        assert "memory" in later["message"]
    worker.end()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (InstantModel(load_error=ModelError("The model file has been altered.")), "The model file has been altered."),
        (InstantModel(fail_on={"Water cylinder": MemoryError()}), "memory"),
        (InstantModel(fail_on={"Water cylinder": ZeroDivisionError("by zero")}), "ZeroDivisionError: by zero"),
    ],
)
def test_an_error_is_one_sentence_and_the_worker_lives_on(case_file, tmp_path, model, said):
    worker = Conversation(model)
    for _ in range(2):
        worker.say(predict(case_file, tmp_path / "out"))
        answer = worker.answer()
        assert answer["event"] == "error" and said in answer["message"]
        assert len(answer["message"].splitlines()) == 1
    assert not (tmp_path / "out").exists()
    worker.end()


def test_a_missing_case_a_full_disk_and_an_unwritable_folder_are_told(case_file, tmp_path, monkeypatch):
    worker = Conversation(InstantModel())
    worker.say(predict(tmp_path / "none.npz", tmp_path / "out"))
    assert "none.npz does not exist" in worker.answer()["message"]
    (tmp_path / "file").write_text("")
    worker.say(predict(case_file, tmp_path / "file" / "out"))
    assert "Cannot write into" in worker.answer()["message"]
    monkeypatch.setattr(np, "save", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
    worker.say(predict(case_file, tmp_path / "out"))
    assert "full" in worker.answer()["message"]
    assert not (tmp_path / "out").exists()
    worker.end()


@pytest.mark.parametrize("line", ["dose!", "[]", "{}", '{"command": "dance"}', '{"command": "predict"}', '{"command": "predict", "case": 1}'])
def test_a_line_that_is_no_command_is_an_error_and_the_worker_lives_on(case_file, tmp_path, line):
    worker = Conversation(InstantModel())
    worker.say(line)
    assert worker.hear()["event"] == "error"
    worker.say(predict(case_file, tmp_path / "out"))
    assert worker.answer()["event"] == "result"
    worker.end()


@pytest.mark.parametrize("leave", [{"command": "quit"}, None], ids=["quit", "end of input"])
def test_leaving_ends_a_running_prediction_without_a_result(case_file, tmp_path, leave):
    hold = threading.Event()
    model = InstantModel(hold=hold)
    worker = Conversation(model)
    worker.say(predict(case_file, tmp_path / "out"))
    assert model.holding.wait(WAIT_S)
    if leave is not None:
        worker.say(leave)
    else:
        worker._lines.put(None)
    time.sleep(0.1)
    hold.set()
    worker.thread.join(WAIT_S)
    assert not worker.thread.is_alive()
    assert model.cancels_seen == 1 and not (tmp_path / "out").exists()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """The worker as the panel starts it."""
    environment = {**os.environ, "PYTHONPATH": str(CORE)}
    command = [sys.executable, "-m", "dose_prediction.worker"]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


def test_the_process_speaks_only_json_and_ends_with_its_input(process, tmp_path):
    said, _ = process.communicate(
        json.dumps(predict(tmp_path / "none.npz", tmp_path / "out")) + "\n" + json.dumps({"command": "quit"}) + "\n", timeout=WAIT_S
    )
    events = [json.loads(line) for line in said.splitlines()]
    assert events[0] == {"event": "ready"}
    assert all(event["event"] in ("ready", "error") for event in events)
    assert process.returncode == 0


def test_the_process_ends_when_it_is_killed_and_leaves_no_files(process, case_file, tmp_path):
    process.stdin.write(json.dumps(predict(case_file, tmp_path / "out")) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"event": "ready"}
    process.kill()
    process.wait(WAIT_S)
    assert not (tmp_path / "out").exists()
