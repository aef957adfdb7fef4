"""A patient that is planned in a moment, in OpenKBP's npz layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_patient(path: Path, seed: int) -> None:
    """Write a cylinder with two targets, a cord and a parotid, and a dose that falls off from the targets."""
    y, x, z = np.indices((128, 128, 128), dtype=np.int16)
    rng = np.random.default_rng(seed)
    middle = 64 + rng.integers(-3, 4)
    body = ((y - 64) ** 2 + (x - middle) ** 2 < 14**2) & (abs(z - 64) < 12)
    high = (abs(y - 62) < 4) & (abs(x - middle) < 4) & (abs(z - 64) < 5)
    low = (abs(y - 62) < 4) & (abs(x - middle - 7) < 3) & (abs(z - 64) < 5)
    cord = (abs(y - 72) < 2) & (abs(x - middle) < 2) & (abs(z - 64) < 12)
    parotid = (abs(y - 62) < 3) & (abs(x - middle + 10) < 2) & (abs(z - 64) < 4)
    bits = (cord << 1) | (parotid << 2) | (low << 7) | (high << 9) | (body.astype(np.uint16) << 15)
    distance = np.sqrt((y - 62.0) ** 2 + (x - middle) ** 2 + (z - 64.0) ** 2)
    dose = np.where(body, 7000 * np.exp(-np.maximum(distance - 5, 0) / 12), 0)
    np.savez(
        path,
        ct=np.where(body, 1024, 0).astype(np.int16),
        dose=dose.astype(np.uint16),
        bits=bits.astype(np.uint16),
        spacing=np.array([4.0, 4.0, 3.0], np.float32),
    )
