"""The spine of the trunk with its cord, and the ribs."""

from __future__ import annotations

import numpy as np

from dose_prediction.anatomies.canvas import Canvas
from dose_prediction.anatomies.solids import CORTICAL_BONE, FLUID, MUSCLE, SPONGY_BONE, Point

VERTEBRA_MM = 26.0
RIB_MM = 26.0


def draw_spine(canvas: Canvas, has_cord: bool = True) -> None:
    """Vertebrae behind the middle of the trunk, and the cord in their canal where there still is one."""
    space = canvas.space
    level = np.mod(space.z, VERTEBRA_MM)
    column = space.tube([(0, 58, -260), (0, 58, 260)], [19, 16], flatness=1.2)
    canvas.paint(column, MUSCLE + 30)
    canvas.paint((column < 0) & (level > 5), CORTICAL_BONE - 400)
    canvas.paint((column < -3) & (level > 7) & (level < 24), SPONGY_BONE - 120)
    behind: list[Point] = [(0, 84, -260), (0, 84, 260)]
    canvas.paint((space.tube(behind, [14, 14]) < 0) & (level > 8), CORTICAL_BONE - 450)
    canvas.paint(space.tube(behind, [9, 9]), FLUID)
    if has_cord:
        canvas.paint(space.tube(behind, [5.5, 5.5], flatness=1.2), MUSCLE - 15, "SpinalCord")


def draw_ribs(canvas: Canvas) -> None:
    """Ribs that fall from back to front in the wall of the chest, and the breastbone."""
    space = canvas.space
    in_wall = (canvas.core < -4) & (canvas.core > -12)
    canvas.paint(in_wall & (np.mod(space.z - 0.25 * space.y, RIB_MM) < 9), SPONGY_BONE)
    canvas.paint(in_wall & (np.abs(space.x) < 17) & (space.y < 0) & (space.z > -70), SPONGY_BONE - 50)
