"""What the user has set, kept in a node of the scene so that a saved scene restores the panel."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from dose_prediction.case import Arc, Beam, CaseError, equispaced_beams, parse_beams

from .GoalSets import DEFAULT_SET, PlanGoals, goals_as_text, goals_from_text
from .IsocentrePoint import ISOCENTRE_ROLE, Point, point_mm
from .PlanBeams import PlanBeam, all_on, beams_as_text, beams_from_text, energies_problem
from .Results import goals_of

CT_ROLE = "CT"
SEGMENTATION_ROLE = "Segmentation"
DOSE_ROLE = "Dose"

DEVICES = ("auto", "cpu", "cuda", "mps")
DEFAULTS = {
    "BeamsFrom": "count",
    "BeamCount": "9",
    "StartAngle": "0",
    "Angles": "0, 40, ..., 320",
    "Device": "auto",
    "Samples": "0",
    "Seed": "0",
    "ModelFolder": "",
    "ShowBeams": "0",
    "GoalSet": DEFAULT_SET,
    "Fractions": "0",
}


class Parameters:
    """Getters and setters over one `vtkMRMLScriptedModuleNode`; what is not set has the value in `DEFAULTS`."""

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def ct(self) -> Any:
        return self.node.GetNodeReference(CT_ROLE)

    @ct.setter
    def ct(self, volume_node: Any) -> None:
        self._set_reference(CT_ROLE, volume_node)

    @property
    def segmentation(self) -> Any:
        return self.node.GetNodeReference(SEGMENTATION_ROLE)

    @segmentation.setter
    def segmentation(self, segmentation_node: Any) -> None:
        self._set_reference(SEGMENTATION_ROLE, segmentation_node)

    @property
    def dose(self) -> Any:
        """The predicted dose that is shown: the last one, unless the user has chosen another."""
        return self.node.GetNodeReference(DOSE_ROLE)

    @dose.setter
    def dose(self, volume_node: Any) -> None:
        self._set_reference(DOSE_ROLE, volume_node)

    @property
    def goals(self) -> Any:
        """The table of clinical goals of the dose that is shown."""
        return goals_of(self.dose)

    @property
    def plan_beams(self) -> tuple[PlanBeam, ...]:
        """All beams, those that are off, too; CaseError where they cannot be read."""
        text = self.node.GetParameter("Beams")
        return beams_from_text(text) if text else all_on(self._beams_of_older_scenes())

    @plan_beams.setter
    def plan_beams(self, beams: tuple[PlanBeam, ...]) -> None:
        self.node.SetParameter("Beams", beams_as_text(beams))

    @property
    def beams(self) -> tuple[Beam | Arc, ...]:
        """The beams that are on; CaseError where they cannot be read."""
        return tuple(one.beam for one in self.plan_beams if one.is_on)

    @property
    def beams_problem(self) -> str:
        """Why there are no beams to plan with, as a sentence; empty if there are."""
        try:
            beams = self.plan_beams
        except CaseError as error:
            return str(error)
        if any(one.is_on for one in beams):
            return energies_problem(beams)
        return _("Every beam is switched off; switch one on.") if beams else _("The plan has no beam; add one, or choose a template.")

    @property
    def isocentre_point(self) -> Any:
        """The markups node with the isocentre; None where it is the centre of the targets."""
        return self.node.GetNodeReference(ISOCENTRE_ROLE)

    @isocentre_point.setter
    def isocentre_point(self, markups_node: Any) -> None:
        self._set_reference(ISOCENTRE_ROLE, markups_node)

    @property
    def isocentre_mm(self) -> Point | None:
        """Where the user has put the isocentre (LPS mm); None for the centre of the targets."""
        return point_mm(self.isocentre_point)

    @property
    def plan_goals(self) -> PlanGoals:
        """The clinical goals that are chosen, those that are off, too; CaseError where they cannot be read."""
        return goals_from_text(self._text("GoalSet"))

    @plan_goals.setter
    def plan_goals(self, goals: PlanGoals) -> None:
        self._set_text("GoalSet", goals_as_text(goals))

    @property
    def goals_problem(self) -> str:
        """Why there are no clinical goals to judge by, as a sentence; empty if they can be read."""
        try:
            _goals = self.plan_goals
        except CaseError as error:
            return str(error)
        return ""

    @property
    def fractions(self) -> int:
        """In how many fractions the doses are given; 0 where that is not said."""
        return int(self._text("Fractions"))

    @fractions.setter
    def fractions(self, value: int) -> None:
        self._set_text("Fractions", str(int(value)))

    @property
    def shows_beams(self) -> bool:
        """True where the beams are drawn in the views."""
        return self._text("ShowBeams") == "1"

    @shows_beams.setter
    def shows_beams(self, value: bool) -> None:
        self._set_text("ShowBeams", "1" if value else "0")

    def _beams_of_older_scenes(self) -> tuple[Beam | Arc, ...]:
        """Beams as they were kept before they had a table: a number of equispaced ones, or a list of angles."""
        if self._text("BeamsFrom") == "angles":
            return parse_beams(self._text("Angles"))
        return equispaced_beams(int(self._text("BeamCount")), float(self._text("StartAngle")))

    @property
    def device(self) -> str:
        return self._text("Device")

    @device.setter
    def device(self, value: str) -> None:
        self._set_text("Device", value)

    @property
    def samples(self) -> int:
        return int(self._text("Samples"))

    @samples.setter
    def samples(self, value: int) -> None:
        self._set_text("Samples", str(int(value)))

    @property
    def seed(self) -> int:
        return int(self._text("Seed"))

    @seed.setter
    def seed(self, value: int) -> None:
        self._set_text("Seed", str(int(value)))

    @property
    def model_folder(self) -> str:
        """The folder of the model that predicts; empty for the released one."""
        return self._text("ModelFolder")

    @model_folder.setter
    def model_folder(self, value: str) -> None:
        self._set_text("ModelFolder", value)

    def _text(self, name: str) -> str:
        return self.node.GetParameter(name) or DEFAULTS[name]

    def _set_text(self, name: str, value: str) -> None:
        if value != self._text(name):
            self.node.SetParameter(name, value)

    def _set_reference(self, role: str, node: Any) -> None:
        self.node.SetNodeReferenceID(role, node.GetID() if node else None)
