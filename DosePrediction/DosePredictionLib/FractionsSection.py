"""The panel's fractions: their number, or the dose of each in the target of the highest prescription."""

from __future__ import annotations

from typing import Any

from dose_prediction.case import RoleKind

from .Parameters import Parameters
from .Section import PanelView, load_section


class FractionsSection:
    """Shows and changes `Parameters.fractions`; 0 where the user has not said how many."""

    def __init__(self, container: Any) -> None:
        self.ui = load_section(container, "Fractions.ui")
        self._parameters: Parameters | None = None
        self._highest_gy = 0.0
        self._is_updating = False
        self.ui.fractionsSpinBox.valueChanged.connect(self._on_fractions)
        self.ui.fractionDoseSpinBox.editingFinished.connect(self._on_fraction_dose)

    def show(self, view: PanelView) -> None:
        self._parameters = view.parameters
        self._highest_gy = max((row.role.prescription_gy or 0.0 for row in view.rows if row.kind is RoleKind.TARGET), default=0.0)
        fractions = view.parameters.fractions if view.parameters else 0
        self._is_updating = True
        self.ui.fractionsSpinBox.value = fractions
        self.ui.fractionDoseSpinBox.value = self._highest_gy / fractions if fractions else 0.0
        self.ui.fractionDoseSpinBox.enabled = self._highest_gy > 0
        self._is_updating = False

    def clean_up(self) -> None:
        self._parameters = None

    def _on_fractions(self) -> None:
        if self._parameters is not None and not self._is_updating:
            self._parameters.fractions = self.ui.fractionsSpinBox.value

    def _on_fraction_dose(self) -> None:
        """As many fractions as come nearest to the dose; the box then shows what that makes."""
        wanted_gy = self.ui.fractionDoseSpinBox.value
        if self._parameters is None or self._is_updating:
            return
        most = self.ui.fractionsSpinBox.maximum
        self._parameters.fractions = min(most, max(1, round(self._highest_gy / wanted_gy))) if wanted_gy else 0
        if self._parameters.fractions:
            self.ui.fractionDoseSpinBox.value = self._highest_gy / self._parameters.fractions
