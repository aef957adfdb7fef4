"""How the user wants results shown, kept in the parameter node beside what the prediction is made from."""

from __future__ import annotations

from typing import Any

from .Isodose import DEFAULT_LEVELS, IsodoseLevel, levels_as_text, levels_from_text

DOSE, SPREAD, DIFFERENCE, NOTHING = OVERLAYS = ("dose", "spread", "difference", "none")
DEFAULTS = {"Overlay": DOSE, "IsodoseLevels": levels_as_text(DEFAULT_LEVELS), "IsodoseLines": "1", "IsodoseSurfaces": "0", "AutoUpdate": "0"}


class DisplaySettings:
    """Getters and setters over the parameter node; none of them changes a dose."""

    def __init__(self, node: Any) -> None:
        self.node = node

    @property
    def overlay(self) -> str:
        """What lies over the CT: one of `OVERLAYS`."""
        return self._text("Overlay")

    @overlay.setter
    def overlay(self, value: str) -> None:
        self._set_text("Overlay", value)

    @property
    def isodose_levels(self) -> tuple[IsodoseLevel, ...]:
        return levels_from_text(self._text("IsodoseLevels"))

    @isodose_levels.setter
    def isodose_levels(self, value: tuple[IsodoseLevel, ...]) -> None:
        self._set_text("IsodoseLevels", levels_as_text(value))

    @property
    def has_lines(self) -> bool:
        """True where isodose lines are drawn in the slices."""
        return self._text("IsodoseLines") == "1"

    @has_lines.setter
    def has_lines(self, value: bool) -> None:
        self._set_text("IsodoseLines", "1" if value else "0")

    @property
    def has_surfaces(self) -> bool:
        """True where isodose surfaces are drawn in 3-D."""
        return self._text("IsodoseSurfaces") == "1"

    @has_surfaces.setter
    def has_surfaces(self, value: bool) -> None:
        self._set_text("IsodoseSurfaces", "1" if value else "0")

    @property
    def is_auto_update(self) -> bool:
        """True where a stale result is to be predicted again without being asked for."""
        return self._text("AutoUpdate") == "1"

    @is_auto_update.setter
    def is_auto_update(self, value: bool) -> None:
        self._set_text("AutoUpdate", "1" if value else "0")

    def _text(self, name: str) -> str:
        return self.node.GetParameter(name) or DEFAULTS[name]

    def _set_text(self, name: str, value: str) -> None:
        if value != self._text(name):
            self.node.SetParameter(name, value)
