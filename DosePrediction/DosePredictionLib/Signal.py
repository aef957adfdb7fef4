"""Signals between plain Python objects; Qt's own cannot be declared safely in Python classes under PythonQt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Signal:
    """Calls every connected slot, in the order of connection, with the arguments of `emit`."""

    def __init__(self) -> None:
        self._slots: list[Callable[..., Any]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        self._slots.append(slot)

    def emit(self, *arguments: Any) -> None:
        for slot in list(self._slots):
            slot(*arguments)
