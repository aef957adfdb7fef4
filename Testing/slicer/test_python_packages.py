"""Packages are looked for without importing them, asked for once, and installed the way Slicer wants it."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import sys
import types

import pytest
import slicer

from DosePredictionLib import PythonPackages as python_packages
from DosePredictionLib.PythonPackages import PythonPackages
from slicer_bench import message_recorder


@pytest.fixture
def torch_utils(monkeypatch):
    """The PyTorch extension, which notes how it was called; `result` is what its installation gives."""
    calls = []
    fake = types.ModuleType("PyTorchUtils")
    fake.__spec__ = importlib.machinery.ModuleSpec("PyTorchUtils", None)
    fake.result = "torch"

    class PyTorchUtilsLogic:
        def installTorch(self, **options):
            calls.append(options)
            return fake.result

    fake.PyTorchUtilsLogic = PyTorchUtilsLogic
    fake.calls = calls
    monkeypatch.setitem(sys.modules, "PyTorchUtils", fake)
    return fake


@pytest.fixture
def nothing_there(monkeypatch):
    monkeypatch.setattr(python_packages, "NEEDED", ("no_such_package",))


def test_what_is_installed_is_not_missing():
    assert PythonPackages().missing() == ()


def test_what_is_not_installed_is_named(nothing_there):
    assert PythonPackages().missing() == ("no_such_package",)


def test_the_question_names_the_packages_and_a_no_is_a_no():
    message_recorder.answer_next(False)
    assert not PythonPackages().ask(("torch", "safetensors"))
    (message,) = message_recorder.messages
    assert message.kind == "question"
    assert "torch, safetensors" in message.text


@pytest.fixture
def wheels(tmp_path):
    python_packages.set_wheels_folder(str(tmp_path))
    yield str(tmp_path)
    python_packages.set_wheels_folder("")


def test_with_a_folder_of_wheels_the_question_says_that_nothing_is_downloaded(wheels):
    PythonPackages().ask(("torch",))
    (message,) = message_recorder.messages
    assert wheels in message.text and "Nothing is downloaded" in message.text


def test_with_a_folder_of_wheels_all_comes_from_there_and_not_from_the_network(monkeypatch, wheels, torch_utils):
    asked = []
    monkeypatch.setattr(slicer.util, "pip_install", asked.append)
    assert PythonPackages().install(("torch", "scipy")) == ""
    assert asked == [["--no-index", "--find-links", wheels, "torch", "scipy"]]
    assert torch_utils.calls == []


def test_wheels_that_do_not_do_are_told_with_their_folder(monkeypatch, wheels):
    def fail(_requirements):
        raise RuntimeError("no matching distribution")

    monkeypatch.setattr(slicer.util, "pip_install", fail)
    problem = PythonPackages().install(("torch",))
    assert "no matching distribution" in problem and wheels in problem


def test_versions_are_told_without_importing_anything(monkeypatch):
    monkeypatch.setattr(python_packages, "LISTED", ("torch", "no_such_package"))
    found = python_packages.versions()
    assert found["torch"] == importlib.metadata.version("torch")
    assert found["no_such_package"] == "not installed"
    assert found["Slicer"] == "5.12"


def test_without_the_pytorch_extension_the_user_is_sent_to_it():
    assert "PyTorch extension" in PythonPackages().install(("torch",))


def test_torch_comes_through_the_pytorch_extension(torch_utils):
    assert PythonPackages().install(("torch",)) == ""
    assert torch_utils.calls == [{"askConfirmation": False, "torchVersionRequirement": ">=2.2"}]


def test_a_torch_that_did_not_come_is_told(torch_utils):
    torch_utils.result = None
    assert "could not be installed" in PythonPackages().install(("torch",))


def test_other_packages_come_through_pip_and_a_failure_is_a_sentence(monkeypatch, nothing_there):
    def fail(requirements, **_options):
        raise RuntimeError(f"no network for {requirements}")

    monkeypatch.setattr(slicer.util, "pip_install", fail)
    problem = PythonPackages().install(("no_such_package",))
    assert "no network for no_such_package" in problem
    assert "check the network" in problem


def test_from_slicer_5_12_on_they_come_through_its_own_packaging_without_a_second_question(monkeypatch, nothing_there):
    asked = []
    fake = types.ModuleType("slicer.packaging")
    fake.__spec__ = importlib.machinery.ModuleSpec("slicer.packaging", None)
    fake.pip_ensure = lambda requirements, **options: asked.append(([one.name for one in requirements], options))
    monkeypatch.setitem(sys.modules, "slicer.packaging", fake)
    assert "could not be installed" in PythonPackages().install(("no_such_package",))  # for this one installs nothing
    assert asked == [(["no_such_package"], {"prompt_install": False, "requester": "DosePrediction"})]
