"""pytest fixtures of the bench; importing this starts nothing."""

from __future__ import annotations

import types
from collections.abc import Iterator

import pytest

import slicer_bench


@pytest.fixture
def bench() -> Iterator[types.ModuleType]:
    """The bench with an empty scene and no panel; the test fails if a slot, timer or VTK observer raised in it."""
    slicer_bench.start()
    slicer_bench.new_scene()
    from slicer_bench.pythonqt_signals import slot_errors

    yield slicer_bench
    slicer_bench.close_modules()
    reports = "\n".join(error.text for error in slot_errors)
    slicer_bench.new_scene()
    if reports:
        pytest.fail(f"raised where nobody could catch it:\n{reports}", pytrace=False)
