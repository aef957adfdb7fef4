"""Charts in the view that a layout may have for them."""

from __future__ import annotations

from typing import Any

import slicer


def has_chart_view() -> bool:
    """True where the layout that the user has chosen shows a chart."""
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement()
    return bool(slicer.modules.plots.logic().GetLayoutWithPlot(layout) == layout)


def show_chart(chart: Any) -> None:
    """Show a chart, in a layout that has room for one; nothing without a chart."""
    if chart is not None:
        slicer.modules.plots.logic().ShowChartInLayout(chart)
