"""Stand-ins for the `qMRML` widgets that module panels use: real Qt widgets that follow the real MRML scene."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import shiboken6
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal

from .ctk_widgets import ctkDoubleSpinBox, ctkSliderWidget
from .widget_properties import stored, with_setters


class Observations:
    """VTK observers of one widget; they keep neither the widget alive nor call it once Qt has deleted it."""

    def __init__(self) -> None:
        self._observed: list[tuple[Any, int]] = []

    def add(self, subject: Any, event: int | str, method: Callable[[], None]) -> None:
        reference = weakref.WeakMethod(method)

        def notify(*_: Any) -> None:
            alive = reference()
            if alive is not None and shiboken6.isValid(alive.__self__):
                alive()

        self._observed.append((subject, subject.AddObserver(event, notify)))

    def clear(self) -> None:
        for subject, tag in self._observed:
            subject.RemoveObserver(tag)
        self._observed.clear()


class qMRMLWidget(QtWidgets.QWidget):
    """The panel's outermost widget: it hands the scene to the widgets connected to `mrmlSceneChanged`."""

    mrmlSceneChanged = Signal(object, arguments=["vtkMRMLScene*"])

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


@with_setters
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Selects a node of the scene by class and attributes."""

    currentNodeChanged = Signal(object, arguments=["vtkMRMLNode*"])
    currentNodeIDChanged = Signal(str)
    currentNodeRenamed = Signal(str)
    nodeAdded = Signal(object, arguments=["vtkMRMLNode*"])
    nodeAddedByUser = Signal(object, arguments=["vtkMRMLNode*"])
    nodeActivated = Signal(object, arguments=["vtkMRMLNode*"])

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QComboBox()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._box.setEnabled(False)  # until there is a scene, as in Slicer
        self._box.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self._box.currentIndexChanged.connect(self._index_changed)
        self._box.activated.connect(lambda _: self.nodeActivated.emit(self._current))
        self._scene: Any = None
        self._current: Any = None
        self._shown: list[Any] = []
        self._attributes: list[tuple[str, str, str | None]] = []
        self._filling = False
        self._scene_observations, self._node_observations = Observations(), Observations()
        self.setFocusProxy(self._box)

    nodeTypes = stored("QStringList", [], "_refresh")
    hideChildNodeTypes = stored("QStringList", [], "_refresh")
    showChildNodeTypes = stored(bool, True, "_refresh")
    showHidden = stored(bool, False, "_refresh")
    noneEnabled = stored(bool, False, "_refresh")
    noneDisplay = stored(str, "None", "_refresh")
    addEnabled = stored(bool, True)
    removeEnabled = stored(bool, True)
    editEnabled = stored(bool, False)
    renameEnabled = stored(bool, False)
    selectNodeUponCreation = stored(bool, True)
    baseName = stored(str, "")
    interactionNodeSingletonTag = stored(str, "")
    sizeAdjustPolicy = stored(int, 0)
    currentNodeID = Property(str, lambda self: self._current.GetID() if self._current else "", lambda self, node_id: self._set_current_id(node_id))

    def setMRMLScene(self, scene: Any) -> None:
        self._scene_observations.clear()
        self._scene = scene
        self._box.setEnabled(scene is not None)
        if scene is not None:
            events = (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndBatchProcessEvent, scene.EndCloseEvent, scene.EndImportEvent)
            for event in events:
                self._scene_observations.add(scene, event, self._refresh)
        self._refresh()

    def mrmlScene(self) -> Any:
        return self._scene

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._attributes.append((node_type, name, None if value is None else str(value)))
        self._refresh()

    def removeAttribute(self, node_type: str, name: str) -> None:
        self._attributes = [known for known in self._attributes if known[:2] != (node_type, name)]
        self._refresh()

    def _offers(self, node: Any) -> bool:
        if not any(node.IsA(kind) if self.showChildNodeTypes else node.GetClassName() == kind for kind in self.nodeTypes):
            return False
        if any(node.IsA(kind) for kind in self.hideChildNodeTypes) or (node.GetHideFromEditors() and not self.showHidden):
            return False
        wanted = [(name, value) for kind, name, value in self._attributes if node.IsA(kind)]
        return all(node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name)) for name, value in wanted)

    def _nodes(self) -> list[Any]:
        if self._scene is None:
            return []
        found: dict[str, Any] = {}
        for kind in self.nodeTypes:
            of_kind = self._scene.GetNodesByClass(kind)  # looks through the scene without coming back to Python for each node
            of_kind.UnRegister(None)
            found |= {node.GetID(): node for node in of_kind}
        return [node for node in found.values() if self._offers(node)]

    def _refresh(self) -> None:
        if self._filling or (self._scene is not None and self._scene.IsBatchProcessing()):
            return
        self._filling = True
        before = self._shown
        nodes = self._nodes()
        self._node_observations.clear()
        for node in nodes:
            self._node_observations.add(node, vtk.vtkCommand.ModifiedEvent, self._node_modified)
        self._shown = ([None] if self.noneEnabled else []) + nodes
        self._box.clear()
        self._box.addItems([node.GetName() or "" if node is not None else self.noneDisplay for node in self._shown])
        current = self._current if self._current in nodes else self._shown[0] if self._shown else None
        self._box.setCurrentIndex(self._shown.index(current) if current in self._shown else -1)
        self._filling = False
        for node in nodes:
            if node not in before:
                self.nodeAdded.emit(node)
        self._select(current)

    def _node_modified(self) -> None:
        names = [node.GetName() or "" if node is not None else self.noneDisplay for node in self._shown]
        renamed = names != [self._box.itemText(index) for index in range(self._box.count())]
        if renamed or self._nodes() != [node for node in self._shown if node is not None]:
            self._refresh()
            if renamed and self._current is not None:
                self.currentNodeRenamed.emit(self._current.GetName())

    def _index_changed(self, index: int) -> None:
        if not self._filling:
            self._select(self._shown[index] if 0 <= index < len(self._shown) else None)

    def _select(self, node: Any) -> None:
        if node is self._current:
            return
        self._current = node
        self.currentNodeChanged.emit(node)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    def currentNode(self) -> Any:
        return self._current

    def setCurrentNode(self, node: Any) -> None:
        if isinstance(node, str):
            node = self._scene.GetNodeByID(node) if self._scene is not None else None
        if self._scene is not None:
            self._refresh()
        if node not in self._shown:
            node = None
        self._filling = True
        self._box.setCurrentIndex(self._shown.index(node) if node in self._shown else -1)
        self._filling = False
        self._select(node)

    def _set_current_id(self, node_id: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None)

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self._nodes()[index])

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int) -> Any:
        return self._nodes()[index]

    def addNode(self, node_type: str = "") -> Any:
        """What the user's "Create new" does."""
        node = self._scene.AddNewNodeByClass(node_type or self.nodeTypes[0], self.baseName or "")
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self._current)


