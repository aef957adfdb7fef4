"""The goals and dose-volume histograms of a predicted dose as tables of text, for files and reports."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray

from dose_prediction.report import file_stem, write_dvh_csv

from .DvhTables import DVH_ATTRIBUTE, chart_of

Table = list[list[str]]


def cells_of(table_node: Any) -> Table:
    """Header and rows of a table node as texts; numbers with a decimal place, columns of yes or no left out."""
    table = table_node.GetTable()
    columns = [table.GetColumn(index) for index in range(table.GetNumberOfColumns()) if not table.GetColumn(index).IsA("vtkBitArray")]
    rows = [[_text(column.GetVariantValue(row)) for column in columns] for row in range(table.GetNumberOfRows())]
    return [[column.GetName() for column in columns], *rows]


def dvh_series(dose_node: Any) -> list[Any]:
    """The plot series of the dose's own histograms, one a structure."""
    chart = chart_of(dose_node)
    if chart is None:
        return []
    series = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    return [one for one in series if one.GetTableNode() is not None and one.GetTableNode().GetAttribute(DVH_ATTRIBUTE)]


def dvh_curve(series: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Doses in Gy and volumes in percent of one structure."""
    return slicer.util.arrayFromTableColumn(series.GetTableNode(), "Dose"), slicer.util.arrayFromTableColumn(series.GetTableNode(), "Volume")


def write_tables(folder: Path, dose_node: Any, goals_node: Any) -> None:
    """Write `<dose>_dvh.csv` and `<dose>_goals.csv` into a folder that is there."""
    stem = file_stem(dose_node.GetName())
    series = dvh_series(dose_node)
    if series:
        axis_gy, _volume = dvh_curve(series[0])
        write_dvh_csv(folder / f"{stem}_dvh.csv", axis_gy, {one.GetName(): dvh_curve(one)[1] for one in series})
    if goals_node is not None:
        with (folder / f"{stem}_goals.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(cells_of(goals_node))


def _text(value: Any) -> str:
    return f"{value.ToDouble():.1f}" if value.IsFloat() or value.IsDouble() else str(value.ToString())
