"""Slicer's main window: the module panel at the left, the views of a layout at the right, and a picture of it all."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, cast

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .layout_manager import LayoutManager, PlotWidget, SliceWidget, ThreeDWidget, ViewWidget
from .views import to_qimage

PANEL_WIDTH = 480
NESTED_LAYOUTS = 10  # more than any panel has within each other


class ModuleSelector(QtWidgets.QWidget):
    """The toolbar's list of modules, of which it shows the one that is open."""

    def __init__(self) -> None:
        super().__init__()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(QtWidgets.QLabel("Modules:"))
        self._title = QtWidgets.QComboBox()
        layout.addWidget(self._title, 1)
        self._name = ""

    def show_name(self, name: str, title: str) -> None:
        self._name = name
        self._title.clear()
        self._title.addItem(title)

    def selectModule(self, name: str) -> None:
        import slicer_bench

        slicer_bench.show_module(name)

    selectedModule = QtCore.Property(str, lambda self: self._name, lambda self, name: self.selectModule(name))


class ViewFrame(QtWidgets.QWidget):
    """A view below the coloured bar that Slicer gives it."""

    def __init__(self, view: ViewWidget) -> None:
        super().__init__()
        self.view = view
        node = view.rendering().node
        color = QtGui.QColor.fromRgbF(*node.GetLayoutColor()) if not isinstance(view, PlotWidget) else QtGui.QColor(225, 225, 225)
        bar = QtWidgets.QWidget()
        bar.setAutoFillBackground(True)
        palette = bar.palette()
        palette.setColor(QtGui.QPalette.Window, color)
        palette.setColor(QtGui.QPalette.WindowText, QtCore.Qt.black)
        bar.setPalette(palette)
        bar.setFixedHeight(22)
        row = QtWidgets.QHBoxLayout(bar)
        row.setContentsMargins(6, 0, 6, 0)
        letter = QtWidgets.QLabel(node.GetLayoutLabel() or "")
        letter.setFont(QtGui.QFont(letter.font().family(), 9, QtGui.QFont.Bold))
        row.addWidget(letter)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal)
        self._text = QtWidgets.QLabel()
        if isinstance(view, SliceWidget):
            row.addWidget(self._slider, 1)
        else:
            row.addStretch(1)
        row.addWidget(self._text)
        self._canvas = QtWidgets.QLabel()
        self._canvas.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Ignored)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(self._canvas, 1)

    def canvas_size(self) -> tuple[int, int]:
        return max(1, self._canvas.width()), max(1, self._canvas.height())

    def draw(self) -> None:
        pixmap = QtGui.QPixmap.fromImage(to_qimage(self.view.rendering().image(self.canvas_size())))
        if isinstance(self.view, SliceWidget):
            self._show_offset(self.view.sliceLogic())
            _annotate(pixmap, self.view.mrmlSliceCompositeNode())
        elif isinstance(self.view, PlotWidget):
            chart = self.view.rendering().chart_node()
            self._text.setText(chart.GetName() if chart is not None else "")
        self._canvas.setPixmap(pixmap)

    def _show_offset(self, logic: Any) -> None:
        bounds = [0.0] * 6
        logic.GetLowestVolumeSliceBounds(bounds)
        offset = logic.GetSliceOffset()
        self._slider.setRange(round(bounds[4]), max(round(bounds[4]) + 1, round(bounds[5])))
        self._slider.setValue(round(offset))
        letters = {"Axial": "IS", "Coronal": "PA", "Sagittal": "RL"}.get(logic.GetSliceNode().GetOrientation(), "  ")
        # Slicer gives the offset with the letter of the side it is on; sagittal slices are counted from right to left.
        self._text.setText(f"{letters[offset >= 0]}: {abs(offset):.1f}mm")


def _annotate(pixmap: QtGui.QPixmap, composite: Any) -> None:
    """The names of the layers in the corner, as Slicer's data probe writes them."""
    layers = (
        ("L", composite.GetLabelVolumeID(), composite.GetLabelOpacity()),
        ("F", composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()),
        ("B", composite.GetBackgroundVolumeID(), None),
    )
    lines = []
    for letter, volume_id, opacity in layers:
        volume = slicer.mrmlScene.GetNodeByID(volume_id) if volume_id else None
        if volume is not None:
            lines.append(f"{letter}: {volume.GetName()}" + (f" ({round(100 * opacity)}%)" if opacity is not None else ""))
    painter = QtGui.QPainter(pixmap)
    painter.setFont(QtGui.QFont(painter.font().family(), 9))
    for line, text in enumerate(reversed(lines)):
        baseline = pixmap.height() - 8 - 15 * line
        for offset, color in ((1, QtCore.Qt.black), (0, QtGui.QColor(225, 225, 225))):
            painter.setPen(color)
            painter.drawText(8 + offset, baseline + offset, text)
    painter.end()


