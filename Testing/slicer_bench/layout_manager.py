"""`slicer.app.layoutManager()`: Slicer's own layout logic and view nodes; views are drawn off screen when somebody looks."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from .views import PlotView, SliceView, ThreeDView


class ViewWidget(QtWidgets.QWidget):
    """What the layout manager gives out for a view: the view and, under the names Slicer uses, its node and logic."""

    def __init__(self, view: Any) -> None:
        super().__init__()
        self._view = view

    def rendering(self) -> Any:
        """The offscreen view itself (only on the bench)."""
        return self._view


class SliceWidget(ViewWidget):
    def sliceLogic(self) -> Any:
        return self._view.logic

    def mrmlSliceNode(self) -> Any:
        return self._view.node

    def mrmlSliceCompositeNode(self) -> Any:
        return self._view.logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._view.logic.FitSliceToBackground()

    def sliceView(self) -> ViewWidget:
        return self

    def sliceController(self) -> ViewWidget:
        return self

    def renderWindow(self) -> Any:
        return self._view.window

    def forceRender(self) -> None:
        self._view.image()

    scheduleRender = forceRender


class ThreeDWidget(ViewWidget):
    def threeDView(self) -> ViewWidget:
        return self

    def threeDController(self) -> ViewWidget:
        return self

    def mrmlViewNode(self) -> Any:
        return self._view.node

    def resetFocalPoint(self) -> None:
        self._view.reset_camera()

    def resetCamera(self) -> None:
        self._view.reset_camera()

    def renderWindow(self) -> Any:
        return self._view.window

    def forceRender(self) -> None:
        self._view.image()

    scheduleRender = forceRender


class PlotWidget(ViewWidget):
    def plotView(self) -> ViewWidget:
        return self

    def mrmlPlotViewNode(self) -> Any:
        return self._view.node

    def fitToContent(self) -> None:
        """The chart always fits its content on the bench."""


class LayoutManager(QtCore.QObject):
    """Stand-in of qSlicerLayoutManager."""

    layoutChanged = Signal(int)

    def __init__(self, scene: Any, application_logic: Any, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._scene, self._application_logic = scene, application_logic
        self._slice_logics, self._view_logics = vtk.vtkCollection(), vtk.vtkCollection()
        application_logic.SetSliceLogics(self._slice_logics)
        application_logic.SetViewLogics(self._view_logics)
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(scene)
        self._widgets: dict[str, ViewWidget] = {}
        self.node().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)  # how Slicer starts
        self._make_views()
        self._layout = self.node().GetViewArrangement()
        self.node().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._layout_modified())

    def node(self) -> Any:
        return self._logic.GetLayoutNode()

    def layoutLogic(self) -> Any:
        return self._logic

    def _layout_modified(self) -> None:
        if self._scene.IsClosing():  # the layout logic puts the layout back when the scene is closed
            return
        self._make_views()
        arrangement = self.node().GetViewArrangement()
        if arrangement != self._layout:
            self._layout = arrangement
            self.layoutChanged.emit(arrangement)

    def _make_views(self) -> None:
        for class_name in ("vtkMRMLSliceNode", "vtkMRMLViewNode", "vtkMRMLPlotViewNode"):
            for node in slicer.util.getNodesByClass(class_name, self._scene):
                self.widget_of(node)

    def widget_of(self, node: Any) -> ViewWidget:
        """The widget of a view node, made when first asked for."""
        if node.GetID() not in self._widgets:
            if node.IsA("vtkMRMLSliceNode"):
                widget: ViewWidget = SliceWidget(SliceView(node, self._application_logic))
            elif node.IsA("vtkMRMLViewNode"):
                widget = ThreeDWidget(ThreeDView(node, self._application_logic))
            else:
                widget = PlotWidget(PlotView(node))
            self._widgets[node.GetID()] = widget
        return self._widgets[node.GetID()]

    def _set_layout(self, layout: int) -> None:
        if not self.node().IsLayoutDescription(layout):
            raise ValueError(f"layout {layout} is not known")
        self.node().SetViewArrangement(layout)

    layout = Property(int, lambda self: self._layout, lambda self, layout: self._set_layout(layout))

    def setLayout(self, layout: int) -> None:
        self._set_layout(layout)

    def _of_class(self, kind: type[ViewWidget]) -> list[Any]:
        return [widget for widget in self._widgets.values() if isinstance(widget, kind)]

    def sliceViewNames(self) -> list[str]:
        return [widget.mrmlSliceNode().GetLayoutName() for widget in self._of_class(SliceWidget)]

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return next((widget for widget in self._of_class(SliceWidget) if widget.mrmlSliceNode().GetLayoutName() == name), None)

    def mrmlSliceLogics(self) -> Any:
        return self._slice_logics

    def threeDWidget(self, index: int) -> ThreeDWidget | None:
        widgets = self._of_class(ThreeDWidget)
        return widgets[index] if 0 <= index < len(widgets) else None

    threeDViewCount = Property(int, lambda self: len(self._of_class(ThreeDWidget)))
    plotViewCount = Property(int, lambda self: len(self._of_class(PlotWidget)))
    tableViewCount = Property(int, lambda self: 0)

    def activeMRMLThreeDViewNode(self) -> Any:
        return self._of_class(ThreeDWidget)[0].mrmlViewNode()

    def plotWidget(self, index: int) -> PlotWidget | None:
        widgets = self._of_class(PlotWidget)
        return widgets[index] if 0 <= index < len(widgets) else None

    def resetThreeDViews(self) -> None:
        for widget in self._of_class(ThreeDWidget):
            widget.resetCamera()

    def resetSliceViews(self) -> None:
        for widget in self._of_class(SliceWidget):
            widget.sliceLogic().FitSliceToAll()

    def setRenderPaused(self, paused: bool) -> None:
        """Nothing is drawn here until somebody asks for a picture."""
