"""The chest: lungs, heart, oesophagus, windpipe, great vessels, spine and ribs; breasts where they are asked for."""

from __future__ import annotations

import numpy as np

from dose_prediction.anatomies.build import Build
from dose_prediction.anatomies.canvas import Canvas, trunk
from dose_prediction.anatomies.solids import AIR, FAT, FLUID, LUNG, MUSCLE, Mask, Point
from dose_prediction.anatomies.spine import draw_ribs, draw_spine

OESOPHAGUS: list[Point] = [(2, 36, 200), (4, 36, 20), (10, 32, -60), (22, 18, -200)]
BREAST_CENTRE, BREAST_SIZE = (82.0, -98.0, -5.0), (58.0, 48.0, 58.0)


def draw_thorax(build: Build, generator: np.random.Generator, has_breasts: bool = False) -> Canvas:
    x, y, z = BREAST_CENTRE
    breasts = (((x, y, z), BREAST_SIZE), ((-x, y, z), BREAST_SIZE)) if has_breasts else ()
    canvas = trunk(build, (112, 100), 1.5, generator, breasts)
    space = canvas.space
    draw_ribs(canvas)
    heart = canvas.organ((24, -38, -52), (52, 42, 46))
    middle = np.minimum(space.tube([(0, 10, -200), (0, 10, 200)], [34, 30]), heart - 3)
    liver = canvas.organ((-62, -8, -125), (92, 82, 48))
    for name, side in (("Lung_L", 1), ("Lung_R", -1)):
        lung = canvas.organ((78 * side, 4, -5), (66, 84, 128))
        canvas.paint((lung < 0) & (canvas.core < -15) & (middle > 0) & (liver > 4) & (side * space.x > 0), LUNG, name)
    canvas.paint((liver < 0) & (canvas.core < -15), MUSCLE + 5, "Liver")
    canvas.paint((middle < 0) & (canvas.core < -15), FAT + 60)
    canvas.paint(heart, 40, "Heart")
    canvas.paint(space.tube([(20, 46, -260), (20, 46, 50), (-5, 5, 55)], [11, 12, 14]), 45)
    draw_spine(canvas)
    canvas.paint(space.tube(OESOPHAGUS, [7.5, 8, 8.5, 9]), 30, "Esophagus")
    canvas.paint(np.minimum(space.tube([(0, 18, 200), (0, 20, 28)], [9, 9]), space.pair([(0, 20, 28), (42, 22, -5)], [7, 5])), AIR)
    return canvas


def lung_target(canvas: Canvas) -> Mask:
    """A tumour of 20 to 50 mm in one lung, grown by 8 mm."""
    side = ("Lung_L", "Lung_R")[int(canvas.generator.integers(2))]
    tumour = canvas.ball_inside(canvas.masks[side], canvas.generator.uniform(10, 25))
    canvas.paint(tumour, MUSCLE - 20)
    for name in ("Lung_L", "Lung_R"):
        canvas.masks[name] = canvas.masks[name] & ~tumour
    return canvas.grown(tumour, 8)


def oesophagus_target(canvas: Canvas) -> Mask:
    """Six to ten centimetres of the oesophagus, grown by 12 mm."""
    middle, half = canvas.generator.uniform(-40, 30), canvas.generator.uniform(30, 50)
    return canvas.grown(canvas.masks["Esophagus"] & (np.abs(canvas.space.z - middle) < half), 12)


def breast_target(canvas: Canvas, side: int) -> Mask:
    """The breast in front of the chest's wall, 5 mm from the skin; `side` is 1 for the left one, -1 for the right one."""
    (x, y, z), (a, b, c) = BREAST_CENTRE, BREAST_SIZE
    breast = canvas.space.ellipsoid((x * side, y, z), (a - 4, b + 6, c - 4))
    gland = canvas.space.ellipsoid((x * side, y - 6, z), (a - 16, b - 14, c - 16))
    canvas.paint((gland < 0) & (canvas.core > 3), FLUID + 15)
    return (breast < 0) & (canvas.core > -4) & (canvas.space.y < 0) & (canvas.depth_mm() > 5)