class MainWindow(QtWidgets.QMainWindow):
    """Stand-in of qSlicerMainWindow; `slicer.util.mainWindow()` finds it by its name."""

    def __init__(self, layout_manager: LayoutManager) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("3D Slicer")
        self.layout_manager = layout_manager
        self._selector = ModuleSelector()
        self._panel_area = QtWidgets.QScrollArea()
        self._panel_area.setWidgetResizable(True)
        self._panel_area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        self._panel_area.setFrameShape(QtWidgets.QFrame.NoFrame)
        self._left = QtWidgets.QWidget()
        self._left.setFixedWidth(PANEL_WIDTH)
        column = QtWidgets.QVBoxLayout(self._left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._selector)
        column.addWidget(self._panel_area, 1)
        self._views = QtWidgets.QWidget()
        self._views_layout = QtWidgets.QVBoxLayout(self._views)
        self._views_layout.setContentsMargins(0, 0, 0, 0)
        self._frames: list[ViewFrame] = []
        centre = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(centre)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._left)
        row.addWidget(self._views, 1)
        self.setCentralWidget(centre)
        self.statusBar()
        self.resize(1600, 1000)
        self.show()
        layout_manager.layoutChanged.connect(lambda _: self._arrange_current())
        self._arrange_current()

    def moduleSelector(self) -> ModuleSelector:
        return self._selector

    def show_panel(self, name: str, title: str, panel: QtWidgets.QWidget) -> None:
        """Opens a module's panel in place of the one shown."""
        if self._panel_area.widget() is not panel:
            self._panel_area.takeWidget()
            self._panel_area.setWidget(panel)
        self._selector.show_name(name, title)
        self.show()

    def lay_out_panel(self) -> None:
        """Lets every widget of the panel take its place, and gives the panel the width that it needs, as Slicer does."""
        for _ in range(NESTED_LAYOUTS):  # a turn of Qt's event loop takes a change from one layout to the one around it
            QtWidgets.QApplication.processEvents()
            panel = cast(QtWidgets.QWidget | None, self._panel_area.widget())
            needed = panel.minimumSizeHint().width() + self._panel_area.verticalScrollBar().sizeHint().width() if panel is not None else 0
            self._left.setFixedWidth(max(PANEL_WIDTH, needed))

    def _arrange_current(self) -> None:
        self.arrange(self.layout_manager.node().GetViewArrangement())

    def arrange(self, layout: int) -> None:
        """Puts the views where the layout's description says."""
        for frame in self._frames:
            frame.setParent(None)
        self._frames.clear()
        old = self._views_layout.takeAt(0)
        if old is not None:
            cast(QtWidgets.QWidget, old.widget()).deleteLater()
        description = self.layout_manager.node().GetLayoutDescription(layout)
        views = self._arranged(ElementTree.fromstring(description))
        self._views_layout.addWidget(views)
        views.show()
        self._views_layout.activate()
        self.resize_views()

    def resize_views(self) -> None:
        """Gives the views the sizes that they have in the window; slices keep what they show."""
        for frame in self._frames:
            frame.view.rendering().resize(frame.canvas_size())

    def _arranged(self, element: ElementTree.Element) -> QtWidgets.QWidget:
        if element.tag == "view":
            tag = element.get("singletontag", "")
            frame = ViewFrame(self.layout_manager.widget_of(slicer.mrmlScene.GetSingletonNode(tag, element.get("class", ""))))
            self._frames.append(frame)
            return frame
        container = QtWidgets.QSplitter(QtCore.Qt.Vertical if element.get("type") == "vertical" else QtCore.Qt.Horizontal)
        container.setHandleWidth(2)
        items = element.findall("item")
        for item in items:
            container.addWidget(self._arranged(item[0]))
        container.setSizes([1000] * len(items))
        return container

    def draw(self) -> None:
        for frame in self._frames:
            frame.draw()

    def reset_cameras(self) -> None:
        for frame in self._frames:
            if isinstance(frame.view, ThreeDWidget):
                frame.view.resetCamera()


def picture(path: Path, layout: int | None = None, size: tuple[int, int] = (1600, 1000)) -> None:
    """Writes what a user would see, as PNG, 3-D cameras set on their content; without `layout` all five views: 3-D, chart and three slices."""
    window: MainWindow = _main_window()
    everything = slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalPlotView
    manager = window.layout_manager
    shown = manager.layout
    fields = [(node, node.GetFieldOfView(), node.GetXYZOrigin()) for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")]
    window.resize(*size)
    window.show()
    manager.setLayout(everything if layout is None else layout)
    window.lay_out_panel()
    window.resize_views()
    for node, field, _ in fields:
        _show_at_least(manager.widget_of(node).sliceLogic(), field)
    window.reset_cameras()
    window.draw()
    QtWidgets.QApplication.processEvents()
    saved = window.grab().save(str(path))
    manager.setLayout(shown)
    for node, field, origin in fields:
        node.SetFieldOfView(*field)
        node.SetXYZOrigin(*origin)
    if not saved:
        raise OSError(f"the picture cannot be written to {path}")


def _show_at_least(logic: Any, field: tuple[float, float, float]) -> None:
    """Zooms out where the view's new shape would cut off what was shown before, no further than to all there is."""
    node = logic.GetSliceNode()
    width, height, depth = node.GetFieldOfView()
    slice_to_ras = vtk.vtkMatrix4x4()
    slice_to_ras.DeepCopy(node.GetSliceToRAS())
    logic.FitSliceToAll()
    all_there_is = node.GetFieldOfView()
    node.SetFieldOfView(width, height, depth)
    node.GetSliceToRAS().DeepCopy(slice_to_ras)
    node.UpdateMatrices()
    factor = min(max(field[0] / width, field[1] / height), all_there_is[0] / width)
    if factor > 1:
        node.SetFieldOfView(width * factor, height * factor, depth)
        node.UpdateMatrices()


def _main_window() -> MainWindow:
    return next(widget for widget in QtWidgets.QApplication.topLevelWidgets() if isinstance(widget, MainWindow))
