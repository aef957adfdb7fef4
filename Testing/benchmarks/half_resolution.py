"""Prepared cases averaged to half the resolution on every axis, so that a training takes minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from dose_prediction.case import CaseError
from dose_prediction.model.condition import CHANNELS, FIRST_NUMBER, TOKEN_KINDS
from dose_prediction.output_files import whole_file
from dose_prediction.training.dataset import PREPARED_BY, PreparedCases, TrainingCase


def halved_cases(files: Sequence[Path], cache: Path, largest: int) -> list[TrainingCase]:
    """The prepared cases in `files` at half the resolution, those of at most `largest` voxels on every axis; kept in `cache`."""
    cache.mkdir(parents=True, exist_ok=True)
    fitting = [file for file in files if max(_shape(file)) <= 2 * largest]
    for file in tqdm(fitting, desc="Halving cases", unit="case"):
        if not (cache / file.name).exists():
            (case,) = PreparedCases([file])
            small = halved(case)
            with whole_file(cache / file.name) as unfinished:
                of_case = {"volumes": small.volumes, "residual": small.residual, "tokens": small.tokens, "voxel_mm3": np.float64(small.voxel_mm3)}
                np.savez(unfinished, prepared_by=np.int64(PREPARED_BY), **of_case)
    return list(PreparedCases([cache / file.name for file in fitting]))


def _shape(file: Path) -> tuple[int, ...]:
    with np.load(file, allow_pickle=False) as stored:
        return tuple(stored["residual"].shape)


def halved(case: TrainingCase) -> TrainingCase:
    """Means over blocks of 2 x 2 x 2 voxels; of the map of prescriptions the median, so that it holds no other dose than it did."""
    if len(case.volumes) != len(CHANNELS):
        raise CaseError(f"{case.name} was prepared with {len(case.volumes)} channels, the network has {len(CHANNELS)}; prepare the cases anew.")
    volumes = _blocks(case.volumes).mean(-1)
    prescription = CHANNELS.index("prescription")
    volumes[prescription] = np.sort(_blocks(case.volumes[prescription]), axis=-1)[..., 3]  # the lower median: half a block is no target
    tokens = case.tokens.copy()
    tokens[tokens[:, TOKEN_KINDS.index("voxel")] > 0.5, FIRST_NUMBER : FIRST_NUMBER + 3] *= 2
    residual = _blocks(case.residual).mean(-1)
    return replace(case, volumes=volumes.astype(np.float16), residual=residual.astype(np.float16), tokens=tokens, voxel_mm3=8 * case.voxel_mm3)


def _blocks(volumes: NDArray[np.float16]) -> NDArray[np.float32]:
    """(..., z / 2, y / 2, x / 2, 8) of (..., z, y, x); axes of odd length end with zeros."""
    ends = [(0, 0)] * (volumes.ndim - 3) + [(0, size % 2) for size in volumes.shape[-3:]]
    even = np.pad(volumes.astype(np.float32), ends)
    z, y, x = (size // 2 for size in even.shape[-3:])
    split = even.reshape(*even.shape[:-3], z, 2, y, 2, x, 2)
    return np.moveaxis(split, (-5, -3, -1), (-3, -2, -1)).reshape(*even.shape[:-3], z, y, x, 8)
