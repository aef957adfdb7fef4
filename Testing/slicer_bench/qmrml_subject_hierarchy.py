"""Stand-in for `qMRMLSubjectHierarchyTreeView`: patients, studies and what belongs to them, as a tree."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Signal

from .qmrml_widgets import Observations
from .widget_properties import stored, with_setters


@with_setters
class qMRMLSubjectHierarchyTreeView(QtWidgets.QWidget):
    """Selects an item of the subject hierarchy."""

    currentItemChanged = Signal(object, arguments=["vtkIdType"])
    nodeTypes = stored("QStringList", [], "_refresh")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._tree = QtWidgets.QTreeWidget()
        self._tree.setHeaderHidden(True)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._tree)
        self._scene: Any = None
        self._observations = Observations()
        self._items: dict[int, QtWidgets.QTreeWidgetItem] = {}
        self._tree.itemSelectionChanged.connect(lambda: self.currentItemChanged.emit(self.currentItem()))

    def setMRMLScene(self, scene: Any) -> None:
        self._observations.clear()
        self._scene = scene
        if scene is not None:
            hierarchy = self._hierarchy()
            for event in (
                hierarchy.SubjectHierarchyItemAddedEvent,
                hierarchy.SubjectHierarchyItemRemovedEvent,
                hierarchy.SubjectHierarchyItemModifiedEvent,
            ):
                self._observations.add(hierarchy, event, self._refresh)
        self._refresh()

    def _hierarchy(self) -> Any:
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)

    def _refresh(self) -> None:
        current = self.currentItem()
        blocked = self._tree.blockSignals(True)
        self._tree.clear()
        self._items.clear()
        if self._scene is not None:
            self._add_children(self._hierarchy(), self._hierarchy().GetSceneItemID(), self._tree.invisibleRootItem())
            self._tree.expandAll()
        self.setCurrentItem(current)
        self._tree.blockSignals(blocked)
        if self.currentItem() != current:
            self.currentItemChanged.emit(self.currentItem())

    def _add_children(self, hierarchy: Any, item_id: int, parent: QtWidgets.QTreeWidgetItem) -> None:
        children: list[int] = []
        hierarchy.GetItemChildren(item_id, children, False)
        for child in children:
            node = hierarchy.GetItemDataNode(child)
            if node is not None and self.nodeTypes and not any(node.IsA(kind) for kind in self.nodeTypes):
                continue
            item = QtWidgets.QTreeWidgetItem(parent, [hierarchy.GetItemName(child)])
            item.setData(0, QtCore.Qt.UserRole, child)
            self._items[child] = item
            self._add_children(hierarchy, child, item)

    def currentItem(self) -> int:
        selected = self._tree.selectedItems()
        return int(selected[0].data(0, QtCore.Qt.UserRole)) if selected else 0

    def setCurrentItem(self, item_id: int) -> None:
        self._tree.clearSelection()
        if item_id in self._items:
            self._items[item_id].setSelected(True)
