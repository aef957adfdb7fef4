"""The examples in the core's docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import dose_prediction

MODULES = sorted(m.name for m in pkgutil.walk_packages(dose_prediction.__path__, "dose_prediction.") if not m.name.endswith("__main__"))


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
