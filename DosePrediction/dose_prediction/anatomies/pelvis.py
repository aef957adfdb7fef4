"""The pelvis of a man: bladder, prostate, rectum, bowel, hip bones and femoral heads."""

from __future__ import annotations

import numpy as np

from dose_prediction.anatomies.build import Build
from dose_prediction.anatomies.canvas import Canvas, trunk
from dose_prediction.anatomies.solids import AIR, CORTICAL_BONE, FAT, FLUID, SPONGY_BONE, Mask
from dose_prediction.anatomies.spine import draw_spine


def draw_pelvis(build: Build, generator: np.random.Generator) -> Canvas:
    canvas = trunk(build, (100, 108), 1.6, generator)
    space = canvas.space
    inner = space.tube([(0, 0, -260), (0, 0, 260)], [70, 84], flatness=1.35)
    canvas.paint(inner, FAT + 20)
    draw_spine(canvas, has_cord=False)
    canvas.paint((space.ellipsoid((0, 78, 35), (52, 22, 62)) < 0), SPONGY_BONE - 60)
    wings = np.abs(space.ellipsoids((92, 24, 55), (48, 74, 70)))
    canvas.paint((wings < 6) & (inner > -6) & (space.z > 0), SPONGY_BONE + 60)
    arches = space.pair([(14, -52, -42), (60, -34, -22), (86, 12, -8), (60, 48, -72), (30, 0, -84)], [10, 11, 26, 15, 12])
    canvas.paint(arches, SPONGY_BONE + 80)
    for name, side in (("Femur_Head_L", 1), ("Femur_Head_R", -1)):
        shaft = space.tube([(96 * side, 6, -22), (132 * side, 14, -58), (128 * side, 10, -200)], [14, 19, 16])
        canvas.paint(shaft, CORTICAL_BONE - 250)
        canvas.paint(shaft + 6, SPONGY_BONE - 150)
        canvas.paint(canvas.organ((94 * side, 6, -20), (24, 24, 24)), SPONGY_BONE + 130, name)
    canvas.paint((canvas.organ((0, -28, 90), (82, 48, 62)) < 0) & (inner < -3), 20, "Bag_Bowel")
    filling = canvas.generator.uniform(0.8, 1.25)
    canvas.paint(canvas.organ((0, -24, 4), (42 * filling, 34 * filling, 32 * filling)), FLUID, "Bladder")
    rectum = space.tube([(0, 62, 60), (6, 56, 20), (0, 44, -30), (0, 40, -62), (0, 58, -92)], [17, 18, 18, 14, 11])
    canvas.paint(rectum, 30, "Rectum")
    canvas.paint((rectum < -8) & (np.sin(space.z / 11) > 0.2), AIR)
    prostate = canvas.paint(canvas.organ((0, 4, -50), (25, 20, 22)), 40)
    for name in ("Bladder", "Rectum"):
        canvas.masks[name] = canvas.masks[name] & ~prostate
    canvas.masks["Prostate"] = prostate
    return canvas


def prostate_target(canvas: Canvas) -> Mask:
    """The prostate, grown by 7 mm."""
    return canvas.grown(canvas.masks.pop("Prostate"), 7)
