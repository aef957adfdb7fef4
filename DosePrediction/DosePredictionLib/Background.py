"""Work of the core that has no steps of its own, on a thread beside the window's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any

# The window's thread lets the other one run for so long at a time: within Slicer, Python threads run only while the window's gives way.
TURN_S = 0.04


class _Stopped(Exception):
    """The work is no longer wanted."""


def in_background(work: Callable[[Callable[[float], None]], Any]) -> Generator[float, None, Any]:
    """Steps that yield the fraction done and return what `work` returns, or raise what it raises.

    `work` is given a function to tell its fraction with; when the steps are stopped, that function raises, and the work ends.
    """
    state: dict[str, Any] = {"fraction": 0.0}
    is_stopped = threading.Event()

    def tell(fraction: float) -> None:
        if is_stopped.is_set():
            raise _Stopped
        state["fraction"] = fraction

    def run() -> None:
        try:
            state["result"] = work(tell)
        except Exception as error:
            state["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(TURN_S)
            yield state["fraction"]
    finally:
        is_stopped.set()
    if "error" in state:
        raise state["error"]
    return state["result"]
