"""Signals and slots the PythonQt way: a slot gets as many arguments as it takes, and one that raises is reported, not lost.

`slot_errors` collects every exception that no caller could catch (in slots, timers, VTK observers); a test that leaves one there fails.
"""

from __future__ import annotations

import inspect
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from PySide6 import QtCore

_CONNECTIONS = "_pythonqt_connections"  # on the PySide object, so that connections live as long as their sender
_FIXED_ARITY: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (  # PySide chooses the overload by the arity it sees
    lambda call: lambda: call(),
    lambda call: lambda a: call(a),
    lambda call: lambda a, b: call(a, b),
    lambda call: lambda a, b, c: call(a, b, c),
    lambda call: lambda a, b, c, d: call(a, b, c, d),
)


@dataclass(frozen=True)
class SlotError:
    """An exception that left a slot, a timer's function or a VTK observer."""

    exception: BaseException
    text: str


slot_errors: list[SlotError] = []


def report_exception(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
    """Prints and records an exception nobody can catch; `sys.excepthook` of the bench."""
    text = "".join(traceback.format_exception(kind, value, trace))
    slot_errors.append(SlotError(value, text))
    sys.stderr.write(text)


def signal_signatures(sender: QtCore.QObject, name: str) -> list[str]:
    """Signatures of the signal `name`, longest first, as C++ spells them: "currentNodeChanged(vtkMRMLNode*)"."""
    meta = sender.metaObject()
    key = type(sender), meta.className(), meta.methodCount()
    if key not in _signals_of_class:
        _signals_of_class[key] = _signals(meta)
    return _signals_of_class[key].get(name, [])


_signals_of_class: dict[tuple[type, str, int], dict[str, list[str]]] = {}  # asked for at every look at an attribute


def _signals(meta: QtCore.QMetaObject) -> dict[str, list[str]]:
    """The signatures of every signal, by its name, longest first."""
    found: dict[str, set[str]] = {}
    for method in (meta.method(index) for index in range(meta.methodCount())):
        if method.methodType() == QtCore.QMetaMethod.Signal:
            found.setdefault(bytes(method.name().data()).decode(), set()).add(_signature(method))
    return {name: sorted(signatures, key=lambda signature: -_arity_of_signature(signature)) for name, signatures in found.items()}


def _signature(method: QtCore.QMetaMethod) -> str:
    # A Python object has no C++ type name: the stand-ins' signals give it as the parameter's name.
    types = [bytes(kind.data()).decode() for kind in method.parameterTypes()]
    names = [bytes(name.data()).decode() for name in method.parameterNames()]
    spelled = [name if kind == "PyObject" and name else kind for kind, name in zip(types, names, strict=True)]
    return f"{bytes(method.name().data()).decode()}({','.join(spelled)})"


def _arity_of_signature(signature: str) -> int:
    arguments = signature[signature.index("(") + 1 : -1]
    return arguments.count(",") + 1 if arguments else 0


def normalized(signature: str) -> str:
    """The signature without the spaces, `const` and references that make no difference."""
    return re.sub(r"\bconst\b|[\s&]", "", signature)


def connect(sender: QtCore.QObject, signature: str, slot: Callable[..., Any], to_python: Callable[[Any], Any]) -> bool:
    """Connects the signal of exactly this signature; raises ValueError where the real PythonQt only returns False."""
    name = signature.split("(")[0]
    known = signal_signatures(sender, name)
    if normalized(signature) not in known:
        remedy = f"it has {', '.join(known)}" if known else f"it has no signal named {name!r}"
        raise ValueError(f"{sender.metaObject().className()} has no signal {signature!r}: {remedy}")
    if not callable(slot):
        raise ValueError(f"{sender.metaObject().className()}.{name}: {slot!r} cannot be called")
    count = _arity_of_signature(normalized(signature))
    takes = slot_arity(slot, count)

    def call(*arguments: Any) -> None:
        try:
            slot(*[to_python(argument) for argument in arguments[:takes]])
        except Exception:
            report_exception(*_exception_info())

    adapter = _FIXED_ARITY[count](call)
    _overload(sender, name, normalized(signature), known).connect(adapter)
    sender.__dict__.setdefault(_CONNECTIONS, []).append((normalized(signature), slot, adapter))
    return True


def disconnect(sender: QtCore.QObject, signature: str, slot: Callable[..., Any] | None = None) -> bool:
    """Undoes the connections of the signal to `slot` (to every slot when None); False when there was none."""
    connections = sender.__dict__.get(_CONNECTIONS, [])
    wanted, name = normalized(signature), signature.split("(")[0]
    known = signal_signatures(sender, name)
    found = [entry for entry in connections if entry[0] == wanted and (slot is None or entry[1] == slot)]
    for entry in found:
        _overload(sender, name, entry[0], known).disconnect(entry[2])
        connections.remove(entry)
    return bool(found) or (slot is None and bool(known))


def _exception_info() -> tuple[type[BaseException], BaseException, TracebackType | None]:
    kind, value, trace = sys.exc_info()
    assert kind is not None and value is not None
    return kind, value, trace


def _overload(sender: QtCore.QObject, name: str, signature: str, known: list[str]) -> Any:
    signal = getattr(sender, name)
    if len(known) == 1:
        return signal
    arguments = signature[signature.index("(") + 1 : -1]
    return signal[tuple(arguments.split(","))] if arguments else signal


def slot_arity(slot: Callable[..., Any], available: int) -> int:
    """How many of the `available` arguments `slot` is called with."""
    counts = getattr(slot, "argument_counts", None)
    if counts is not None:  # a Qt slot: the longest overload that fits
        return max((count for count in counts() if count <= available), default=available)
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):
        return available
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return available
    positional = [parameter for parameter in parameters if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)]
    return min(available, len(positional))
