"""What depends only on the CT and the beams, kept between runs.

The holder keeps one cache for as long as it likes and hands it to every run:

    cache = TraceCache()
    traced = trace_beams(case, region, cache=cache)  # traces all beams
    traced = trace_beams(case.with_beams(more_beams), region, cache=cache)  # traces only those that it has not seen

A trace goes by the CT, the body, the grid, the isocentre and one beam's angles: another energy, organ or prescription traces nothing anew; a target
does where it moves the isocentre or the region.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray


class HasSize(Protocol):
    @property
    def nbytes(self) -> int: ...


Kept = TypeVar("Kept", bound=HasSize)


class TraceCache:
    """Values by what they were made from; those unused for longest are let go when all together exceed `at_most_bytes`."""

    def __init__(self, at_most_bytes: int = 500_000_000) -> None:
        self.at_most_bytes = at_most_bytes
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in self._kept.values())

    def recall(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """The value kept under `key`, else what `make` returns, kept from now on unless it is larger than the whole cache."""
        if key not in self._kept:
            self._kept[key] = make()
        value: Kept = self._kept[key]
        self._kept.move_to_end(key)
        while self._kept and self.nbytes > self.at_most_bytes:
            self._kept.popitem(last=False)
        return value


def digest_of(*arrays: NDArray[np.generic]) -> bytes:
    """SHA-256 of arrays: their shapes, types and values."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(repr((array.shape, array.dtype.str)).encode())
        total.update(np.ascontiguousarray(array).data)
    return total.digest()
