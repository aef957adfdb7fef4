"""Messages and modal dialogs, recorded instead of shown, with the answers a test has prepared."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any

import slicer

from . import pythonqt


@dataclass(frozen=True)
class Message:
    """Something the user would have been shown: "information", "warning", "error", "question", or the name of a dialog's function."""

    kind: str
    text: str


class ModalDialogError(RuntimeError):
    """A dialog that would wait for a user was opened and no answer had been prepared."""


messages: list[Message] = []
_answers: deque[Any] = deque()
_KINDS = {logging.INFO: "information", logging.WARNING: "warning", logging.ERROR: "error"}


def answer_next(*answers: Any) -> None:
    """Prepares what the next question or dialog returns; without it a `slicer.util` question is answered with yes and a dialog is an error."""
    _answers.extend(answers)


def clear() -> None:
    messages.clear()
    _answers.clear()


def install() -> None:
    """Puts the recorder behind `slicer.util`'s displays and Qt's modal functions."""
    slicer.util._messageDisplay = _message_display
    slicer.util.messageBox = _message_box
    slicer.util.delayDisplay = lambda message, *_args, **_kwargs: messages.append(Message("information", message))
    pythonqt.modal_hook = _modal


def _message_display(level: int, text: str, testing_value: Any, *_args: Any, standardButtons: int = 0, **_kwargs: Any) -> Any:
    buttons = int(standardButtons)
    message_box = pythonqt.QtWidgets.QMessageBox
    question = buttons & int(message_box.Cancel | message_box.No | message_box.Retry)
    messages.append(Message("question" if question else _KINDS[level], text))
    if not question:
        return None
    agreed = bool(_answers.popleft()) if _answers else True
    yes = next(button for button in (message_box.Ok, message_box.Yes, message_box.Retry) if buttons & int(button))
    no = next(button for button in (message_box.Cancel, message_box.No, message_box.Close) if buttons & int(button))
    return yes if agreed else no


def _message_box(text: str, *_args: Any, **_kwargs: Any) -> Any:
    messages.append(Message("information", text))
    return _answers.popleft() if _answers else pythonqt.QtWidgets.QMessageBox.Ok


def _modal(subject: Any, name: str, args: tuple[Any, ...]) -> Any:
    text = getattr(subject, "text", lambda: "")() if not isinstance(subject, type) and hasattr(subject, "text") else " ".join(map(str, args))
    messages.append(Message(name, text))
    if not _answers:
        raise ModalDialogError(f"{name} of {subject!r} would wait for a user; prepare its result with answer_next()")
    return _answers.popleft()
