"""The order in which the Tab key goes through the panel: as it is read, section by section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import qt

# These take the focus and hold other widgets that do.
CONTAINERS = ("QGroupBox", "ctkCollapsibleButton", "ctkCollapsibleGroupBox")


def set_tab_order(root: Any) -> None:
    """Chain all that takes the focus in `root` in the order of its layouts; what sections bring along stands at the end of Qt's own chain."""
    before = None
    for widget in _in_reading_order(root):
        if before is not None:
            qt.QWidget.setTabOrder(before, widget)
        before = widget


def _in_reading_order(widget: Any) -> Iterator[Any]:
    """The widgets that take the focus, a container's own header before what it holds."""
    takes_focus = widget.focusPolicy != qt.Qt.NoFocus or widget.focusProxy() is not None
    if takes_focus and widget.className() != "QLabel":
        yield widget
    if widget.layout() is not None and (widget.className() in CONTAINERS or not takes_focus):
        yield from _in_layout(widget.layout())


def _in_layout(layout: Any) -> Iterator[Any]:
    for index in range(layout.count()):
        item = layout.itemAt(index)
        if item.widget() is not None:
            yield from _in_reading_order(item.widget())
        elif item.layout() is not None:
            yield from _in_layout(item.layout())
