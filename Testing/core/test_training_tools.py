"""The training's programs, started as a developer starts them, with input that they cannot use."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dose_prediction.option_types import count, positive_count, positive_number

EMPTY_FOLDER = "FOLDER"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("tune_objective --data FOLDER --output FOLDER/learnt.json", "No OpenKBP case in FOLDER; give the folder that holds the training cases."),
        ("beam_sets --data FOLDER --output FOLDER/out", "No OpenKBP case in FOLDER; give the folder that holds the training cases."),
        ("simulated_scores --plans FOLDER", "FOLDER has no prepared plan (*.npz)"),
        (
            "release --model FOLDER --validation FOLDER --training FOLDER --output FOLDER/out",
            "The model file FOLDER/addiff_dose.safetensors is missing",
        ),
        ("beam_sets --data FOLDER --output FOLDER/out --processes 0", "argument --processes: '0' is not a whole number from 1"),
        ("tune_objective --data FOLDER --output FOLDER/learnt.json --minutes nan", "argument --minutes: 'nan' is not a number above 0"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(arguments: str, sentence: str, tmp_path: Path) -> None:
    program, *options = arguments.replace(EMPTY_FOLDER, str(tmp_path)).split()
    ended = subprocess.run([sys.executable, "-m", f"dose_prediction.training.{program}", *options], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert sentence.replace(EMPTY_FOLDER, str(tmp_path)) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


def test_options_take_the_numbers_that_they_are_for() -> None:
    assert (count("0"), positive_count("12"), positive_number("0.5")) == (0, 12, 0.5)


@pytest.mark.parametrize(
    ("read", "text"),
    [(count, "-1"), (count, "1.5"), (positive_count, "0"), (positive_number, "0"), (positive_number, "inf"), (positive_number, "ten")],
)
def test_options_take_no_others(read, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(text)):
        read(text)
