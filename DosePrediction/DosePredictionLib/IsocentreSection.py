"""The panel's isocentre, and the beams that are drawn towards it."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from dose_prediction.case import CaseError

from .BeamDrawing import draw_beams, drawn_beams, remove_drawn_beams
from .IsocentrePoint import add_isocentre_point, isocentre_problem, point_in_words
from .NodeRemoval import remove_nodes
from .Parameters import Parameters
from .PlanBeams import beam_label
from .SceneReader import volume_problem
from .Section import PanelView, load_section
from .StructureTable import PREVENTS

CENTRE, POINT = range(2)


class IsocentreSection:
    """Shows and changes `Parameters.isocentre_point` and `Parameters.shows_beams`; draws the beams in a turn of the event loop of their own."""

    def __init__(self, container: Any) -> None:
        self.ui = ui = load_section(container, "Isocentre.ui")
        self._parameters: Parameters | None = None
        self._targets_mm: Any = None
        self._drawn: Any = None
        self._is_drawing_due = False
        ui.isocentreComboBox.connect("activated(int)", self._on_chosen)
        ui.showBeamsCheckBox.connect("clicked(bool)", self._on_show_beams)

    def show(self, view: PanelView) -> None:
        self._parameters, self._targets_mm = view.parameters, view.targets_mm
        if view.parameters is None:
            return
        at_mm, point = self._isocentre_mm(), view.parameters.isocentre_mm
        self.ui.isocentreComboBox.currentIndex = CENTRE if point is None else POINT
        self.ui.isocentreComboBox.enabled = at_mm is not None
        ct = view.parameters.ct
        problem = isocentre_problem(point, ct) if ct is not None and not volume_problem(ct) else ""
        self.ui.isocentreLabel.text = f"{PREVENTS} {problem}" if problem else "" if at_mm is None else point_in_words(at_mm)
        self.ui.showBeamsCheckBox.checked = view.parameters.shows_beams
        if not self._is_drawing_due:
            self._is_drawing_due = True
            qt.QTimer.singleShot(0, self._draw)

    def clean_up(self) -> None:
        self._parameters = self._targets_mm = None
        remove_drawn_beams()

    def _isocentre_mm(self) -> tuple[float, float, float] | None:
        """The point, else the centre of the targets; None while there is neither."""
        if self._parameters is not None and self._parameters.isocentre_mm is not None:
            return self._parameters.isocentre_mm
        if self._targets_mm is None:
            return None
        left, posterior, superior = self._targets_mm.mean(axis=0)
        return float(left), float(posterior), float(superior)

    def _on_chosen(self, choice: int) -> None:
        parameters, at_mm = self._parameters, self._isocentre_mm()
        if parameters is None or at_mm is None:
            return
        if choice == POINT and parameters.isocentre_point is None:
            parameters.isocentre_point = add_isocentre_point(at_mm)
        elif choice == CENTRE and parameters.isocentre_point is not None:
            remove_nodes((parameters.isocentre_point.GetDisplayNode(), parameters.isocentre_point))

    def _on_show_beams(self, is_shown: bool) -> None:
        if self._parameters is not None:
            self._parameters.shows_beams = is_shown

    def _draw(self) -> None:
        """Draw what there is to draw, unless just that is drawn already."""
        self._is_drawing_due = False
        if self._parameters is None or slicer.mrmlScene.IsClosing():
            return
        wanted = self._beams_to_draw()
        if wanted is None:
            if drawn_beams():
                remove_drawn_beams()
        elif wanted != self._drawn or len(drawn_beams()) != len(wanted[0]):
            beams, isocentre_mm, _state = wanted
            draw_beams(beams, isocentre_mm, self._targets_mm)
        self._drawn = wanted

    def _beams_to_draw(self) -> Any:
        """Beams with their names, isocentre, and what the apertures follow; None where none are wanted or there is nothing to aim at."""
        at_mm = self._isocentre_mm()
        if self._parameters is None or not self._parameters.shows_beams or at_mm is None or self._targets_mm is None:
            return None
        try:
            beams = self._parameters.plan_beams
        except CaseError:
            return None
        named = tuple(
            (_("Beam: {name}").format(name=beam_label(number, one.beam)), one.beam) for number, one in enumerate(beams, start=1) if one.is_on
        )
        return named, at_mm, self._targets_mm.tobytes()
