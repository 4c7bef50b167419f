"""Runs the window and the demo screen: one timer on the main thread pulls, nothing is pushed.

Painting cannot delay an estimate: the pipeline's threads never wait for this one, and what it has
not read yet waits in a mailbox.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QEvent, QEventLoop, Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from realtime_er.consent import Consent
from realtime_er.errors import ConfigError
from realtime_er.sinks.display.consent import ConsentDialog
from realtime_er.sinks.display.controls import Controls
from realtime_er.sinks.display.dialogs import DevicesDialog, KeysDialog
from realtime_er.sinks.display.kiosk import Kiosk
from realtime_er.sinks.display.notice import NoticeDialog
from realtime_er.sinks.display.theme import THEMES
from realtime_er.sinks.display.window import Window

REFRESH_S = 0.05
"""Time between two looks at the session."""

_NO_SCREEN_PX = (1280, 800)


@dataclass(frozen=True, slots=True)
class Look:
    """How it is shown.

    Attributes:
        title: Of the window.
        theme: "dark" or "light".
        kiosk: Begin with the demo screen.
        size_px: Of the window; None leaves it to the screen.
        screenshot: Save a picture there once, and end.
        after_s: Session time of the picture.
    """

    title: str = "realtime_er"
    theme: str = "dark"
    kiosk: bool = False
    size_px: tuple[int, int] | None = None
    screenshot: Path | None = None
    after_s: float = 10.0


def application() -> QApplication:
    """The process's one Qt application, made on first use. Main thread."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    app = QApplication(["realtime-er"])
    app.setApplicationDisplayName("realtime_er")
    app.setQuitOnLastWindowClosed(False)  # the demo screen and the window take turns
    return app


def ask_notice(theme: str) -> bool:
    """Show the first-start notice and wait; whether it was understood. Main thread."""
    application()
    return _answered(NoticeDialog(THEMES[theme]))


def ask_consent(theme: str, answers: tuple[str, str, str]) -> Consent | None:
    """Ask who is recorded, what for, until when, and wait; None when not agreed. Main thread.

    Args:
        theme: "dark" or "light".
        answers: What is known already; each may be "".
    """
    application()
    dialog = ConsentDialog(answers, THEMES[theme])
    return dialog.consent if _answered(dialog) else None


def _answered(dialog: QDialog) -> bool:
    """Show a dialog of its own and wait; whether it was accepted."""
    # Python runs signal handlers only when it runs at all, so something has to wake it up.
    waker = QTimer(dialog)
    waker.timeout.connect(lambda: None)
    waker.start(100)
    old = signal.signal(signal.SIGINT, lambda _number, _frame: dialog.reject())
    try:
        return bool(dialog.exec() == QDialog.DialogCode.Accepted)
    finally:
        signal.signal(signal.SIGINT, old)


def show(
    controls: Controls,
    pump: Callable[[], bool],
    look: Look,
    *,
    message: Callable[[], str] = str,
) -> None:
    """Show a session until somebody closes it or it ends. Main thread.

    Args:
        controls: What is shown, and what can be done to it.
        pump: Called before each look; False ends the show. What it raises comes out of here.
        look: How it is shown.
        message: Instead of the demo screen's content while it is not empty ("Starting again").

    Raises:
        ConfigError: the screenshot cannot be written, or it ended before its time.
    """
    application()
    _Show(controls, pump, look, message).run()


