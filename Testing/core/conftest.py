"""Fixtures for the tests of the core."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def openkbp_folder() -> Path:
    """The OpenKBP cases, `shared/openkbp` beside the repository; a test that asks for them is skipped where they are not."""
    folder = REPOSITORY.parent / "shared" / "openkbp"
    if not folder.is_dir():
        pytest.skip(f"needs the OpenKBP cases in ../{folder.relative_to(REPOSITORY.parent)}, which are not here")
    return folder
