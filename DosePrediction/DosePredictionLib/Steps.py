"""Long work on the window's own thread, cut into steps between which the window answers the user."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import qt

StepGenerator = Generator[float, None, Any]


class Steps:
    """Runs a generator one step at a time, each in its own turn of the event loop.

    The generator yields the fraction done and returns the result.  `on_done` or `on_error` ends the work, unless `stop` was called.
    """

    def __init__(
        self, work: StepGenerator, on_done: Callable[[Any], None], on_error: Callable[[Exception], None], on_fraction: Callable[[float], None]
    ) -> None:
        self._work: StepGenerator | None = work
        self._on_done = on_done
        self._on_error = on_error
        self._on_fraction = on_fraction
        self._schedule()

    def stop(self) -> None:
        """Do no further step; the generator's `finally` clauses run now."""
        if self._work is not None:
            self._work.close()
            self._work = None

    def _schedule(self) -> None:
        qt.QTimer.singleShot(0, self._step)

    def _step(self) -> None:
        if self._work is None:
            return
        try:
            fraction = next(self._work)
        except StopIteration as end:
            self._work = None
            self._on_done(end.value)
        except Exception as error:
            self._work = None
            self._on_error(error)
        else:
            self._schedule()
            self._on_fraction(fraction)
