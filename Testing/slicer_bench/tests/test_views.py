"""The views draw what the nodes say, and the picture of the window shows them all."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from .conftest import Patient

FOUR_UP_PLOT = 37  # vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView


def red_view() -> Any:
    import slicer

    return slicer.app.layoutManager().sliceWidget("Red").rendering()


def is_red(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    red, green, blue = (image[..., channel].astype(int) for channel in range(3))
    return (red > 100) & (red > green + 60) & (red > blue + 60)


def test_a_slice_view_blends_the_dose_over_the_ct_on_the_patients_left(patient: Patient) -> None:
    import slicer

    patient.segmentation.GetDisplayNode().SetVisibility(False)
    slicer.util.setSliceViewerLayers(background=patient.ct, foreground=patient.dose, foregroundOpacity=0.0, fit=True)
    without = red_view().image((300, 300))
    assert not is_red(without).any()
    assert without[150, 150, 0] > 100 > without[5, 5, 0]  # grey body on black air
    slicer.util.setSliceViewerLayers(foregroundOpacity=0.6)
    columns = np.nonzero(is_red(red_view().image((300, 300))))[1]
    assert 165 < columns.mean() < 230  # the patient's left is right in the picture


def test_segments_are_outlined_in_their_colour(patient: Patient) -> None:
    import slicer

    slicer.util.setSliceViewerLayers(background=patient.ct, fit=True)
    image = red_view().image((300, 300)).astype(int)
    assert ((image[..., 2] > 150) & (image[..., 0] < 60)).any()  # External, blue


def test_a_colour_legend_is_drawn(patient: Patient) -> None:
    import slicer

    slicer.util.setSliceViewerLayers(background=patient.ct, foreground=patient.dose, foregroundOpacity=0.5, fit=True)
    before = red_view().image((300, 300))
    slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(patient.dose)
    after = red_view().image((300, 300))
    assert np.argwhere((before != after).any(axis=-1))[:, 1].min() > 150


def test_the_3d_view_shows_the_surface_of_a_segment(patient: Patient) -> None:
    import slicer

    patient.segmentation.CreateClosedSurfaceRepresentation()
    patient.segmentation.GetDisplayNode().SetSegmentVisibility3D("External", False)
    widget = slicer.app.layoutManager().threeDWidget(0)
    widget.threeDView().resetFocalPoint()
    image = widget.rendering().image((300, 300)).astype(int)
    assert ((image[..., 1] > image[..., 0] + 60) & (image[..., 1] > image[..., 2] + 60)).sum() > 500  # PTV, green


def test_the_chart_shows_the_series_in_its_colour_with_axis_titles(patient: Patient) -> None:
    import slicer

    slicer.modules.plots.logic().ShowChartInLayout(patient.chart)
    view = slicer.app.layoutManager().plotWidget(0).rendering()
    assert view.chart_node() is patient.chart
    with_titles = view.image((400, 300))
    rows, columns = np.nonzero(is_red(with_titles))
    assert rows.min() < 60 and rows.max() > 200 and columns.max() > 250  # from 100 % down to 0 at 61 Gy
    patient.chart.SetXAxisTitle("")
    assert (view.image((400, 300)) != with_titles).any()


def test_a_chart_without_series_is_an_empty_chart(bench: ModuleType) -> None:
    import slicer

    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "Empty")
    slicer.modules.plots.logic().ShowChartInLayout(chart)
    assert not is_red(slicer.app.layoutManager().plotWidget(0).rendering().image((200, 200))).any()


def test_showing_a_chart_changes_the_layout_and_says_so(patient: Patient) -> None:
    import slicer

    manager, layouts = slicer.app.layoutManager(), []
    manager.layoutChanged.connect(layouts.append)
    slicer.modules.plots.logic().ShowChartInLayout(patient.chart)
    assert layouts == [manager.layout]
    assert manager.plotViewCount == 1
    assert manager.sliceViewNames() == ["Red", "Green", "Yellow"]
    manager.layoutChanged.disconnect()


def test_the_layout_outlives_a_closed_scene(patient: Patient) -> None:
    import slicer

    slicer.app.layoutManager().setLayout(FOUR_UP_PLOT)
    slicer.mrmlScene.Clear(0)
    assert slicer.app.layoutManager().layout == FOUR_UP_PLOT
    assert slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode() is slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")


def test_an_unknown_layout_is_refused(bench: ModuleType) -> None:
    import slicer

    with pytest.raises(ValueError, match="98765"):
        slicer.app.layoutManager().setLayout(98765)


def test_the_picture_shows_panel_slices_and_chart_and_leaves_the_display_as_it_was(patient: Patient, bench: ModuleType, tmp_path: Path) -> None:
    import slicer
    from PySide6 import QtGui

    patient.segmentation.GetDisplayNode().SetVisibility2DFill(False)
    slicer.util.setSliceViewerLayers(background=patient.ct, foreground=patient.dose, foregroundOpacity=0.6, fit=True)
    slicer.modules.plots.logic().ShowChartInLayout(patient.chart)
    layout, field = slicer.app.layoutManager().layout, slicer.util.getNode("Red").GetFieldOfView()
    bench.picture(tmp_path / "window.png", size=(1200, 800))
    picture = QtGui.QImage(str(tmp_path / "window.png")).convertToFormat(QtGui.QImage.Format_RGB888)
    assert (picture.width(), picture.height()) == (1200, 800)
    pixels = np.frombuffer(picture.constBits(), np.uint8).reshape(800, picture.bytesPerLine())[:, :3600].reshape(800, 1200, 3)
    assert is_red(pixels[420:, 480:720]).sum() > 500  # the dose in the axial view
    assert is_red(pixels[30:380, 860:]).sum() > 100  # the series in the chart
    assert slicer.app.layoutManager().layout == layout
    assert slicer.util.getNode("Red").GetFieldOfView() == pytest.approx(field)


def test_text_can_be_read_in_the_picture(bench: ModuleType) -> None:
    import qt

    label = qt.QLabel("Predict")
    grabbed = label.grab().toImage()
    shades = {grabbed.pixelColor(x, y).lightness() for x in range(grabbed.width()) for y in range(grabbed.height())}
    assert min(shades) < 80 < 200 < max(shades)
