"""The `qt` module: PySide6 spoken the way PythonQt speaks Qt inside Slicer.

Every Qt class is wrapped, as PythonQt wraps it: a property is an attribute and is never called, an attribute that does not exist
cannot be set, constructors take no keyword arguments, enumerators are integers. The widgets beneath are real.
"""

from __future__ import annotations

import enum
import inspect
import sys
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets
from shibokensupport.signature import get_signature

from . import pythonqt_signals

_WRAPPER = "_pythonqt_wrapper"
_OPERATORS = ("add", "sub", "mul", "truediv", "and", "or", "xor", "invert", "neg", "eq", "ne", "lt", "le", "gt", "ge", "len", "bool", "getitem")
_METHODS_NOT_PROPERTIES = {("QTimer", "singleShot")}  # PythonQt finds the static method before the property
_classes: dict[type, type[Wrapped]] = {}
modal_hook: Callable[[Any, str, tuple[Any, ...]], Any] | None = None


class _WrappedClass(type):
    """Makes `qt.QMessageBox.Ok` and `qt.QTimer.singleShot(...)` work on the wrapped class."""

    _qt_class: type

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            value = getattr(cls._qt_class, name)
        except AttributeError:
            raise AttributeError(f"{cls.__name__} has no attribute named {name!r}") from None
        if isinstance(value, type):
            return wrapped_class(value)
        return Method(None, cls._qt_class, name, value) if callable(value) else to_python(value)


