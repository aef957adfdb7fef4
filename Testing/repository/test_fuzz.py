"""A small part of the fuzz campaign, with seeds of its own; the whole is `python Testing/fuzz.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "fuzz.py"


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of processes")
def test_damaged_files_end_in_a_sentence_or_in_what_they_hold():
    result = subprocess.run([sys.executable, FUZZ, "--count", "150", "--seed", "7"], capture_output=True, text=True, timeout=550, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 findings" in result.stdout
