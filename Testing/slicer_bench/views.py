"""Slice views, 3-D views and charts, drawn off screen by Slicer's own displayable managers and VTK's own chart."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from PySide6 import QtGui
from vtk.util.numpy_support import vtk_to_numpy

_SLICE_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
)
_THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLVolumeRenderingDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)


def to_qimage(pixels: NDArray[np.uint8]) -> QtGui.QImage:
    """The array of a view as a Qt image."""
    height, width, _ = pixels.shape
    return QtGui.QImage(np.ascontiguousarray(pixels).data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()


class OffscreenView:
    """A render window that is never shown, and what it shows as an array (rows from the top, RGB)."""

    def __init__(self) -> None:
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)

    def resize(self, size: tuple[int, int]) -> None:
        self.window.SetSize(*size)

    def grab(self) -> NDArray[np.uint8]:
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.SetInputBufferTypeToRGB()
        grabber.Update()
        output = grabber.GetOutput()
        width, height, _ = output.GetDimensions()
        pixels: NDArray[np.uint8] = vtk_to_numpy(output.GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()
        return pixels

    def attach_managers(self, factory: Any, names: tuple[str, ...], application_logic: Any, node: Any) -> None:
        factory.SetMRMLApplicationLogic(application_logic)
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self._interactor.Initialize()
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.Initialize(factory, self.renderer)
        self._managers.SetMRMLDisplayableNode(node)


class SliceView(OffscreenView):
    """One slice view: the layers blended by the real slice logic, the rest by the displayable managers."""

    def __init__(self, node: Any, application_logic: Any, size: tuple[int, int] = (400, 400)) -> None:
        super().__init__()
        self.node = node
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(node.GetScene())
        self.logic.SetSliceNode(node)
        self._size = (0, 0)
        self.resize(size)
        overlay = vtk.vtkRenderer()
        overlay.SetLayer(1)
        self.window.SetNumberOfLayers(2)
        self.window.AddRenderer(overlay)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self._actor)
        self.attach_managers(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), _SLICE_MANAGERS, application_logic, node)

    def resize(self, size: tuple[int, int]) -> None:
        if size != self._size:
            self._size = size
            self.window.SetSize(*size)
            self.logic.ResizeSliceNode(*size)

    def image(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        self.resize(size or self._size)
        connection = self.logic.GetImageDataConnection()
        self._actor.SetVisibility(connection is not None)
        self._mapper.SetInputConnection(connection)
        self.window.Render()  # a colour legend takes its place in the first pass and is drawn in the second
        return self.grab()


class ThreeDView(OffscreenView):
    """One 3-D view."""

    def __init__(self, node: Any, application_logic: Any, size: tuple[int, int] = (400, 400)) -> None:
        super().__init__()
        self.node = node
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(application_logic)
        application_logic.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(node.GetScene())
        self.logic.AddViewNode(node.GetLayoutName())  # finds the node that is there
        self._reset_wanted = True
        self.window.SetSize(*size)
        self.attach_managers(slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), _THREE_D_MANAGERS, application_logic, node)

    def reset_camera(self) -> None:
        self._reset_wanted = True

    def image(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        if size is not None:
            self.resize(size)
        self.window.Render()
        if self._reset_wanted:
            self.renderer.ResetCamera()
            self.renderer.GetActiveCamera().Zoom(1.4)
            self._reset_wanted = False
        self.renderer.ResetCameraClippingRange()
        return self.grab()


_LINE_STYLES = {"none": 0, "solid": 1, "dash": 2, "dot": 3, "dash-dot": 4, "dash-dot-dot": 5}


class PlotView(OffscreenView):
    """The chart that a plot view node shows, drawn from the same nodes as Slicer's chart view draws it."""

    def __init__(self, node: Any, size: tuple[int, int] = (400, 400)) -> None:
        super().__init__()
        self.node = node
        self.renderer.SetBackground(1, 1, 1)
        self.window.SetSize(*size)
        self._scene_actor: Any = None

    def chart_node(self) -> Any:
        scene = self.node.GetScene()
        return scene.GetNodeByID(self.node.GetPlotChartNodeID() or "") if scene is not None else None

    def image(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        if size is not None:
            self.resize(size)
        if self._scene_actor is not None:
            self.renderer.RemoveActor(self._scene_actor)
        self._scene_actor = vtk.vtkContextActor()
        chart_node = self.chart_node()
        if chart_node is not None:
            self._scene_actor.GetScene().AddItem(chart_of(chart_node))
        self.renderer.AddActor(self._scene_actor)
        self._scene_actor.GetScene().SetRenderer(self.renderer)
        return self.grab()


def series_nodes(chart_node: Any) -> list[Any]:
    """The plot series of the chart, in its order."""
    return [chart_node.GetNthPlotSeriesNode(index) for index in range(chart_node.GetNumberOfPlotSeriesNodes())]


def chart_of(chart_node: Any) -> Any:
    """A `vtkChartXY` with the series, titles, ranges, grid and legend of the chart node."""
    chart = vtk.vtkChartXY()
    chart.GetTitleProperties().SetFontSize(chart_node.GetTitleFontSize())
    chart.SetTitle(chart_node.GetTitle() if chart_node.GetTitleVisibility() and chart_node.GetTitle() else "")
    chart.SetShowLegend(chart_node.GetLegendVisibility())
    chart.GetLegend().SetLabelSize(chart_node.GetLegendFontSize())
    for position, title, ranged in (
        (vtk.vtkAxis.BOTTOM, "XAxis", chart_node.GetXAxisRangeAuto()),
        (vtk.vtkAxis.LEFT, "YAxis", chart_node.GetYAxisRangeAuto()),
    ):
        axis = chart.GetAxis(position)
        shown = getattr(chart_node, f"Get{title}TitleVisibility")()
        axis.SetTitle((getattr(chart_node, f"Get{title}Title")() or "") if shown else "")
        axis.GetTitleProperties().SetFontSize(chart_node.GetAxisTitleFontSize())
        axis.GetLabelProperties().SetFontSize(chart_node.GetAxisLabelFontSize())
        axis.SetGridVisible(chart_node.GetGridVisibility())
        if not ranged:
            axis.SetBehavior(vtk.vtkAxis.FIXED)
            axis.SetRange(getattr(chart_node, f"Get{title}Range")())
    for series in series_nodes(chart_node):
        _add_series(chart, series)
    return chart


def _add_series(chart: Any, series: Any) -> None:
    table_node = series.GetTableNode()
    if table_node is None:
        return
    table = table_node.GetTable()
    columns = [table.GetColumnName(index) for index in range(table.GetNumberOfColumns())]
    x_name, y_name = series.GetXColumnName(), series.GetYColumnName()
    if y_name not in columns or table.GetNumberOfRows() < 2:
        return
    plot = chart.AddPlot(vtk.vtkChart.POINTS if series.GetPlotType() == series.PlotTypeScatter and series.GetLineStyle() == 0 else vtk.vtkChart.LINE)
    if x_name in columns:
        plot.SetInputData(table, x_name, y_name)
    else:
        plot.SetUseIndexForXSeries(True)
        plot.SetInputData(table, y_name, y_name)
    plot.SetLabel(series.GetName())
    plot.SetColorF(*series.GetColor())
    plot.GetPen().SetOpacityF(series.GetOpacity())
    plot.SetWidth(series.GetLineWidth())
    plot.GetPen().SetLineType(_LINE_STYLES[series.GetLineStyleAsString(series.GetLineStyle())])
    if hasattr(plot, "SetMarkerStyle"):
        plot.SetMarkerStyle(series.GetMarkerStyle())
        plot.SetMarkerSize(series.GetMarkerSize())