class Wrapped(metaclass=_WrappedClass):
    """A Qt object as Python code in Slicer sees it."""

    __slots__ = ("__weakref__", "_qt")
    _qt: Any
    _qt_class: ClassVar[type]

    def __init_subclass__(cls, qt_class: type | None = None) -> None:
        if qt_class is not None:
            cls._qt_class = qt_class
            return
        overrides = {
            name: _override(name) for name, value in vars(cls).items() if isinstance(value, types.FunctionType) and hasattr(cls._qt_class, name)
        }
        overrides.pop("__init__", None)
        cls._qt_class = type(cls.__name__, (cls._qt_class,), overrides)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs:
            raise ValueError(f"Called {type(self).__name__} with keyword arguments, but called slot does not support kwargs")
        qt_object = _call(self._qt_class, args, self._qt_class)
        object.__setattr__(self, "_qt", qt_object)
        if isinstance(qt_object, QtCore.QObject):
            # A Python subclass carries state of its own, so the object keeps it; any other wrapper can be made again.
            own_state = hasattr(self, "__dict__")
            qt_object.__dict__[_WRAPPER] = (lambda: self) if own_state else weakref.ref(self)

    def __getattr__(self, name: str) -> Any:
        qt_object = self._qt
        if name.startswith("_"):
            raise AttributeError(name)
        if isinstance(qt_object, QtCore.QObject):
            if name == "name":  # PythonQt in Slicer has it, slicer.util.childWidgetVariables relies on it
                return qt_object.objectName()
            if _property(qt_object, name) is not None:
                return to_python(qt_object.property(name))
            if pythonqt_signals.signal_signatures(qt_object, name):
                return SignalFunction(qt_object, name)
        value = getattr(type(qt_object), name, None)
        if value is not None:
            return Method(qt_object, type(qt_object), name, getattr(qt_object, name)) if callable(value) else to_python(value)
        if isinstance(qt_object, QtCore.QObject):
            if name.encode() in [bytes(known.data()) for known in qt_object.dynamicPropertyNames()]:
                return to_python(qt_object.property(name))
            for child in qt_object.children():
                if child.objectName() == name:
                    return to_python(child)
        raise AttributeError(f"{self._class_name()} has no attribute named {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        qt_object = self._qt
        if isinstance(qt_object, QtCore.QObject):
            known = _property(qt_object, name)
            if known is not None:
                _set_property(qt_object, known, value)
                return
            if name.encode() in [bytes(dynamic.data()) for dynamic in qt_object.dynamicPropertyNames()]:
                qt_object.setProperty(name, to_qt(value))
                return
        if not hasattr(self, "__dict__"):
            raise AttributeError(f"{name!r} does not exist on {self._class_name()} and creating new attributes on C++ objects is not allowed")
        object.__setattr__(self, name, value)

    def _class_name(self) -> str:
        return str(self._qt.metaObject().className()) if isinstance(self._qt, QtCore.QObject) else type(self._qt).__name__

    def __repr__(self) -> str:
        name = f', name="{self._qt.objectName()}"' if isinstance(self._qt, QtCore.QObject) and self._qt.objectName() else ""
        return f"{self._class_name()} (at: {id(self._qt):#x}{name})"

    def __eq__(self, other: object) -> bool:
        return bool(self._qt == to_qt(other))

    def __hash__(self) -> int:
        return hash(self._qt)

    def className(self) -> str:
        return self._class_name()

    def inherits(self, name: str) -> bool:
        return bool(self._qt.inherits(name)) if isinstance(self._qt, QtCore.QObject) else name == self._class_name()

    def delete(self) -> None:
        shiboken6.delete(self._qt)

    def connect(self, signature: str, receiver: Any, slot: str | None = None) -> bool:
        function = receiver if slot is None else getattr(receiver, slot.split("(")[0])
        return pythonqt_signals.connect(self._qt, signature, function, to_python)

    def disconnect(self, signature: str, receiver: Any = None, slot: str | None = None) -> bool:
        function = receiver if slot is None else getattr(receiver, slot.split("(")[0])
        return pythonqt_signals.disconnect(self._qt, signature, function)


class SignalFunction:
    """`widget.signal`: connect, disconnect, or call to emit."""

    def __init__(self, qt_object: QtCore.QObject, name: str) -> None:
        self._qt, self._name = qt_object, name
        self._signature = pythonqt_signals.signal_signatures(qt_object, name)[0]

    def connect(self, slot: Callable[..., Any]) -> bool:
        return pythonqt_signals.connect(self._qt, self._signature, slot, to_python)

    def disconnect(self, slot: Callable[..., Any] | None = None) -> bool:
        return pythonqt_signals.disconnect(self._qt, self._signature, slot)

    def __call__(self, *args: Any) -> None:
        getattr(self._qt, self._name).emit(*[to_qt(argument) for argument in args])


class Method:
    """A Qt method or static function, with PythonQt's leniency about numbers and its ValueError for wrong arguments."""

    def __init__(self, qt_object: Any, owner: type, name: str, function: Callable[..., Any]) -> None:
        self._qt, self._owner, self._name, self._function = qt_object, owner, name, function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise ValueError(f"Called {self._owner.__name__}.{self._name} with keyword arguments, but called slot does not support kwargs")
        if modal_hook is not None and _is_modal(self._owner, self._name):
            return modal_hook(self._qt if self._qt is not None else self._owner, self._name, args)
        return _call(self._function, args, self._owner, self._name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Method) and (self._qt, self._owner, self._name) == (other._qt, other._owner, other._name)

    def __hash__(self) -> int:
        return hash((self._qt, self._owner, self._name))

    def __repr__(self) -> str:
        return f"<qt slot {self._name} of {self._owner.__name__}>"

    def argument_counts(self) -> list[int]:
        """Numbers of arguments it can be called with."""
        if isinstance(self._function, types.MethodType):
            parameters = [list(inspect.signature(self._function).parameters.values())]
        else:
            parameters = [list(signature.parameters.values())[1:] for signature in _signatures(self._owner, self._name)]
        counts: list[int] = []
        for signature in parameters:
            positional = [p for p in signature if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
            counts.extend(range(sum(p.default is p.empty for p in positional), len(positional) + 1))
        return counts


def _is_modal(owner: type, name: str) -> bool:
    if name in ("exec", "exec_"):
        return issubclass(owner, (QtWidgets.QDialog, QtWidgets.QMenu))
    statics = ("information", "question", "warning", "critical", "getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory")
    return issubclass(owner, QtWidgets.QDialog) and name in (*statics, "getText", "getItem", "getInt", "getDouble", "getColor", "getFont")


def _signatures(owner: type, name: str = "") -> list[Any]:
    found = get_signature(getattr(owner, name) if name else owner)
    return [] if found is None else found if isinstance(found, list) else [found]


def _call(function: Callable[..., Any], args: tuple[Any, ...], owner: type, name: str = "") -> Any:
    converted = [to_qt(argument) for argument in args]
    if isinstance(function, (types.MethodType, types.FunctionType)) or (isinstance(function, type) and "__init__" in vars(function)):
        return to_python(function(*converted)) if name else function(*converted)  # one of the stand-ins' own methods: its errors are its own
    try:
        # PySide takes None for an empty text where PythonQt makes it the text "None".
        result = _call_leniently(function, converted, owner, name) if None in args else function(*converted)
    except TypeError:
        result = _call_leniently(function, converted, owner, name)
    return to_python(result) if name else result


def _call_leniently(function: Callable[..., Any], args: list[Any], owner: type, name: str) -> Any:
    for signature in _signatures(owner, name):
        parameters = list(signature.parameters.values())[1 if "self" in signature.parameters else 0 :]
        if len(parameters) < len(args):
            continue
        try:
            return function(*[_coerce(argument, parameter.annotation) for argument, parameter in zip(args, parameters, strict=False)])
        except (TypeError, ValueError):
            continue
    raise ValueError(f"Called {owner.__name__}.{name} with wrong arguments: {tuple(args)!r}") from None


def _coerce(value: Any, annotation: Any) -> Any:
    if isinstance(value, (shiboken6.Shiboken.Object, types.FunctionType)):
        return value
    for kind in typing.get_args(annotation) or (annotation,):
        if kind is str:
            return str(value)
        if kind is bool:
            return bool(value)
        if kind in (int, float) and value is not None:
            return kind(value)
        if isinstance(kind, type) and issubclass(kind, enum.Enum) and isinstance(value, int):
            return kind(value)
    return value


def _property(qt_object: QtCore.QObject, name: str) -> QtCore.QMetaProperty | None:
    meta = qt_object.metaObject()
    index = meta.indexOfProperty(name)
    return None if index < 0 or (meta.className(), name) in _METHODS_NOT_PROPERTIES else meta.property(index)


def _set_property(qt_object: QtCore.QObject, known: QtCore.QMetaProperty, value: Any) -> None:
    name, kind = known.name(), known.typeName()
    class_name = qt_object.metaObject().className()
    if not known.isWritable():
        raise AttributeError(f"Property {name!r} of {class_name!r} object is not writable")
    annotation = {"QString": str, "bool": bool, "int": int, "double": float}.get(kind)
    converted = to_qt(value)
    try:
        accepted = qt_object.setProperty(name, _coerce(converted, annotation) if annotation else converted)
    except (TypeError, ValueError):
        accepted = False
    if not accepted or (value is None and annotation in (int, float)):
        raise ValueError(f"Property {name!r} of type {kind!r} of {class_name} does not accept {value!r}")


def to_qt(value: Any) -> Any:
    """What PySide is given for a value from PythonQt code."""
    if isinstance(value, Wrapped):
        return value._qt
    if isinstance(value, type) and issubclass(value, Wrapped):
        return value._qt_class
    if isinstance(value, (list, tuple)):
        return type(value)(to_qt(item) for item in value)
    if isinstance(value, Method) or (callable(value) and not isinstance(value, type) and isinstance(value, (types.FunctionType, types.MethodType))):
        return _reported(value)
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def to_python(value: Any) -> Any:
    """What PythonQt code sees of a value from PySide."""
    if isinstance(value, (list, tuple)):
        return type(value)(to_python(item) for item in value)
    if isinstance(value, enum.Enum) or not isinstance(value, shiboken6.Shiboken.Object):
        return value
    known = value.__dict__.get(_WRAPPER, lambda: None)() if isinstance(value, QtCore.QObject) else None
    if known is not None:
        return known
    wrapper = object.__new__(wrapped_class(type(value)))
    object.__setattr__(wrapper, "_qt", value)
    if isinstance(value, QtCore.QObject):
        value.__dict__[_WRAPPER] = weakref.ref(wrapper)
    return wrapper


def _reported(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        try:
            return to_qt(function(*[to_python(argument) for argument in args]))
        except Exception:
            pythonqt_signals.report_exception(*sys.exc_info())
            return None

    return call


def _override(name: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any) -> Any:
        return _reported(getattr(type(to_python(self)), name).__get__(to_python(self)))(*args)

    call.__name__ = name
    return call


def wrapped_class(qt_class: type) -> Any:
    """The PythonQt class of a PySide class; enumerations stay what they are."""
    if not issubclass(qt_class, shiboken6.Shiboken.Object):
        return qt_class
    if qt_class not in _classes:
        namespace: dict[str, Any] = {"__slots__": (), "__module__": "qt", "__hash__": Wrapped.__hash__}
        if not issubclass(qt_class, QtCore.QObject):
            namespace |= {f"__{name}__": _operator(f"__{name}__") for name in _OPERATORS if f"__{name}__" in dir(qt_class)}
        _classes[qt_class] = _WrappedClass(qt_class.__name__, (Wrapped,), namespace, qt_class=qt_class)
    return _classes[qt_class]


def _operator(name: str) -> Callable[..., Any]:
    def call(self: Wrapped, *args: Any) -> Any:
        return to_python(getattr(self._qt, name)(*[to_qt(argument) for argument in args]))

    return call


class QtModule(types.ModuleType):
    """The flat `qt` module."""

    def __getattr__(self, name: str) -> Any:
        if name == "Signal":
            raise AttributeError("qt.Signal in a Python class is unsafe in PythonQt: write a small Python signal class instead")
        for module in (QtCore, QtGui, QtWidgets):
            value = getattr(module, name, None)
            if value is not None and not name.startswith("_"):
                result = wrapped_class(value) if isinstance(value, type) else Method(None, QtCore.QObject, name, value) if callable(value) else value
                setattr(self, name, result)
                return result
        raise AttributeError(f"module 'qt' has no attribute {name!r}")
