"""Pictures for a report: what the views show, and a chart of dose-volume histograms, each as the bytes of a PNG file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util.numpy_support import vtk_to_numpy

from .DvhBands import bands_in
from .DvhTables import PREFIX, chart_of
from .ResultTables import dvh_curve, dvh_series

SLICE_VIEWS = ("Red", "Green", "Yellow")
SMALLEST_VIEW = 64  # pixels; a view that was never shown has next to none
CHART_SIZE = (1380, 520)  # pixels, twice as many as it has on the page
CHART_MARGIN = (90, 16, 300, 66)  # left, top, right (for the legend), bottom, in pixels
CHART_TEXT = 20  # pixels
LEGEND_STEP = 30  # pixels
BAND_OPACITY = 0.18
GRID, TEXT = qt.QColor(215, 215, 215), qt.QColor(40, 40, 40)


def view_pictures() -> Iterator[bytes]:
    """The slice views and the first 3-D view, as each is when its turn comes."""
    manager = slicer.app.layoutManager()
    widgets = [manager.sliceWidget(name) for name in SLICE_VIEWS]
    views = [widget.sliceView() for widget in widgets if widget is not None]
    if manager.threeDViewCount:
        views.append(manager.threeDWidget(0).threeDView())
    return filter(None, map(_picture_of, views))


def _picture_of(view: Any) -> bytes:
    view.forceRender()
    window = view.renderWindow()
    if min(window.GetSize()) < SMALLEST_VIEW:
        return b""
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.ReadFrontBufferOff()
    writer = vtk.vtkPNGWriter()
    writer.SetInputConnection(grabber.GetOutputPort())
    writer.WriteToMemoryOn()
    writer.Write()
    return bytes(vtk_to_numpy(writer.GetResult()))


def dvh_picture(dose_node: Any) -> bytes:
    """The histograms of the dose and their bands in the colours of the structures, with a legend; nothing where there are none."""
    series = dvh_series(dose_node)
    if not series:
        return b""
    image = qt.QImage(CHART_SIZE[0], CHART_SIZE[1], qt.QImage.Format_RGB32)
    image.fill(qt.QColor(255, 255, 255))
    painter = qt.QPainter(image)
    painter.setRenderHint(qt.QPainter.Antialiasing, True)
    _draw_chart(painter, series, bands_in(chart_of(dose_node)))
    painter.end()
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
        path = Path(folder) / "chart.png"
        image.save(str(path), "PNG")
        return path.read_bytes()


def _draw_chart(painter: Any, series: list[Any], bands: Mapping[str, Any]) -> None:
    left, top, right, bottom = CHART_MARGIN
    width, height = CHART_SIZE[0] - left - right, CHART_SIZE[1] - top - bottom
    highest_gy = max(float(dvh_curve(one)[0][-1]) for one in series)
    font = qt.QFont()
    font.setPixelSize(CHART_TEXT)
    painter.setFont(font)

    def at(dose_gy: float, percent: float) -> tuple[int, int]:
        return round(left + width * dose_gy / highest_gy), round(top + height * (1 - percent / 100))

    for percent in range(0, 101, 20):
        painter.setPen(qt.QPen(GRID))
        painter.drawLine(*at(0, percent), *at(highest_gy, percent))
        painter.setPen(qt.QPen(TEXT))
        painter.drawText(left - 46, at(0, percent)[1] + 7, f"{percent}")
    for dose_gy in range(0, int(highest_gy) + 1, 10):
        painter.setPen(qt.QPen(GRID))
        painter.drawLine(*at(dose_gy, 0), *at(dose_gy, 100))
        painter.setPen(qt.QPen(TEXT))
        painter.drawText(at(dose_gy, 0)[0] - 11, top + height + 24, f"{dose_gy}")
    painter.drawText(left + width // 2 - 50, CHART_SIZE[1] - 10, _("Dose (Gy)"))
    painter.drawText(2, top + 40, "%")
    for one in series:
        _draw_band(painter, one.GetColor(), bands.get(one.GetTableNode().GetAttribute(f"{PREFIX}SegmentID")), at)
    for number, one in enumerate(series):
        pen = qt.QPen(qt.QColor.fromRgbF(*one.GetColor()))
        pen.setWidth(3)
        painter.setPen(pen)
        points = [at(float(dose), float(volume)) for dose, volume in zip(*dvh_curve(one), strict=True)]
        for begin, end in pairwise(points):
            painter.drawLine(*begin, *end)
        x, y = left + width + 20, top + 20 + LEGEND_STEP * number
        painter.drawLine(x, y - 7, x + 34, y - 7)
        painter.setPen(qt.QPen(TEXT))
        painter.drawText(x + 44, y, one.GetName())


def _draw_band(painter: Any, colour: tuple[float, float, float], band: Any, at: Callable[[float, float], tuple[int, int]]) -> None:
    if band is None:
        return
    tint = qt.QColor.fromRgbF(*colour, BAND_OPACITY)
    doses, (low, high) = band
    for index in range(len(doses) - 1):
        left, top = at(float(doses[index]), float(high[index]))
        right, bottom = at(float(doses[index + 1]), float(low[index]))
        painter.fillRect(left, top, right - left, bottom - top, tint)
