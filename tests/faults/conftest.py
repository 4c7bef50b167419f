"""A test that fails leaves no thread behind, or the whole run would wait for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import scripted


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    while scripted.running:
        scripted.running.pop().abandon()
