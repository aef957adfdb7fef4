"""The dose over the CT in the slice views, with its legend, and the views on the target."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

WASH_OPACITY = 0.5
# The display spans 0 to 110 % of the prescription: one label every 10 %, the prescription among them.
LEGEND_LABELS = 12


def show_dose_wash(ct_node: Any, dose_node: Any) -> None:
    """Lay the dose over the CT in every slice view; an opacity that the user has chosen is kept."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(ct_node.GetID())
        composite.SetForegroundVolumeID(dose_node.GetID())
        if composite.GetForegroundOpacity() == 0.0:
            composite.SetForegroundOpacity(WASH_OPACITY)


def show_legend(dose_node: Any) -> None:
    """A colour legend in Gy in the slice views, where the dose has none yet."""
    colours = slicer.modules.colors.logic()
    if colours.GetColorLegendDisplayNode(dose_node) is not None:
        return
    legend = colours.AddDefaultColorLegendDisplayNode(dose_node)
    legend.SetTitleText(_("Gy"))
    legend.SetLabelFormat("%.0f")
    legend.SetNumberOfLabels(LEGEND_LABELS)
    legend.SetSize(0.09, 0.6)
    legend.SetPosition(0.98, 0.04)
    for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        text.SetFontSize(14)
        text.SetFontFamilyToArial()


def centre_views(point_ras: tuple[float, float, float]) -> None:
    """Move every slice view to a point in RAS mm."""
    for slice_node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        slice_node.JumpSliceByCentering(*point_ras)
