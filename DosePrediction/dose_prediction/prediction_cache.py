"""What a warm worker keeps between predictions, so that a run after an edit repeats only what the edit changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

Value = TypeVar("Value")


class PredictionCache:
    """The latest value of every stage, by the digest of all that it depends on.

    One value a stage bounds the memory: an older one is let go before its successor is made.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, Any]] = {}

    def recall(self, stage: str, digest: str, make: Callable[[], Value]) -> Value:
        """The value of `stage`: the one that was kept if it has this digest, else what `make` returns, kept for the next time."""
        kept = self._kept.get(stage)
        if kept is not None and kept[0] == digest:
            return kept[1]
        del kept
        self._kept.pop(stage, None)
        value = make()
        self._kept[stage] = digest, value
        return value


def digest_of(*parts: object) -> str:
    """SHA-256 (hex) of arrays, by shape, type and content, and of other values, by their `repr`."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(repr((part.shape, part.dtype.str)).encode())
            total.update(np.ascontiguousarray(part).data)
        else:
            total.update(repr(part).encode())
        total.update(b"\0")
    return total.hexdigest()
