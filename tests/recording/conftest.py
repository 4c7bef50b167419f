"""A recorded session with two raters; a fresh one for each test that may write into it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.recording import samples


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the session; do not write into it."""
    return samples.write_session(tmp_path_factory.mktemp("sessions") / "2026-11-21_ann")


@pytest.fixture
def own_copy(recorded: Path, tmp_path: Path) -> Path:
    """A copy to write into."""
    return Path(shutil.copytree(recorded, tmp_path / "session"))
