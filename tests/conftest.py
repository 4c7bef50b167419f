"""Shared fixtures: where the development material is, and what to skip without it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The development material beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared (development clips, corpora and detector)")
    return SHARED


@pytest.fixture(scope="session")
def clips_dir(shared_dir: Path) -> Path:
    """Real talking heads and speech."""
    return shared_dir / "clips"


@pytest.fixture(scope="session")
def data_dir(shared_dir: Path) -> Path:
    """The corpora."""
    return shared_dir / "data"
