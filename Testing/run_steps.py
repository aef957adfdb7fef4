"""Work that the panel does in steps, run to its end at once."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any


def result_of(steps: Generator[float, None, Any]) -> Any:
    """What the steps return in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
