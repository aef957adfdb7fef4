"""A cohort on one process, on several and on a local Ray cluster: each item's outcome, whatever becomes of the others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from dose_prediction.case import CaseError
from dose_prediction.cohort import Outcome, ray_cluster, run_each


def divided(item: int) -> float:
    return 12 / item


def deadly(folder: Path, item: int) -> int:
    """Kills its own process at item 3 always, at item 2 the first time."""
    if item == 3 or (item == 2 and not (folder / "tried").exists()):
        (folder / "tried").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * item


@pytest.fixture(scope="module")
def local_cluster() -> Iterator[str]:
    """Ray on two workers of this machine."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield "local"
    ray.shutdown()


def by_item(outcomes: Iterator[Outcome[int, object]]) -> dict[int, Outcome[int, object]]:
    found = {outcome.item: outcome for outcome in outcomes}
    return dict(sorted(found.items()))


@pytest.mark.parametrize("processes", [1, 2])
def test_an_item_that_fails_costs_nothing_of_the_others(processes: int) -> None:
    outcomes = by_item(run_each(divided, [3, 0, 4], processes=processes))
    assert [outcome.result for outcome in outcomes.values()] == [None, 4.0, 3.0]
    assert isinstance(outcomes[0].error, ZeroDivisionError)


def test_a_process_that_dies_costs_nothing_of_the_others(tmp_path: Path) -> None:
    outcomes = by_item(run_each(partial(deadly, tmp_path), [1, 2, 3, 4], processes=2))
    assert {item: outcome.result for item, outcome in outcomes.items()} == {1: 10, 2: 20, 3: None, 4: 40}
    with pytest.raises(CaseError, match="died three times"):
        raise outcomes[3].error or AssertionError


def test_ray_gives_the_same_outcomes(local_cluster: str) -> None:
    outcomes = by_item(run_each(divided, [3, 0, 4], ray_address=local_cluster))
    assert [outcome.result for outcome in outcomes.values()] == [None, 4.0, 3.0]
    assert isinstance(outcomes[0].error, ZeroDivisionError)


def test_a_ray_worker_that_dies_costs_nothing_of_the_others(local_cluster: str, tmp_path: Path) -> None:
    outcomes = by_item(run_each(partial(deadly, tmp_path), [1, 2, 3, 4], ray_address=local_cluster))
    assert {item: outcome.result for item, outcome in outcomes.items()} == {1: 10, 2: 20, 3: None, 4: 40}
    assert isinstance(outcomes[3].error, CaseError)


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(CaseError, match=r"No Ray cluster answers at '10.0.0.1:6379' \(nobody there\)"), ray_cluster("10.0.0.1:6379"):
        raise AssertionError("connected to nothing")