@with_setters
class qMRMLSegmentsTableView(QtWidgets.QWidget):
    """The segments of a segmentation: colour and name."""

    selectionChanged = Signal("QItemSelection", "QItemSelection")
    segmentAboutToBeModified = Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._table = QtWidgets.QTableWidget(0, 1)
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.setHorizontalHeaderLabels(["Name"])
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self._table.verticalHeader().hide()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._table.selectionModel().selectionChanged.connect(self.selectionChanged)
        self._node: Any = None
        self._segment_ids: list[str] = []
        self._observations = Observations()

    headerVisible = Property(
        bool, lambda self: not self._table.horizontalHeader().isHidden(), lambda self, shown: self._table.horizontalHeader().setVisible(shown)
    )
    visibilityColumnVisible = stored(bool, True)
    colorColumnVisible = stored(bool, True)
    opacityColumnVisible = stored(bool, True)
    statusColumnVisible = stored(bool, False)
    readOnly = stored(bool, False)

    def setMRMLScene(self, scene: Any) -> None:
        if scene is None:
            self.setSegmentationNode(None)

    def setSegmentationNode(self, node: Any) -> None:
        self._observations.clear()
        self._node = node
        if node is not None:
            segmentation = node.GetSegmentation()
            for event in (segmentation.SegmentAdded, segmentation.SegmentRemoved, segmentation.SegmentModified, segmentation.SegmentsOrderModified):
                self._observations.add(segmentation, event, self._refresh)
        self._refresh()

    def _refresh(self) -> None:
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        self._segment_ids = list(segmentation.GetSegmentIDs()) if segmentation is not None else []
        self._table.setRowCount(len(self._segment_ids))
        for row, segment_id in enumerate(self._segment_ids):
            segment = segmentation.GetSegment(segment_id)
            item = QtWidgets.QTableWidgetItem(segment.GetName())
            item.setData(QtCore.Qt.DecorationRole, QtGui.QColor.fromRgbF(*segment.GetColor()))
            self._table.setItem(row, 0, item)

    def segmentationNode(self) -> Any:
        return self._node

    def selectedSegmentIDs(self) -> list[str]:
        return [self._segment_ids[index.row()] for index in self._table.selectionModel().selectedRows()]

    def setSelectedSegmentIDs(self, segment_ids: list[str]) -> None:
        self._table.clearSelection()
        select = QtCore.QItemSelectionModel.Select | QtCore.QItemSelectionModel.Rows
        for segment_id in segment_ids:
            self._table.selectionModel().select(self._table.model().index(self._segment_ids.index(segment_id), 0), select)


class qMRMLTableView(QtWidgets.QTableWidget):
    """A table node as text."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._observations = Observations()

    def setMRMLScene(self, scene: Any) -> None:
        if scene is None:
            self.setMRMLTableNode(None)

    def setMRMLTableNode(self, node: Any) -> None:
        self._observations.clear()
        self._node = node
        if node is not None:
            self._observations.add(node, vtk.vtkCommand.ModifiedEvent, self._refresh)
        self._refresh()

    def mrmlTableNode(self) -> Any:
        return self._node

    def _refresh(self) -> None:
        self.clear()
        table = self._node.GetTable() if self._node is not None else vtk.vtkTable()
        self.setRowCount(table.GetNumberOfRows())
        self.setColumnCount(table.GetNumberOfColumns())
        self.setHorizontalHeaderLabels([table.GetColumnName(column) for column in range(table.GetNumberOfColumns())])
        for row in range(table.GetNumberOfRows()):
            for column in range(table.GetNumberOfColumns()):
                self.setItem(row, column, QtWidgets.QTableWidgetItem(table.GetValue(row, column).ToString()))


class qMRMLSliderWidget(ctkSliderWidget):
    """A slider; units from the scene are not followed."""

    def setMRMLScene(self, scene: Any) -> None:
        """Without units there is nothing to follow."""


class qMRMLSpinBox(ctkDoubleSpinBox):
    """A spin box; units from the scene are not followed."""

    def setMRMLScene(self, scene: Any) -> None:
        """Without units there is nothing to follow."""


class qMRMLColorTableComboBox(qMRMLNodeComboBox):
    """Selects a colour table."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.nodeTypes = ["vtkMRMLColorTableNode"]
        self.showHidden = True


QMRML_WIDGETS: dict[str, type[QtWidgets.QWidget]] = {
    cls.__name__: cls
    for cls in (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentsTableView, qMRMLTableView, qMRMLSliderWidget, qMRMLSpinBox, qMRMLColorTableComboBox)
}
