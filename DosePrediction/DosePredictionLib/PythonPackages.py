"""The Python packages that a prediction needs and Slicer does not bring: looked for when Predict is pressed, installed after a question only."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import platform
from typing import Protocol

import qt
import slicer
from slicer.i18n import tr as _

from dose_prediction import __version__

NEEDED = ("torch", "safetensors", "scipy")
LISTED = (*NEEDED, "numpy", "SimpleITK", "pydicom")
WHEELS_SETTING = "DosePrediction/OfflineWheels"


class PackagesProtocol(Protocol):
    """What the panel asks about packages; a test hands in one of its own."""

    def missing(self) -> tuple[str, ...]: ...

    def ask(self, names: tuple[str, ...]) -> bool: ...

    def install(self, names: tuple[str, ...]) -> str: ...


class PythonPackages:
    """Slicer's own Python environment."""

    def missing(self) -> tuple[str, ...]:
        """The needed packages that are not there; none is imported to find out."""
        return tuple(name for name in NEEDED if importlib.util.find_spec(name) is None)

    def ask(self, names: tuple[str, ...]) -> bool:
        """True if the user agrees to install."""
        folder = wheels_folder()
        question = _("A prediction needs these Python packages, which are not installed yet: {names}.").format(names=", ".join(names))
        if folder:
            offer = _("Install them now from {folder}? Nothing is downloaded.").format(folder=folder)
        else:
            offer = _("Download and install them now? It takes some minutes. Without a network, choose a folder of wheels in the Advanced section.")
        return bool(slicer.util.confirmOkCancelDisplay(f"{question}\n\n{offer}", _("Dose Prediction")))

    def install(self, names: tuple[str, ...]) -> str:
        """Install on this thread; returns what went wrong as a sentence, empty if nothing did.

        They come from the folder of wheels where one is chosen; else PyTorch comes through the extension of that name only.
        """
        folder = wheels_folder()
        try:
            problem = _install_offline(names, folder) if folder else _install_online(names)
            if problem:
                return problem
        except Exception as error:  # pip and the network fail in many ways; each is told, none is fatal
            logging.exception("Installation of %s failed", ", ".join(names))
            remedy = _("check what is in {folder}").format(folder=folder) if folder else _("check the network connection")
            sentence = _("{names} could not be installed ({error}); {remedy} and press Predict again.")
            return sentence.format(names=", ".join(names), error=error, remedy=remedy)
        importlib.invalidate_caches()
        left = self.missing()
        return _("{names} could not be installed; see the Python console for the reason.").format(names=", ".join(left)) if left else ""


def wheels_folder() -> str:
    """The folder that packages are installed from without a network; empty if none is chosen.  Kept in the settings, for it is the computer's."""
    return str(qt.QSettings().value(WHEELS_SETTING, "") or "")


def set_wheels_folder(folder: str) -> None:
    """Keep the folder that packages are installed from; an empty one goes back to the network."""
    qt.QSettings().setValue(WHEELS_SETTING, folder)


def versions() -> dict[str, str]:
    """Versions of this extension, Slicer, Python and the packages, from their metadata: none is imported."""
    found = {"DosePrediction": __version__, "Slicer": f"{slicer.app.majorVersion}.{slicer.app.minorVersion}", "Python": platform.python_version()}
    for name in LISTED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = _("not installed")
    return found


def _install_offline(names: tuple[str, ...], folder: str) -> str:
    slicer.util.pip_install(["--no-index", "--find-links", folder, *names])
    return ""


def _install_online(names: tuple[str, ...]) -> str:
    if "torch" in names:
        problem = _install_torch()
        if problem:
            return problem
    others = [name for name in names if name != "torch"]
    if others:
        _install(others)
    return ""


def _install_torch() -> str:
    if importlib.util.find_spec("PyTorchUtils") is None:
        return _("PyTorch is missing; install the PyTorch extension from the Extensions Manager, restart Slicer and press Predict again.")
    torch_utils = importlib.import_module("PyTorchUtils")
    torch = torch_utils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=">=2.2")
    return "" if torch is not None else _("PyTorch could not be installed; see the PyTorch Util module for the reason.")


def _install(names: list[str]) -> None:
    if importlib.util.find_spec("slicer.packaging") is not None:  # Slicer 5.12 and later
        from packaging.requirements import Requirement

        requirements = [Requirement(name) for name in names]  # its first versions take no texts
        importlib.import_module("slicer.packaging").pip_ensure(requirements, prompt_install=False, requester="DosePrediction")
    else:
        slicer.util.pip_install(" ".join(names))
