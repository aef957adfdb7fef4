"""One function on every item of a cohort: here, on processes of this machine, or on Ray.  An item that fails costs nothing of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dose_prediction.case import CaseError

Item = TypeVar("Item")
Result = TypeVar("Result")

LOCAL_CLUSTER = "local"  # the Ray address that stands for a cluster on this machine
RAY_HELP = 'cases go to the workers of this Ray cluster; "auto" is the one that this machine belongs to, "local" one for this run alone'
TRIES = 3  # of an item whose worker died
WORKER_DIED = "Its worker process died three times (often for lack of memory); crop the case, or give each worker more memory."


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item: a result, or the error that stopped it."""

    item: Item
    result: Result | None = None
    error: Exception | None = None


def run_each(
    function: Callable[[Item], Result], items: Sequence[Item], *, processes: int = 1, ray_address: str | None = None
) -> Iterator[Outcome[Item, Result]]:
    """The outcome of `function` on every item, in the order in which they are done.

    With one process everything happens here; with more, and on Ray, `function` and items must be picklable.  `ray_address` is a cluster's ("auto"
    for the one that this machine belongs to), or "local" for one that lives as long as this call.
    """
    if ray_address is not None:
        yield from _on_ray(function, items, ray_address)
    elif processes > 1:
        yield from _on_processes(function, items, processes)
    else:
        yield from (_tried(function, item) for item in items)


def _tried(function: Callable[[Item], Result], item: Item) -> Outcome[Item, Result]:
    try:
        return Outcome(item, function(item))
    except Exception as error:
        return Outcome(item, error=error)


def _on_processes(function: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Iterator[Outcome[Item, Result]]:
    """A process that dies takes the whole pool with it: what was under way is tried again in a new one, an item at a time the last time."""
    waiting = list(items)
    for attempt in range(TRIES):
        died: list[Item] = []
        with ProcessPoolExecutor(1 if attempt == TRIES - 1 else processes) as pool:
            futures = {pool.submit(_tried, function, item): item for item in waiting}
            for future in as_completed(futures):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    died.append(futures[future])
        waiting = died
    for item in waiting:
        yield Outcome(item, error=CaseError(WORKER_DIED))


def _on_ray(function: Callable[[Item], Result], items: Sequence[Item], address: str) -> Iterator[Outcome[Item, Result]]:
    with ray_cluster(address) as ray:
        task = ray.remote(num_cpus=1, max_retries=TRIES - 1)(_tried)
        shared = ray.put(function)
        pending = {task.remote(shared, item): item for item in items}
        while pending:
            (done,), _ = ray.wait(list(pending))
            item = pending.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError:
                yield Outcome(item, error=CaseError(WORKER_DIED))


@contextmanager
def ray_cluster(address: str) -> Iterator[Any]:
    """Ray, connected to the cluster at `address`; a connection that was there before is used and kept."""
    try:
        import ray
    except ImportError:
        raise CaseError("Ray is not installed; install it with: pip install 'dose-prediction[cluster]', or leave --ray out.") from None
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(None if address == LOCAL_CLUSTER else address, include_dashboard=False, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise CaseError(
            f"No Ray cluster answers at {address!r} ({error}); start one with `ray start --head`, or give --ray {LOCAL_CLUSTER}."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
