"""`qt.QUiLoader`: Designer files with the stand-in widgets in them; what the bench does not know is an error, not a blank widget."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets

from . import pythonqt_signals

# PySide keeps registered classes for every loader to come, and takes longer over each that is registered again.  Their properties are kept here
# because a class loses its `staticMetaObject` with the first widget that was asked for its `metaObject()` and is deleted.
_properties_of_registered: dict[type[QtWidgets.QWidget], frozenset[str]] = {}


class UiFileError(RuntimeError):
    """A Designer file that Slicer, or the bench, could not load as it is written."""


class UiLoader(QtUiTools.QUiLoader):
    """Loads a Designer file, custom widgets and MRML scene connections included."""

    def __init__(self, custom_widgets: dict[str, type[QtWidgets.QWidget]], parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._custom_widgets = custom_widgets
        for widget_class in custom_widgets.values():
            if widget_class not in _properties_of_registered:
                self.registerCustomWidget(widget_class)
                meta = widget_class.staticMetaObject
                _properties_of_registered[widget_class] = frozenset(meta.property(index).name() for index in range(meta.propertyCount()))

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        root = ElementTree.fromstring(bytes(device.readAll().data()))
        self._check(root)
        connections = root.find("connections")
        scene_connections = [] if connections is None else [entry for entry in connections if "vtk" in entry.findtext("signal", "")]
        for entry in scene_connections:  # their argument types mean nothing to Qt's own loader
            connections.remove(entry)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QBuffer.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is None:
            raise UiFileError(f"the .ui file cannot be loaded: {self.errorString()}")
        for entry in scene_connections:
            self._connect(widget, entry)
        return widget

    def _check(self, root: ElementTree.Element) -> None:
        known = set(self._custom_widgets) | set(self.availableWidgets())
        named: set[str] = set()
        for element in root.iter("widget"):
            class_name, name = element.get("class", ""), element.get("name", "")
            if class_name not in known:
                raise UiFileError(f"widget {name!r} is a {class_name}, for which the bench has no stand-in")
            if name in named:
                raise UiFileError(f"two widgets are named {name!r}")
            named.add(name)
            prototype = self._custom_widgets.get(class_name)
            if prototype is None:
                continue
            for setting in element.findall("property"):
                if setting.get("name", "") not in _properties_of_registered[prototype]:
                    raise UiFileError(f"{class_name} {name!r} has no property {setting.get('name')!r}")

    def _connect(self, widget: QtWidgets.QWidget, entry: ElementTree.Element) -> None:
        sender, receiver = (_named(widget, entry.findtext(end, "")) for end in ("sender", "receiver"))
        slot = entry.findtext("slot", "").split("(")[0]
        function: Any = getattr(receiver, slot, None)
        if function is None:
            raise UiFileError(f"{receiver.metaObject().className()} {receiver.objectName()!r} has no slot {slot!r}")
        pythonqt_signals.connect(sender, entry.findtext("signal", ""), function, lambda value: value)


def _named(root: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = root if root.objectName() == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise UiFileError(f"a connection names {name!r}, which is not in the file")
    return found
