"""The bands of a dose-volume chart: within one lie the histograms of most of the sampled plans."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk

PERCENTILES = (10, 90)
# Of a band's table, with the segment that it is of.
BAND_ATTRIBUTE = "DosePrediction.DvhBand"
# A chart has lines only: one that goes up and down between the limits at every dose looks like a tinted area.
LINE_WIDTH = 2.0
OPACITY = 0.15


def put_band(segment_id: str, dose_gy: NDArray[np.float64], band_percent: NDArray[np.float64]) -> Any:
    """A table of a band, whose limits (2, doses) stand by turns in its rows."""
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(f"{segment_id}_DvhBand"))
    table.SetAttribute(BAND_ATTRIBUTE, segment_id)
    with slicer.util.NodeModify(table):
        for name, values in (("Dose", np.repeat(dose_gy, 2)), ("Volume", band_percent.T.ravel())):
            column = numpy_to_vtk(values, deep=True)
            column.SetName(name)
            table.AddColumn(column)
    return table


def tint(series: Any) -> None:
    """Make the line of a band's table a tint; it has no name, so that the legend names each structure once."""
    series.SetLineWidth(LINE_WIDTH)
    series.SetOpacity(OPACITY)
    series.SetName("")


def take_names_from_bands() -> None:
    """A loaded scene gives every series a name; bands go without."""
    for series in slicer.util.getNodesByClass("vtkMRMLPlotSeriesNode"):
        if is_band(series) and series.GetName():
            series.SetName("")


def is_band(series: Any) -> bool:
    return series.GetTableNode() is not None and bool(series.GetTableNode().GetAttribute(BAND_ATTRIBUTE))


def bands_in(chart: Any) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Doses in Gy (n,) and limits in percent (2, n) of every band of a chart, by segment."""
    tables = [series.GetTableNode() for series in map(chart.GetNthPlotSeriesNode, range(chart.GetNumberOfPlotSeriesNodes())) if is_band(series)]
    columns = {table.GetAttribute(BAND_ATTRIBUTE): [slicer.util.arrayFromTableColumn(table, name) for name in ("Dose", "Volume")] for table in tables}
    return {segment_id: (doses[::2], volumes.reshape(-1, 2).T) for segment_id, (doses, volumes) in columns.items()}
