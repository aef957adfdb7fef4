"""What every section of the panel is: a part with its own file, its own `.ui` and its own life, kept in step by the panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import slicer
from numpy.typing import NDArray

from .Parameters import Parameters
from .SegmentMeasures import SegmentMeasure
from .SegmentRoles import SegmentRow

UI_FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "UI"


@dataclass(frozen=True, eq=False)
class PanelView:
    """What the panel shows at this moment; `parameters` is None while the panel is not in use.

    As far as it is known by now: `measures` by segment id, and `targets_mm`, points (n, 3) in LPS all over the targets.
    """

    parameters: Parameters | None
    rows: tuple[SegmentRow, ...]
    is_idle: bool
    is_figure_awaited: bool
    is_closing: bool  # the scene: work that is under way must not reach its nodes any more
    measures: Mapping[str, SegmentMeasure]
    targets_mm: NDArray[np.float64] | None


class Section(Protocol):
    """Sections change the parameter node and the scene, never each other; the panel hears of it and shows all sections anew."""

    def show(self, view: PanelView) -> None:
        """Show what the scene holds; must not change it."""

    def clean_up(self) -> None:
        """Let go of everything observed or running."""


def say(label: Any, text: str) -> None:
    """Give a label, or a button, its text; without one it takes no room."""
    label.text = text
    label.visible = bool(text)


def load_section(container: Any, file_name: str) -> Any:
    """Put the widgets of a `.ui` file into the layout of `container`; returns them by name."""
    widget = slicer.util.loadUI(str(UI_FOLDER / file_name))
    container.layout().addWidget(widget)
    widget.setMRMLScene(slicer.mrmlScene)
    return slicer.util.childWidgetVariables(widget)
