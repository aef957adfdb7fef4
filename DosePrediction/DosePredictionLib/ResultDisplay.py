"""A result in the views: the overlay over the CT with its legend, and the isodoses."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import slicer
from slicer.i18n import tr as _

from .DisplaySettings import DIFFERENCE, DOSE, NOTHING, SPREAD, DisplaySettings
from .DoseNode import DOSE_VOLUME_ATTRIBUTE, prescription_of
from .Isodose import isodose_model, put_isodoses, show_isodoses
from .Results import results, spread_of
from .SliceDisplay import hide_legend, show_dose_legend, show_legend, show_overlay

DIFFERENCE_ROLE = "Difference"
LABELS = 5  # of the legend of spread and difference: both ends, and 0 in the middle of a difference


def overlay_node(settings: DisplaySettings, dose_node: Any) -> Any:
    """The volume that the user wants over the CT; the dose where there is no such volume, None where nothing is wanted."""
    wanted = {
        DOSE: dose_node,
        SPREAD: spread_of(dose_node),
        DIFFERENCE: settings.node.GetNodeReference(DIFFERENCE_ROLE),
        NOTHING: None,
    }[settings.overlay]
    return dose_node if wanted is None and settings.overlay != NOTHING else wanted


def display_result(settings: DisplaySettings, ct_node: Any, dose_node: Any) -> Generator[float, None, None]:
    """Show a result as the settings say, and the isodoses of no other.  Yields the fraction done."""
    overlay = overlay_node(settings, dose_node)
    show_overlay(ct_node, overlay)
    for volume in _overlays(settings):
        if volume is not overlay:
            hide_legend(volume)
    if overlay is not None:
        _show_legend(overlay, settings.overlay if overlay is not dose_node else DOSE)
    yield 0.2
    for other in results():
        if other is not dose_node:
            show_isodoses(other, False, False)
    prescription_gy = prescription_of(dose_node)
    if prescription_gy is not None and (settings.has_lines or settings.has_surfaces or isodose_model(dose_node) is not None):
        steps = put_isodoses(dose_node, prescription_gy, settings.isodose_levels)
        for fraction in steps:
            yield 0.2 + 0.8 * fraction
        show_isodoses(dose_node, settings.has_lines, settings.has_surfaces)


def _show_legend(volume: Any, overlay: str) -> None:
    if overlay == DOSE:
        show_dose_legend(volume)
    else:
        show_legend(volume, _("Spread") if overlay == SPREAD else _("Change"), "%.1f Gy", LABELS)


def _overlays(settings: DisplaySettings) -> list[Any]:
    """Every volume that this module lays over a CT, doses of other origin among them."""
    doses = [node for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") if node.GetAttribute(DOSE_VOLUME_ATTRIBUTE)]
    found = [*doses, *(spread_of(dose) for dose in results()), settings.node.GetNodeReference(DIFFERENCE_ROLE)]
    return [node for node in found if node is not None]
