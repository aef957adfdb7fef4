"""Fixtures for the tests of the core."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dicom_files import water_folder

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def openkbp_folder() -> Path:
    """The OpenKBP cases, `shared/openkbp` beside the repository; a test that asks for them is skipped where they are not."""
    folder = REPOSITORY.parent / "shared" / "openkbp"
    if not folder.is_dir():
        pytest.skip(f"needs the OpenKBP cases in ../{folder.relative_to(REPOSITORY.parent)}, which are not here")
    return folder


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM study of the water case, not to be changed."""
    return water_folder(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """The same study, to do with what a test likes."""
    return Path(shutil.copytree(pristine, tmp_path / "water"))
