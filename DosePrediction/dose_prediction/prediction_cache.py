"""What a warm worker keeps between predictions, so that a run after an edit repeats only what the edit changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from dose_prediction.physics.trace_cache import TraceCache

Value = TypeVar("Value")


class PredictionCache:
    """The latest value of every stage, by a key of all that it depends on, and the traces of beams.

    One value a stage bounds the memory: an older one is let go before its successor is made.
    """

    def __init__(self) -> None:
        self.traces = TraceCache()
        self._kept: dict[str, tuple[Hashable, Any]] = {}

    def recall(self, stage: str, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `stage`: the one that was kept if it has this key, else what `make` returns, kept for the next time."""
        kept = self._kept.get(stage)
        if kept is not None and kept[0] == key:
            return kept[1]
        del kept
        self._kept.pop(stage, None)
        value = make()
        self._kept[stage] = key, value
        return value
