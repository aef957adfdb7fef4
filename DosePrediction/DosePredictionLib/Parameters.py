"""What the user has set, kept in a node of the scene so that a saved scene restores the panel."""

from __future__ import annotations

from typing import Any

from dose_prediction.case import Beam, CaseError, equispaced_beams, parse_beams

CT_ROLE = "CT"
SEGMENTATION_ROLE = "Segmentation"
DOSE_ROLE = "Dose"
GOALS_ROLE = "Goals"

DEVICES = ("auto", "cpu", "cuda")
DEFAULTS = {"BeamsFrom": "count", "BeamCount": "9", "StartAngle": "0", "Angles": "0, 40, ..., 320", "Device": "auto", "Samples": "0", "Seed": "0"}


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
        """The dose volume of the last prediction."""
        return self.node.GetNodeReference(DOSE_ROLE)

    @dose.setter
    def dose(self, volume_node: Any) -> None:
        self._set_reference(DOSE_ROLE, volume_node)

    @property
    def goals(self) -> Any:
        """The table of clinical goals of the last prediction."""
        return self.node.GetNodeReference(GOALS_ROLE)

    @goals.setter
    def goals(self, table_node: Any) -> None:
        self._set_reference(GOALS_ROLE, table_node)

    @property
    def beams_from_angles(self) -> bool:
        """True where the beams are a list of gantry angles, false where they are a number of equispaced ones."""
        return self._text("BeamsFrom") == "angles"

    @beams_from_angles.setter
    def beams_from_angles(self, value: bool) -> None:
        self._set_text("BeamsFrom", "angles" if value else "count")

    @property
    def beam_count(self) -> int:
        return int(self._text("BeamCount"))

    @beam_count.setter
    def beam_count(self, value: int) -> None:
        self._set_text("BeamCount", str(int(value)))

    @property
    def start_angle_deg(self) -> float:
        return float(self._text("StartAngle"))

    @start_angle_deg.setter
    def start_angle_deg(self, value: float) -> None:
        self._set_text("StartAngle", f"{float(value):g}")

    @property
    def angles(self) -> str:
        return self._text("Angles")

    @angles.setter
    def angles(self, value: str) -> None:
        self._set_text("Angles", value)

    @property
    def beams(self) -> tuple[Beam, ...]:
        """The beams that are asked for; CaseError where the list of angles cannot be read."""
        return parse_beams(self.angles) if self.beams_from_angles else equispaced_beams(self.beam_count, self.start_angle_deg)

    @property
    def beams_problem(self) -> str:
        """Why the beams cannot be read, as a sentence; empty if they can."""
        try:
            _beams = self.beams
        except CaseError as error:
            return str(error)
        return ""

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

    def _text(self, name: str) -> str:
        return self.node.GetParameter(name) or DEFAULTS[name]

    def _set_text(self, name: str, value: str) -> None:
        if value != self._text(name):
            self.node.SetParameter(name, value)

    def _set_reference(self, role: str, node: Any) -> None:
        self.node.SetNodeReferenceID(role, node.GetID() if node else None)
