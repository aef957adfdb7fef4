"""Where the data files of the product lie: beside the package in the extension, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def resource_path(name: str) -> Path:
    """The path of a file or folder of `Resources`, such as ``"Models"``; it need not exist."""
    installed = PACKAGE / "resources"
    return (installed if installed.is_dir() else PACKAGE.parent / "Resources") / name
