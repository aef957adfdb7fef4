"""The belly: liver, kidneys, spleen, stomach, bowel, great vessels and spine, with the lungs' bases above."""

from __future__ import annotations

import numpy as np

from dose_prediction.anatomies.build import Build
from dose_prediction.anatomies.canvas import Canvas, trunk
from dose_prediction.anatomies.solids import AIR, FAT, FLUID, LUNG, Mask
from dose_prediction.anatomies.spine import draw_ribs, draw_spine


def draw_abdomen(build: Build, generator: np.random.Generator) -> Canvas:
    canvas = trunk(build, (102, 110), 1.45, generator)
    space = canvas.space
    wall = canvas.core > -14
    canvas.paint(~wall & (canvas.core < 0), FAT + 15)
    draw_ribs(canvas)
    bowel = (canvas.organ((0, -42, -92), (112, 48, 66)) < 0) & ~wall
    canvas.paint(bowel, 25, "Bag_Bowel")
    canvas.paint(bowel & (np.sin(space.x / 7) * np.sin(space.y / 6) * np.sin(space.z / 8) > 0.45), AIR + 150)
    for name, side in (("Lung_L", 1), ("Lung_R", -1)):
        base = canvas.organ((74 * side, 10, 142), (60, 72, 68))
        canvas.paint((base < 0) & ~wall, LUNG, name)
    lungs = canvas.masks["Lung_L"] | canvas.masks["Lung_R"]
    liver = np.minimum(canvas.organ((-66, -6, 32), (76, 76, 70)), canvas.organ((-8, -40, 48), (66, 40, 38)))
    canvas.paint((liver < 0) & ~wall & ~lungs, 60, "Liver")
    canvas.paint((canvas.organ((100, 34, 42), (30, 42, 48)) < 0) & ~wall & ~lungs, 50, "Spleen")
    stomach = (canvas.organ((58, -34, 34), (38, 38, 50)) < 0) & ~wall & ~lungs & ~canvas.masks["Liver"]
    canvas.paint(stomach, 30, "Stomach")
    canvas.paint(stomach & (canvas.organ((58, -50, 44), (22, 14, 26)) < 0), AIR)
    draw_spine(canvas)
    for name, side, z in (("Kidney_L", 1, -22), ("Kidney_R", -1, -34)):
        canvas.paint(canvas.organ((62 * side, 46, z), (27, 25, 54)), FLUID + 25, name)
    canvas.paint(space.tube([(14, 32, -260), (14, 32, 260)], [11, 12]), 45)
    canvas.paint(space.tube([(-20, 28, -260), (-20, 24, 260)], [12, 12]), 40)
    canvas.masks["Liver"] &= ~canvas.masks["Kidney_R"]
    return canvas


def liver_target(canvas: Canvas) -> Mask:
    """A tumour of 25 to 70 mm in the liver, grown by 8 mm."""
    tumour = canvas.ball_inside(canvas.masks["Liver"], canvas.generator.uniform(12, 35)) & canvas.masks["Liver"]
    canvas.paint(tumour, 40)
    canvas.masks["Liver"] = canvas.masks["Liver"] & ~tumour
    return canvas.grown(tumour, 8)
