"""The bench starts quietly, twice, and ends without a crash."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_starts_twice_prints_nothing_and_ends_well(tmp_path: Path) -> None:
    code = f"""
import slicer_bench
slicer_bench.start()
slicer_bench.start()
import ctk, qt, slicer
slicer.util.updateVolumeFromArray(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT"), __import__("numpy").zeros((4, 5, 6)))
slicer_bench.picture(__import__("pathlib").Path({str(tmp_path / "window.png")!r}))
"""
    testing = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", code], cwd=testing, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / "window.png").stat().st_size > 1000
