"""Commands in tests see no display and no notice that this person has acknowledged."""

import pytest


@pytest.fixture(autouse=True)
def no_display(monkeypatch, tmp_path_factory):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    # Only Linux reads it; elsewhere nothing here asks for the notice either: stdin is no terminal.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
