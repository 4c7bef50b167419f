"""Commands in tests see no display, and a notice that was acknowledged."""

import pytest

from realtime_er.cli import first_start


@pytest.fixture(autouse=True)
def no_display(monkeypatch, tmp_path_factory):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(first_start, "acknowledged", lambda: True)
    # For the state of other processes, which they do not find there on other systems than Linux.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
