"""Which display is chosen, and what is said when there can be none."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from realtime_er.cli import display as display_module
from realtime_er.cli.display import DisplayOptions, has_screen, why_no_window
from realtime_er.errors import ConfigError

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can lack a display")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"display": "hologram"},
            "--display must be one of window, terminal, none, not 'hologram'",
        ),
        ({"theme": "pink"}, "--theme must be one of dark, light, not 'pink'"),
        ({"as_json": True, "display": "terminal"}, "both want stdout"),
        ({"as_json": True, "display": "window"}, "exclude each other"),
        ({"kiosk": True, "display": "none"}, "--kiosk needs the window; leave --display none out"),
        ({"kiosk": True, "as_json": True}, "--kiosk needs the window; leave --json out"),
        ({"after": 3.0}, "--after says when to take the --screenshot"),
    ],
)
def test_what_excludes_each_other_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        DisplayOptions(**options).check()


def test_a_screenshot_needs_a_folder_that_exists(tmp_path):
    DisplayOptions(screenshot=tmp_path / "a.png").check()
    with pytest.raises(ConfigError, match="there is no folder"):
        DisplayOptions(screenshot=tmp_path / "nowhere" / "a.png").check()


@linux
def test_without_a_display_the_terminal_or_lines():
    assert DisplayOptions().kind(terminal=True) == "terminal"
    assert DisplayOptions().kind(terminal=False) == "lines"
    assert DisplayOptions(display="none").kind(terminal=True) == "lines"
    assert DisplayOptions(as_json=True).kind(terminal=True) == "json"
    for wanted in (DisplayOptions(display="window"), DisplayOptions(kiosk=True)):
        with pytest.raises(ConfigError, match="no window: there is no display"):
            wanted.kind(terminal=True)


def test_with_a_display_the_window(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(display_module, "why_no_window", lambda environment: "")
    assert DisplayOptions().kind(terminal=True) == "window"
    assert DisplayOptions(display="terminal").kind(terminal=True) == "terminal"


def test_a_window_that_cannot_be_is_said_and_the_terminal_taken(monkeypatch, capsys):
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setattr(display_module, "why_no_window", lambda environment: "Qt is unwell")
    assert DisplayOptions().kind(terminal=True) == "terminal"
    assert capsys.readouterr().err == "note: no window: Qt is unwell\n"
    with pytest.raises(ConfigError, match="no window: Qt is unwell"):
        DisplayOptions(display="window").kind(terminal=True)


@linux
def test_a_screenshot_needs_no_display(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(display_module, "why_no_window", lambda env: seen.append(dict(env)) or "")
    monkeypatch.setenv("QT_QPA_PLATFORM", "")  # so that monkeypatch puts back what is set now
    assert DisplayOptions(screenshot=tmp_path / "a.png").kind(terminal=False) == "window"
    assert seen[0]["QT_QPA_PLATFORM"] == "offscreen"


def test_packages_that_are_missing_are_named_with_the_command(monkeypatch):
    monkeypatch.setattr(display_module.importlib.util, "find_spec", lambda name: None)
    reason = why_no_window({"DISPLAY": ":0"}, probe=lambda: "")
    assert reason == "PySide6 and pyqtgraph not installed; try: pip install 'realtime_er[window]'"


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("ImportError: libEGL.so.1: cannot open shared object file\n", "apt install libegl1"),
        ("qt.qpa.plugin: From 6.5.0, xcb-cursor0 or libxcb-cursor0 is needed\n", "libxcb-cursor0"),
        ("qt.qpa.xcb: could not connect to display :9\n", "could not connect to display :9"),
        ("", "it gave no reason"),
    ],
)
def test_what_qt_says_becomes_one_line(monkeypatch, stderr, reason):
    done = SimpleNamespace(returncode=1, stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    said = display_module._probe()
    assert reason in said
    assert "\n" not in said


def test_a_qt_that_hangs_is_no_display(monkeypatch):
    def hang(*args, **kwargs):
        raise subprocess.TimeoutExpired("python", 30)

    monkeypatch.setattr(subprocess, "run", hang)
    assert display_module._probe() == "Qt did not start within 30 s"


@linux
def test_screens_by_their_variables():
    assert not has_screen({})
    assert has_screen({"WAYLAND_DISPLAY": "wayland-0"})
    assert has_screen({"QT_QPA_PLATFORM": "offscreen"})
