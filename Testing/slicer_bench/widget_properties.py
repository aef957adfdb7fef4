"""Qt properties of the stand-in widgets, with the `setX` slots that their C++ originals have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import Property

WidgetClass = TypeVar("WidgetClass", bound=type)


def stored(kind: Any, default: Any, changed: str = "") -> Any:
    """A property that the widget only keeps; `changed` names the method to call after a change."""

    def read(self: Any) -> Any:
        return _values(self).get(declared, default)

    def write(self: Any, value: Any) -> None:
        _values(self)[declared] = value
        if changed:
            getattr(self, changed)()

    declared = Property(kind, read, write)
    return declared


def _values(widget: Any) -> dict[Any, Any]:
    values: dict[Any, Any] = widget.__dict__.setdefault("_stored_properties", {})
    return values


def forwarded(kind: Any, part: str, name: str) -> Any:
    """The property `name` of the part of the widget that is kept in its attribute `part`."""

    def read(self: Any) -> Any:
        return getattr(self, part).property(name)

    def write(self: Any, value: Any) -> None:
        getattr(self, part).setProperty(name, value)

    return Property(kind, read, write)


def with_setters(cls: WidgetClass) -> WidgetClass:
    """Adds `setValue(v)` for each property `value` of the class."""
    for name, value in list(vars(cls).items()):
        setter = f"set{name[0].upper()}{name[1:]}"
        if isinstance(value, Property) and value.fset is not None and setter not in vars(cls):
            setattr(cls, setter, _setter(name, setter))
    return cls


def _setter(property_name: str, name: str) -> Callable[..., None]:
    def write(self: Any, value: Any) -> None:
        setattr(self, property_name, value)

    write.__name__ = name
    return write
