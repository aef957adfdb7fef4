"""The colours of dose, spread and difference: one table of each in the scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

COLOURS_ATTRIBUTE = "DosePrediction.DoseColours"
COUNT = 256
WINDOW_TOP = 1.1  # of the prescription, where the dose wash ends

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Palette:
    """A colour table as stops: fraction of the window, red, green, blue, opacity; `lowest` and `highest` are the window in percent, for names."""

    name: str
    stops: tuple[tuple[float, float, float, float, float], ...]
    lowest: float
    highest: float

    def at(self, fraction: float) -> tuple[float, float, float, float]:
        """Red, green, blue and opacity at a fraction of the window."""
        stops = np.array(self.stops)
        red, green, blue, opacity = (float(np.interp(fraction, stops[:, 0], stops[:, channel])) for channel in (1, 2, 3, 4))
        return red, green, blue, opacity


# The order that planning systems taught everyone.
DOSE = Palette(
    "DosePredictionColours",
    (
        (0.0, 0.10, 0.10, 0.55, 1.0),
        (0.2, 0.05, 0.35, 0.95, 1.0),
        (0.4, 0.0, 0.8, 0.9, 1.0),
        (0.55, 0.1, 0.8, 0.25, 1.0),
        (0.72, 0.95, 0.9, 0.1, 1.0),
        (0.87, 1.0, 0.5, 0.0, 1.0),
        (1.0, 0.85, 0.0, 0.1, 1.0),
    ),
    0.0,
    100 * WINDOW_TOP,
)
# From dark violet to pale yellow, brighter where the prediction is less sure.
SPREAD = Palette(
    "DosePredictionSpreadColours",
    ((0.0, 0.2, 0.0, 0.35, 1.0), (0.35, 0.6, 0.1, 0.5, 1.0), (0.7, 0.95, 0.5, 0.2, 1.0), (1.0, 1.0, 1.0, 0.6, 1.0)),
    0.0,
    100.0,
)
# Blue where the dose is lower than the reference, red where it is higher, nothing where both agree.
DIFFERENCE = Palette(
    "DosePredictionDifferenceColours",
    (
        (0.0, 0.0, 0.15, 0.75, 1.0),
        (0.45, 0.45, 0.75, 1.0, 1.0),
        (0.47, 1.0, 1.0, 1.0, 0.0),
        (0.53, 1.0, 1.0, 1.0, 0.0),
        (0.55, 1.0, 0.8, 0.45, 1.0),
        (1.0, 0.75, 0.0, 0.05, 1.0),
    ),
    -100.0,
    100.0,
)


def colour_table(palette: Palette) -> Any:
    """The colour table node of a palette, made where the scene has none."""
    for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
        if node.GetAttribute(COLOURS_ATTRIBUTE) == palette.name:
            return node
    names = [f"{palette.lowest + (palette.highest - palette.lowest) * index / (COUNT - 1):.0f} %" for index in range(COUNT)]
    node = new_table(palette.name, [(name, palette.at(index / (COUNT - 1))) for index, name in enumerate(names)])
    node.SetAttribute(COLOURS_ATTRIBUTE, palette.name)
    return node


def new_table(name: str, colours: list[tuple[str, tuple[float, float, float, float]]]) -> Any:
    """A colour table node with these names and colours (red, green, blue, opacity)."""
    node = slicer.vtkMRMLColorTableNode()
    node.SetName(name)
    fill_table(node, colours)
    node.HideFromEditorsOff()
    return slicer.mrmlScene.AddNode(node)


def fill_table(node: Any, colours: list[tuple[str, tuple[float, float, float, float]]]) -> None:
    """Give a colour table these names and colours and no others."""
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colours))
    for index, (name, colour) in enumerate(colours):
        node.SetColor(index, name, *colour)
    node.GetLookupTable().SetRange(0, max(len(colours) - 1, 0))
