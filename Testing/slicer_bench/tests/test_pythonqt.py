"""The bench's `qt` behaves as PythonQt does, but where a deviation is listed with its reason."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .pythonqt_behaviour import DEVIATIONS, GROUPS, Group, Raises


def outcome_of(code: str, namespace: dict[str, Any]) -> Any:
    statements = ast.parse(code).body
    try:
        last = statements[-1]
        if not isinstance(last, ast.Expr):
            exec(code, namespace)
            return None
        exec(compile(ast.Module(statements[:-1], []), "<fact>", "exec"), namespace)
        return eval(compile(ast.Expression(last.value), "<fact>", "eval"), namespace)
    except Exception as error:
        return Raises(type(error).__name__)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_behaves_as_pythonqt(bench: ModuleType, group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt

    from slicer_bench.pythonqt_signals import slot_errors

    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"qt": qt}
    exec(group.setup, namespace)
    for code, outcome in group.facts:
        expected = DEVIATIONS[code].outcome if code in DEVIATIONS else outcome
        assert outcome_of(code, namespace) == expected, code
    slot_errors.clear()  # one slot raises on purpose


def test_every_deviation_is_from_a_fact() -> None:
    codes = {code for group in GROUPS for code, _ in group.facts}
    assert set(DEVIATIONS) <= codes
    assert len(codes) >= 130


def test_numpy_numbers_are_taken_as_numbers(bench: ModuleType) -> None:
    import numpy as np
    import qt

    spin_box, double_spin_box = qt.QSpinBox(), qt.QDoubleSpinBox()
    spin_box.value, double_spin_box.value = np.int64(4), np.float32(2.5)
    spin_box.setMaximum(np.int32(50))
    assert (spin_box.value, double_spin_box.value, spin_box.maximum) == (4, 2.5, 50)


def test_plain_integers_stand_for_enumerators(bench: ModuleType) -> None:
    import qt

    item = qt.QTableWidgetItem("v")
    item.setCheckState(2)
    assert item.checkState() == qt.Qt.Checked


def test_a_slot_that_raises_is_recorded_and_the_others_still_run(bench: ModuleType) -> None:
    import qt

    from slicer_bench.pythonqt_signals import slot_errors

    button, calls = qt.QPushButton(), []
    button.clicked.connect(lambda: 1 / 0)
    button.clicked.connect(lambda: calls.append("second"))
    button.click()
    assert [type(error.exception) for error in slot_errors] == [ZeroDivisionError]
    assert calls == ["second"]
    slot_errors.clear()


def test_a_timer_or_an_observer_that_raises_is_recorded(bench: ModuleType) -> None:
    import qt
    import slicer

    from slicer_bench.pythonqt_signals import slot_errors

    qt.QTimer.singleShot(0, lambda: [][1])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver("ModifiedEvent", lambda *_: {}["key"])
    node.SetText("x")
    bench.wait_until(lambda: len(slot_errors) == 2)
    assert {type(error.exception) for error in slot_errors} == {IndexError, KeyError}
    slot_errors.clear()


def test_a_subclass_overrides_virtual_functions_and_may_have_attributes(bench: ModuleType) -> None:
    import qt

    class Filter(qt.QObject):
        def eventFilter(self, watched: Any, event: Any) -> bool:
            self.seen = [*getattr(self, "seen", []), (watched.className(), event.type())]
            return False

    widget, watcher = qt.QLineEdit(), Filter()
    widget.installEventFilter(watcher)
    qt.QApplication.sendEvent(widget, qt.QEvent(qt.QEvent.User))
    assert ("QLineEdit", qt.QEvent.User) in watcher.seen


def test_a_wrapper_is_the_same_object_each_time(bench: ModuleType) -> None:
    import qt

    widget = qt.QWidget()
    button = qt.QPushButton(widget)
    assert widget.children()[0] is button


def test_a_process_talks_over_its_signals(bench: ModuleType) -> None:
    import qt

    process, output, ends = qt.QProcess(), [], []
    process.connect("readyReadStandardOutput()", lambda: output.append(process.readAllStandardOutput().data()))
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ends.append((code, status)))
    process.start("PythonSlicer", ["-c", "print(input()); raise SystemExit(3)"])
    process.write(b"hello\n")
    bench.wait_until(lambda: bool(ends))
    assert b"".join(output) == b"hello\n"
    assert ends == [(3, qt.QProcess.NormalExit)]


def test_a_program_that_cannot_start_says_so(bench: ModuleType) -> None:
    import qt

    process, errors = qt.QProcess(), []
    process.errorOccurred.connect(lambda error: errors.append(error))
    process.start("no-such-program", [])
    bench.wait_until(lambda: bool(errors))
    assert errors == [qt.QProcess.FailedToStart]


def test_settings_survive_within_a_session_and_touch_no_file_of_the_user(bench: ModuleType) -> None:
    import qt
    import slicer

    qt.QSettings().setValue("DosePrediction/device", "cpu")
    assert slicer.app.userSettings().value("DosePrediction/device") == "cpu"
    assert slicer.app.userSettings().fileName().startswith(slicer.app.temporaryPath)


def test_a_modal_dialog_without_a_prepared_answer_is_an_error(bench: ModuleType) -> None:
    import qt

    from slicer_bench import message_recorder

    with pytest.raises(message_recorder.ModalDialogError):
        qt.QMessageBox.question(None, "Title", "Really?")
    message_recorder.answer_next(qt.QMessageBox.Yes)
    assert qt.QMessageBox.question(None, "Title", "Really?") == qt.QMessageBox.Yes


def test_displays_of_slicer_util_are_recorded(bench: ModuleType) -> None:
    import slicer

    from slicer_bench import message_recorder

    slicer.util.errorDisplay("The CT has 3 slices")
    message_recorder.answer_next(False)
    assert slicer.util.confirmOkCancelDisplay("Install PyTorch?") is False
    assert slicer.util.confirmYesNoDisplay("Sure?") is True
    assert [(message.kind, message.text) for message in message_recorder.messages] == [
        ("error", "The CT has 3 slices"),
        ("question", "Install PyTorch?"),
        ("question", "Sure?"),
    ]
