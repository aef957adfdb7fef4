"""The Python packages that a prediction needs and Slicer does not bring: looked for when Predict is pressed, installed after a question only."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import Protocol

import slicer
from slicer.i18n import tr as _

NEEDED = ("torch", "safetensors", "scipy")


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
        question = _(
            "A prediction needs these Python packages, which are not installed yet: {names}.\n\nDownload and install them now? It takes some minutes."
        )
        return bool(slicer.util.confirmOkCancelDisplay(question.format(names=", ".join(names)), _("Dose Prediction")))

    def install(self, names: tuple[str, ...]) -> str:
        """Install on this thread; returns what went wrong as a sentence, empty if nothing did.

        PyTorch comes through the extension of that name only.
        """
        try:
            if "torch" in names:
                problem = _install_torch()
                if problem:
                    return problem
            others = [name for name in names if name != "torch"]
            if others:
                _install(others)
        except Exception as error:  # pip and the network fail in many ways; each is told, none is fatal
            logging.exception("Installation of %s failed", ", ".join(names))
            return _("{names} could not be installed ({error}); check the network connection and press Predict again.").format(
                names=", ".join(names), error=error
            )
        importlib.invalidate_caches()
        left = self.missing()
        return _("{names} could not be installed; see the Python console for the reason.").format(names=", ".join(left)) if left else ""


def _install_torch() -> str:
    if importlib.util.find_spec("PyTorchUtils") is None:
        return _("PyTorch is missing; install the PyTorch extension from the Extensions Manager, restart Slicer and press Predict again.")
    torch_utils = importlib.import_module("PyTorchUtils")
    torch = torch_utils.PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=">=2.2")
    return "" if torch is not None else _("PyTorch could not be installed; see the PyTorch Util module for the reason.")


def _install(names: list[str]) -> None:
    if importlib.util.find_spec("slicer.packaging") is not None:  # Slicer 5.12 and later
        importlib.import_module("slicer.packaging").pip_ensure(names, prompt_install=False, requester="DosePrediction")
    else:
        slicer.util.pip_install(" ".join(names))
