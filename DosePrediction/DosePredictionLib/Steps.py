"""Long work on the window's own thread, cut into steps between which the window answers the user."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any

import qt
from slicer.i18n import tr as _

from dose_prediction.case import CaseError

StepGenerator = Generator[float, None, Any]


def sentence_of(error: Exception, of_a_fault: str = "") -> str:
    """What the user is told of an error: its own sentence, or, of a fault in the program, which goes into the error log, `of_a_fault` with it."""
    if isinstance(error, CaseError | OSError):
        return str(error)
    logging.error("A step of work on the window's thread failed", exc_info=error)
    return (of_a_fault or _("Something went wrong: {error}. See the error log.")).format(error=error)


def scaled(steps: StepGenerator, begins: float, part: float) -> StepGenerator:
    """The steps, their fractions as a part of a larger work."""
    while True:
        try:
            fraction = next(steps)
        except StopIteration as end:
            return end.value
        yield begins + part * fraction


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
