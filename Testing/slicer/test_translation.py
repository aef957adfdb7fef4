"""What the user reads can be translated: translators' tools find only literals, and every word of the core that is shown is listed."""

from __future__ import annotations

import ast

import pytest

import slicer_bench
from dose_prediction.case import TEMPLATES
from dose_prediction.dosimetry import Outcome
from DosePredictionLib import CoreWords
from DosePredictionLib.GoalSets import shipped_sets
from DosePredictionLib.WhatIfTable import METRICS

MODULE = slicer_bench.MODULE_FOLDER
SLICER_SIDE = sorted([MODULE / "DosePrediction.py", *(MODULE / "DosePredictionLib").glob("*.py")])
CORE = sorted((MODULE / "dose_prediction").rglob("*.py"))


def calls(path):
    """Name of the function and first argument of every call in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args:
            yield getattr(node.func, "attr", getattr(node.func, "id", "")), node


@pytest.mark.parametrize("path", SLICER_SIDE, ids=lambda path: path.stem)
def test_what_is_translated_is_a_literal(path):
    for name, call in calls(path):
        if name == "_":
            assert isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str), f"line {call.lineno}: {ast.unparse(call)}"


def stages_of_the_core():
    """The stages that runs, imports and exports of the core report."""
    for path in CORE:
        if "training" in path.parts:
            continue
        for name, call in calls(path):
            told = call.args[0] if name in ("stage", "on_stage") else next((word.value for word in call.keywords if word.arg == "stage"), None)
            if isinstance(told, ast.Constant):
                yield told.value


def test_every_word_of_the_core_that_is_shown_is_translated(monkeypatch):
    monkeypatch.setattr(CoreWords, "_", lambda text: f"<{text}>")
    stages = set(stages_of_the_core())
    assert {"Physics prior", "Sampling plans", "Writing doses", "Writing the dose"} <= stages
    outcomes = {outcome.value for outcome in Outcome if outcome is not Outcome.NOT_APPLICABLE}  # those are left out of the table
    words = stages | outcomes | set(METRICS) | {template.name for template in TEMPLATES} | {one.name for one in shipped_sets()}
    assert {word: CoreWords.translated(word) for word in words} == {word: f"<{word}>" for word in words}
    assert CoreWords.translated("A department's own goals") == "A department's own goals"
