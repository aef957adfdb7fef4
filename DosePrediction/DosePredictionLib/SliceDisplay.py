"""The dose over the CT in the slice views, with its legend, and the views on the target."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

WASH_OPACITY = 0.5
# The display spans 0 to 110 % of the prescription: one label every 10 %, the prescription among them.
DOSE_LABELS = 12
# In parts of a view, the position of the room that is left: on the right, above the lines with the names of the volumes, which may be long.
LEGEND_SIZE, LEGEND_POSITION = (0.12, 0.6), (0.98, 0.35)


def show_overlay(ct_node: Any, overlay_node: Any) -> None:
    """Lay a volume, or nothing, over the CT in every slice view; an opacity that the user has chosen is kept."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(ct_node.GetID())
        composite.SetForegroundVolumeID(overlay_node.GetID() if overlay_node is not None else None)
        if composite.GetForegroundOpacity() == 0.0:
            composite.SetForegroundOpacity(WASH_OPACITY)


def show_dose_legend(dose_node: Any) -> None:
    """The legend of a dose wash, in Gy."""
    show_legend(dose_node, _("Dose"), "%.0f Gy", DOSE_LABELS)


def show_legend(volume_node: Any, title: str, label: str, labels: int) -> None:
    """A colour legend in the slice views with so many labels, each a number in the format `label`; one that the volume has is kept as it is."""
    colours = slicer.modules.colors.logic()
    legend = colours.GetColorLegendDisplayNode(volume_node)
    if legend is not None:
        legend.SetVisibility(True)
        return
    legend = colours.AddDefaultColorLegendDisplayNode(volume_node)
    legend.SetTitleText(title)
    legend.SetLabelFormat(label)
    legend.SetNumberOfLabels(labels)
    legend.SetSize(*LEGEND_SIZE)
    legend.SetPosition(*LEGEND_POSITION)
    for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        text.SetFontSize(14)
        text.SetFontFamilyToArial()
        text.ShadowOn()  # so that it is read over bone as well


def hide_legend(volume_node: Any) -> None:
    """Take the volume's colour legend out of the views."""
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(volume_node)
    if legend is not None:
        legend.SetVisibility(False)


def centre_views(point_ras: tuple[float, float, float]) -> None:
    """Move every slice view to a point in RAS mm."""
    for slice_node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        slice_node.JumpSliceByCentering(*point_ras)
