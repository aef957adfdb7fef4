"""A process that is killed while it writes leaves the old file or a complete new one."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from dose_prediction.case import Grid
from dose_prediction.volumes import read_volume, write_volume

SHAPE = (60, 96, 96)
KILLS = 20

# Writes the same volume over and over, each time with another dose everywhere, and says when it begins.
WRITER = """
import itertools, sys
import numpy as np
from dose_prediction.case import Grid
from dose_prediction.volumes import write_volume
grid = Grid((60, 96, 96), spacing_mm=(2.0, 2.0, 2.0))
noise = np.random.default_rng(0).random(grid.shape, np.float32)
for dose in itertools.count(1):
    print(dose, flush=True)
    write_volume(sys.argv[1], noise + np.float32(dose), grid)
"""


def test_the_dose_is_whole_after_any_of_twenty_kills(tmp_path: Path) -> None:
    path = tmp_path / "dose.nrrd"
    noise = np.random.default_rng(0).random(SHAPE, np.float32)
    write_volume(path, noise, Grid(SHAPE, spacing_mm=(2.0, 2.0, 2.0)))
    seen = set()
    rng = random.Random(3)
    for _ in range(KILLS):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()  # it has begun
            time.sleep(rng.uniform(0, 0.25))
            writer.kill()
        found, grid = read_volume(path)
        dose = float(np.rint((found - noise).mean()))
        assert grid.shape == SHAPE
        assert np.allclose(found, noise + np.float32(dose), atol=1e-4)  # all of it from one writing
        seen.add(dose)
    assert len(seen) > 1  # some writings came to their end, so that the kills fell in the midst of others