class _Show:
    def __init__(
        self,
        controls: Controls,
        pump: Callable[[], bool],
        look: Look,
        message: Callable[[], str],
    ) -> None:
        self._controls = controls
        self._pump = pump
        self._look = look
        self._message = message
        self._theme = THEMES[look.theme]
        self._loop = QEventLoop()
        self._fault: BaseException | None = None
        self._saved = False
        self._ticking = False
        self._window = Window(controls, title=look.title, theme=self._theme)
        self._window.closed.connect(self._loop.quit)
        self._window.wants_kiosk.connect(self._to_kiosk)
        self._window.wants_devices.connect(self._choose_devices)
        self._window.wants_keys_help.connect(self._list_keys)
        self._window.wants_consent.connect(self._ask_consent)
        self._kiosk: Kiosk | None = None
        self._dialogs: dict[str, QDialog] = {}
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def run(self) -> None:
        old_hook = sys.excepthook
        # PySide hands what a paint or key event raises to this hook and goes on; we do not.
        sys.excepthook = self._failed
        try:
            self._begin()
            self._timer.start(round(1000 * REFRESH_S))
            self._loop.exec()
        finally:
            sys.excepthook = old_hook
            self._timer.stop()
            for widget in (*self._dialogs.values(), self._kiosk, self._window):
                if widget is not None:
                    widget.hide()
                    widget.deleteLater()
            # By its name, since without a loop that runs nothing else deletes; and what the widgets
            # hold (a session, a sound device) must not wait for the end of Python.
            application().sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if self._fault is not None:
            raise self._fault
        if self._look.screenshot is not None and not self._saved:
            raise ConfigError(
                f"--screenshot {self._look.screenshot}: not taken, since it ended before;"
                " choose an earlier second with --after"
            )

    def _begin(self) -> None:
        if self._look.size_px is not None:
            self._window.resize(*self._look.size_px)
        elif QGuiApplication.platformName() == "offscreen":
            self._window.resize(*_NO_SCREEN_PX)
        else:
            screen = QGuiApplication.primaryScreen().availableSize()
            self._window.resize(min(1440, screen.width()), min(860, screen.height()))
        if self._look.kiosk:
            self._to_kiosk()
        else:
            self._window.show()

    def _tick(self) -> None:
        # A dialog's own event loop, or a slow pump, must not let a second tick in.
        if self._ticking:
            return
        self._ticking = True
        try:
            if self._pump():
                self._refresh()
            else:
                self._loop.quit()
        except BaseException as error:  # noqa: BLE001 - raised again by run()
            self._fault = error
            self._loop.quit()
        finally:
            self._ticking = False

    def _refresh(self) -> None:
        if self._kiosk is not None and self._kiosk.isVisible():
            self._kiosk.set_message(self._message())
            self._kiosk.refresh()
            shown: QWidget = self._kiosk
        else:
            self._window.refresh()
            shown = self._window
        target = self._look.screenshot
        if target is not None and self._controls.snapshot().now_s >= self._look.after_s:
            save_widget(shown, target)
            self._saved = True
            self._loop.quit()

    def _to_kiosk(self) -> None:
        if self._kiosk is None:
            self._kiosk = Kiosk(self._controls.snapshot, theme=self._theme, title=self._look.title)
            self._kiosk.left.connect(self._to_window)
            self._kiosk.closed.connect(self._loop.quit)
        size_px = self._look.size_px
        if size_px is None and QGuiApplication.platformName() == "offscreen":
            size_px = _NO_SCREEN_PX
        if size_px is not None:
            self._kiosk.resize(*size_px)
            self._kiosk.show()
        else:
            # Without a window manager nobody makes a full-screen window as large as the screen.
            self._kiosk.setGeometry(QGuiApplication.primaryScreen().geometry())
            self._kiosk.showFullScreen()
        self._window.hide()

    def _to_window(self) -> None:
        self._window.show()
        self._window.activateWindow()
        if self._kiosk is not None:
            self._kiosk.hide()

    def _choose_devices(self) -> None:
        self._open("devices", lambda: DevicesDialog(self._controls, self._theme, self._window))

    def _ask_consent(self) -> None:
        question = self._controls.consent
        asked = self._dialogs.get("consent")
        if question is None or (asked is not None and asked.isVisible()):
            return
        dialog = ConsentDialog(question.answers(), self._theme, self._window)

        def agreed() -> None:
            if dialog.consent is not None:
                question.give(dialog.consent)
                self._window.begin_recording()

        dialog.accepted.connect(agreed)
        self._open("consent", lambda: dialog)

    def _list_keys(self) -> None:
        self._open("keys", lambda: KeysDialog(self._window.keys(), self._theme, self._window))

    def _open(self, name: str, make: Callable[[], QDialog]) -> None:
        old = self._dialogs.pop(name, None)
        if old is not None:
            old.deleteLater()
        dialog = self._dialogs[name] = make()
        # Without a window manager the keyboard would neither go there nor come back by itself.
        dialog.finished.connect(self._window.activateWindow)
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()

    def _failed(
        self,
        _kind: type[BaseException],
        error: BaseException,
        _trace: TracebackType | None,
    ) -> None:
        self._fault = error
        self._loop.quit()


def save_widget(widget: QWidget, path: Path) -> None:
    """Save what a widget shows as a picture; the ending of the name decides the format.

    Raises:
        ConfigError: it cannot be written.
    """
    if not widget.grab().save(str(path)):
        raise ConfigError(
            f"--screenshot {path}: cannot be written (is the folder there, does the name end in .png?)"
        )
