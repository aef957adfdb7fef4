"""The panel's beams: their table, and the quick ways to fill it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from slicer.i18n import tr as _

from dose_prediction.case import LEAF_WIDTHS_MM, TEMPLATES, Beam, CaseError, check_beams, equispaced_beams, parse_beams

from .BeamTable import BeamTable
from .CoreWords import translated
from .Parameters import Parameters
from .PlanBeams import ENERGIES, PlanBeam, all_on, as_arc, energy_of, energy_text, of_the_same_machine, with_energy
from .Section import PanelView, load_section, say
from .StructureTable import DOUBTFUL, PREVENTS


class BeamsSection:
    """Shows and changes `Parameters.plan_beams`; what is refused is said in `beamsLabel` until the next change."""

    def __init__(self, container: Any) -> None:
        self.ui = ui = load_section(container, "Beams.ui")
        self._parameters: Parameters | None = None
        self._refused = ""
        self._is_updating = False
        self._table = BeamTable(ui.beamsTable)
        self._table.edited.connect(self._set)
        self._table.refused.connect(self._refuse)
        ui.templateComboBox.addItem(_("Template…"))
        for template in TEMPLATES:
            ui.templateComboBox.addItem(translated(template.name))
        ui.energyComboBox.addItem(_("Energy of all…"))
        for energy in ENERGIES:
            ui.energyComboBox.addItem(energy_text(energy))
        for width in LEAF_WIDTHS_MM:
            ui.leafWidthComboBox.addItem(_("{width} mm leaves").format(width=f"{width:g}"))
        ui.templateComboBox.connect("activated(int)", self._on_template)
        ui.energyComboBox.connect("activated(int)", self._on_energy)
        ui.leafWidthComboBox.connect("activated(int)", self._on_leaf_width)
        ui.equispacedButton.clicked.connect(self._on_equispaced)
        ui.anglesButton.clicked.connect(self._on_angles)
        ui.anglesLineEdit.returnPressed.connect(self._on_angles)
        ui.addFieldButton.clicked.connect(lambda: self._add(Beam(0.0)))
        ui.addArcButton.clicked.connect(lambda: self._add(as_arc(Beam(0.0), is_clockwise=True)))
        ui.duplicateButton.clicked.connect(self._on_duplicate)
        ui.removeButton.clicked.connect(self._on_remove)

    def show(self, view: PanelView) -> None:
        if view.parameters is None or self._parameters is None or view.parameters.node is not self._parameters.node:
            self._refused = ""
        self._parameters = view.parameters
        beams = self._beams()
        self._table.show(beams)
        self._show_energy(beams)
        self.ui.leafWidthComboBox.currentIndex = LEAF_WIDTHS_MM.index(beams[0].beam.leaf_width_mm) if beams else 0
        self.ui.leafWidthComboBox.enabled = bool(beams)
        say(self.ui.beamsLabel, self._sentences(beams))
        self.ui.duplicateButton.enabled = self.ui.removeButton.enabled = bool(beams)

    def clean_up(self) -> None:
        self._parameters = None

    def _beams(self) -> tuple[PlanBeam, ...]:
        """None where the scene's cannot be read, which `beams_problem` tells."""
        if self._parameters is None:
            return ()
        try:
            return self._parameters.plan_beams
        except CaseError:
            return ()

    def _show_energy(self, beams: tuple[PlanBeam, ...]) -> None:
        """The energy of all beams; "Energy of all…" where they differ, or have one without beam data."""
        energies = {energy_of(one.beam) for one in beams}
        index = self.ui.energyComboBox.findText(energy_text(energies.pop())) if len(energies) == 1 else 0
        self.ui.energyComboBox.currentIndex = max(index, 0)

    def _sentences(self, beams: tuple[PlanBeam, ...]) -> str:
        """What was refused, what is missing, and what should be looked at twice."""
        problem = self._parameters.beams_problem if self._parameters else ""
        lines = [f"{PREVENTS} {sentence}" for sentence in (self._refused, problem) if sentence]
        lines += [f"{DOUBTFUL} {sentence}" for sentence in check_beams(tuple(one.beam for one in beams if one.is_on))]
        return "\n".join(lines)

    def _set(self, beams: tuple[PlanBeam, ...]) -> None:
        self._refused = ""
        if self._parameters is not None:
            self._parameters.plan_beams = beams

    def _refuse(self, sentence: str) -> None:
        self._refused = sentence
        say(self.ui.beamsLabel, self._sentences(self._beams()))

    def _try(self, beams: Callable[[], tuple[Any, ...]]) -> None:
        """Take these beams in place of all, with energy and leaves of the first; or say why not."""
        try:
            found = beams()
        except CaseError as error:
            self._refuse(str(error))
            return
        self._set(all_on(tuple(self._like_the_first(beam) for beam in found)))

    def _like_the_first(self, beam: Any) -> Any:
        present = self._beams()
        return of_the_same_machine(beam, present[0].beam) if present else beam

    def _on_template(self, index: int) -> None:
        if index > 0:
            self._try(lambda: TEMPLATES[index - 1].beams)
        self.ui.templateComboBox.currentIndex = 0

    def _on_equispaced(self) -> None:
        self._try(lambda: equispaced_beams(self.ui.beamCountSpinBox.value, self.ui.startAngleSpinBox.value))

    def _on_angles(self) -> None:
        self._try(lambda: parse_beams(self.ui.anglesLineEdit.text))

    def _on_energy(self, index: int) -> None:
        if index > 0:
            self._set(tuple(replace(one, beam=with_energy(one.beam, ENERGIES[index - 1])) for one in self._beams()))

    def _on_leaf_width(self, index: int) -> None:
        self._set(tuple(replace(one, beam=replace(one.beam, leaf_width_mm=LEAF_WIDTHS_MM[index])) for one in self._beams()))

    def _add(self, beam: Any) -> None:
        beams = self._beams()
        self._set((*beams, PlanBeam(self._like_the_first(beam))))
        self._table.show(self._beams())
        self._table.select(len(beams))

    def _on_duplicate(self) -> None:
        beams, row = self._beams(), self._chosen()
        copy = replace(beams[row], beam=replace(beams[row].beam, name=""))
        self._set((*beams[: row + 1], copy, *beams[row + 1 :]))
        self._table.show(self._beams())
        self._table.select(row + 1)

    def _on_remove(self) -> None:
        beams, row = self._beams(), self._chosen()
        self._set((*beams[:row], *beams[row + 1 :]))

    def _chosen(self) -> int:
        """The row that is selected, the last one if none is."""
        return self._table.current if self._table.current >= 0 else len(self._beams()) - 1
