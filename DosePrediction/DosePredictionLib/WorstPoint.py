"""Where a structure fails most: the hottest point of an organ, the coldest of a target."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from dose_prediction.case import RoleKind

from .SceneReader import grid_of_volume, segment_mask
from .SegmentRoles import SegmentRow


@dataclass(frozen=True)
class WorstPoint:
    """A voxel of a structure, in RAS mm, and its dose; `is_coldest` says which extreme it is."""

    structure: str
    point_ras: tuple[float, float, float]
    dose_gy: float
    is_coldest: bool


def is_coldest_worst(row: SegmentRow, goal: str = "") -> bool:
    """True where too little dose is what a goal forbids or, without a goal, where the structure is a target."""
    return "≥" in goal if goal else row.kind is RoleKind.TARGET


def worst_point(dose_node: Any, segmentation_node: Any, row: SegmentRow, is_coldest: bool) -> Generator[float, None, WorstPoint | None]:
    """The voxel of the segment with the extreme dose, in steps of the segment's resampling; None if it has no voxel."""
    grid = grid_of_volume(dose_node)
    mask = yield from segment_mask(segmentation_node, row, grid)
    voxels = np.argwhere(mask)
    if voxels.size == 0:
        return None
    doses = slicer.util.arrayFromVolume(dose_node)[tuple(voxels.T)]
    found = int(doses.argmin() if is_coldest else doses.argmax())
    left, posterior, superior = grid.world_from_index(voxels[found])
    return WorstPoint(row.name, (-float(left), -float(posterior), float(superior)), float(doses[found]), is_coldest)
