"""How far a run is, how long its stages took, and its cancel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a run is: the stage in words and the fraction of the whole run that is done, 0 to 1."""

    stage: str
    fraction: float


class Cancelled(Exception):
    """The run was cancelled between two of its steps."""


class Run:
    """Progress, cancel and stopwatch of one run of `steps` steps."""

    def __init__(self, on_progress: Callable[[Progress], None] | None, is_cancelled: Callable[[], bool] | None, steps: int) -> None:
        self.on_progress, self.is_cancelled = on_progress, is_cancelled
        self.steps, self.done = steps, 0.0
        self.seconds: dict[str, float] = {}
        self.name = ""

    @contextmanager
    def stage(self, name: str, steps: int = 1) -> Iterator[None]:
        """One stage of the run; its seconds go to `seconds`, added up where a stage comes again."""
        self.name = name
        self.report(0.0)
        before, start = self.done, time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        self.done = before + steps
        self.report(0.0)

    def report(self, within: float) -> None:
        """Tell how far the run is, `within` steps into the stage, and obey a cancel."""
        if self.is_cancelled is not None and self.is_cancelled():
            raise Cancelled(f"Cancelled during: {self.name}.")
        if self.on_progress is not None:
            self.on_progress(Progress(self.name, min(1.0, (self.done + within) / self.steps)))
