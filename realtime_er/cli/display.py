"""Which display there is, and how a session is shown on it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from realtime_er.cli.guard import notice
from realtime_er.errors import ConfigError

if TYPE_CHECKING:
    from realtime_er.sinks.display.app import Look

DISPLAYS = ("window", "terminal", "none")
THEMES = ("dark", "light")
_PROBE_S = 30.0
_INSTALL = "pip install 'realtime_er[window]'"
_LIBRARIES = (
    "Debian, Ubuntu: apt install libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4"
    " libxcb-keysyms1 libxcb-shape0"
)

Kind = Literal["window", "terminal", "lines", "json"]


@dataclass(frozen=True, slots=True)
class DisplayOptions:
    """What the command line asked for; the fields are named as its options."""

    display: str | None = None
    as_json: bool = False
    kiosk: bool = False
    theme: str = "dark"
    screenshot: Path | None = None
    after: float | None = None

    def check(self) -> None:
        """Refuse what cannot be shown.

        Raises:
            ConfigError: an unknown display or theme, or options that exclude each other.
        """
        if self.display is not None and self.display not in DISPLAYS:
            raise ConfigError(
                f"--display must be one of {', '.join(DISPLAYS)}, not {self.display!r}"
            )
        if self.theme not in THEMES:
            raise ConfigError(f"--theme must be one of {', '.join(THEMES)}, not {self.theme!r}")
        if self.as_json and self.display == "terminal":
            raise ConfigError("--json and --display terminal both want stdout; leave one out")
        needs_window = "--kiosk" if self.kiosk else "--screenshot" if self.screenshot else ""
        if needs_window and (self.as_json or self.display in ("terminal", "none")):
            other = "--json" if self.as_json else f"--display {self.display}"
            raise ConfigError(f"{needs_window} needs the window; leave {other} out")
        if self.as_json and self.display == "window":
            raise ConfigError("--json and --display window exclude each other; leave one out")
        if self.after is not None and self.screenshot is None:
            raise ConfigError("--after says when to take the --screenshot; give both")
        if self.screenshot is not None and not self.screenshot.absolute().parent.is_dir():
            raise ConfigError(
                f"--screenshot {self.screenshot}: there is no folder {self.screenshot.parent}"
            )

    def kind(self, *, terminal: bool) -> Kind:
        """The display to use.

        Args:
            terminal: Whether stdout is a terminal.

        Raises:
            ConfigError: a window was asked for and there can be none.
        """
        if self.as_json:
            return "json"
        if self.display == "none":
            return "lines"
        if self.display == "terminal":
            return "terminal" if terminal else "lines"
        wanted = self.display == "window" or self.kiosk or self.screenshot is not None
        if self.screenshot is not None and not has_screen(os.environ):
            # A picture needs no screen: Qt can paint without one.
            os.environ["QT_QPA_PLATFORM"] = "offscreen"
        why_not = why_no_window(os.environ)
        if not why_not:
            return "window"
        if wanted:
            raise ConfigError(f"no window: {why_not}")
        if has_screen(os.environ):
            notice(f"note: no window: {why_not}")
        return "terminal" if terminal else "lines"

    def look(self, title: str) -> Look:
        """How the window shows it."""
        from realtime_er.sinks.display.app import Look

        return Look(
            title=title,
            theme=self.theme,
            kiosk=self.kiosk,
            screenshot=self.screenshot,
            after_s=10.0 if self.after is None else self.after,
        )


def has_screen(environment: Mapping[str, str]) -> bool:
    """Whether there is anything to open a window on."""
    if sys.platform != "linux" or environment.get("QT_QPA_PLATFORM"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def why_no_window(environment: Mapping[str, str], probe: Callable[[], str] | None = None) -> str:
    """Why no window can be opened, in one line; empty when one can."""
    if not has_screen(environment):
        return "there is no display (DISPLAY and WAYLAND_DISPLAY are not set)"
    missing = [name for name in ("PySide6", "pyqtgraph") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed; try: {_INSTALL}"
    return (probe or _probe)()


def _probe() -> str:
    """Open Qt once in another process: where it cannot reach the display it aborts its own."""
    code = "from PySide6.QtWidgets import QApplication; QApplication([])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=_PROBE_S
        )
    except subprocess.TimeoutExpired:
        return f"Qt did not start within {_PROBE_S:.0f} s"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if any("cannot open shared object" in line for line in lines):
        return f"{lines[-1]}; {_LIBRARIES}"
    if any("xcb-cursor" in line for line in lines):
        return f"a system library of Qt is missing; {_LIBRARIES}"
    return f"Qt cannot use the display: {lines[0] if lines else 'it gave no reason'}"
