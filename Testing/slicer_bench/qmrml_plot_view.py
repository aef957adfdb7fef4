"""Stand-in for `qMRMLPlotView`: the chart of a plot view node inside a panel."""

from __future__ import annotations

from typing import Any

from PySide6 import QtGui, QtWidgets

from .views import PlotView, to_qimage


class qMRMLPlotView(QtWidgets.QWidget):
    """Draws the chart each time it is painted."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: PlotView | None = None
        self.setMinimumSize(200, 150)

    def setMRMLScene(self, scene: Any) -> None:
        if scene is None:
            self._view = None

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._view = PlotView(node) if node is not None else None
        self.update()

    def mrmlPlotViewNode(self) -> Any:
        return self._view.node if self._view is not None else None

    def fitToContent(self) -> None:
        """The chart always fits its content on the bench."""

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        if self._view is not None:
            painter.drawImage(0, 0, to_qimage(self._view.image((self.width(), self.height()))))
