"""The demo screen: reads from four metres, needs no explanation, runs for a day by itself.

``Kiosk`` pulls a snapshot when it is told to and paints it. What it says is decided in
``kiosk_scene``, when things move in ``kiosk_motion``, where they stand in ``kiosk_layout``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QCloseEvent, QImage, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from realtime_er.messages import Snapshot
from realtime_er.sinks.display.kiosk_backdrop import Backdrop, Glow, colour_bgr
from realtime_er.sinks.display.kiosk_camera import CameraPanel
from realtime_er.sinks.display.kiosk_motion import Change, Presence
from realtime_er.sinks.display.kiosk_scene import WAKING, Scene, scene_of
from realtime_er.sinks.display.kiosk_style import KioskStyle
from realtime_er.sinks.display.kiosk_words import (
    ShownWord,
    paint_footer,
    paint_invitation,
    paint_message,
    paint_speakers,
    paint_spoken,
    paint_word,
)
from realtime_er.sinks.display.theme import Theme

WORD_FADE_S = 0.35
NOTE_FADE_S = 0.8
_GLOW = (0.06, 0.14)  # strength without and with certainty


class Kiosk(QWidget):
    """The demo screen. Main thread.

    Args:
        snapshot: Asked at each ``refresh``.
        theme: Colours.
        title: Of the window.
        parent: Qt's parent; None makes it a window of its own.
    """

    left = Signal()
    """F11 or Esc was pressed: the person wants to leave the demo screen."""
    closed = Signal()
    """The system closed it (Alt+F4): that ends the session, as it does in the window."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        *,
        theme: Theme,
        title: str = "realtime_er",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._ask = snapshot
        self._style = KioskStyle(theme)
        self._style.fit(self.width(), self.height())
        self._backdrop = Backdrop(theme.window, dark=self._style.dark)
        self._camera = CameraPanel()
        self._presence = Presence()
        self._word: Change[ShownWord] | None = None
        self._note = Change("")
        self._snapshot: Snapshot | None = None
        self._scene: Scene | None = None
        self._message = ""
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setCursor(Qt.CursorShape.BlankCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(320, 240)

    # --- what it shows ------------------------------------------------------------------------

    @property
    def scene(self) -> Scene | None:
        """What is said now; None before the first refresh."""
        return self._scene

    @property
    def calm(self) -> float:
        """0 while somebody is there, 1 while the screen invites, wakes up or has a message."""
        return 1.0 if self._message or self._snapshot is None else self._presence.level

    def set_message(self, text: str) -> None:
        """Show only this, in large letters, until it is "": a session is being restarted.

        No snapshot is asked for while a message stands.
        """
        if text != self._message:
            self._message = text
            self.update()

    def refresh(self) -> None:
        """Pull the newest snapshot and paint it; about 20 times a second."""
        if self._message:
            return
        snapshot = self._ask()
        self._presence.update(snapshot)
        scene = scene_of(snapshot)
        if self._word is None:  # what is there from the start does not fade in
            self._word = Change((scene.word, scene.label))
            self._note = Change(scene.picture_note)
        self._word.follow((scene.word, scene.label), snapshot.now_s, WORD_FADE_S)
        self._note.follow(scene.picture_note, snapshot.now_s, NOTE_FADE_S)
        self._camera.follow(snapshot.faces, snapshot.now_s)
        self._snapshot, self._scene = snapshot, scene
        self.update()

    # --- Qt -----------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """F11 and Esc leave; every other key is left to others."""
        if event.key() in (Qt.Key.Key_F11, Qt.Key.Key_Escape):
            self.left.emit()
        else:
            event.ignore()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Say that it was closed."""
        event.accept()
        self.closed.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Re-flow."""
        self._style.fit(self.width(), self.height())
        super().resizeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint what the last ``refresh`` pulled."""
        painter = QPainter(self)
        try:
            painter.setRenderHints(
                QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing
            )
            self._paint(painter)
        finally:
            painter.end()  # a painter that outlives its event brings Qt down

    # --- painting -----------------------------------------------------------------------------

    def _paint(self, painter: QPainter) -> None:
        calm, style, scene = self.calm, self._style, self._scene
        self._paint_backdrop(painter, calm)
        # The one is gone before the other comes: two texts over each other cannot be read.
        if calm < 0.5 and scene is not None and self._snapshot is not None and self._word:
            painter.setOpacity(1.0 - 2.0 * calm)
            ratio = self.devicePixelRatioF()
            self._camera.paint(painter, style, self._snapshot, scene, self._note, ratio)
            paint_word(painter, style, scene, self._word)
            paint_speakers(painter, style, scene)
            paint_spoken(painter, style, scene)
        elif calm > 0.5:
            painter.setOpacity(2.0 * calm - 1.0)
            if self._message:
                paint_message(painter, style, self._message)
            elif self._snapshot is None or self._presence.kind == "waking":
                paint_message(painter, style, WAKING)
            else:
                paint_invitation(painter, style, self._snapshot.now_s)
        painter.setOpacity(1.0)
        paint_footer(painter, style, recorded=scene is not None and scene.recorded)

    def _paint_backdrop(self, painter: QPainter, calm: float) -> None:
        ratio = self.devicePixelRatioF()
        width, height = round(self.width() * ratio), round(self.height() * ratio)
        pixels = self._backdrop.render(
            self._snapshot, calm, (width, height), self._style.layout.ribbon_at, self._glow()
        )
        image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)
        painter.drawImage(QRectF(0, 0, self.width(), self.height()), image)

    def _glow(self) -> Glow | None:
        """A soft light behind the word, in its colour, stronger the surer it is."""
        if self._word is None or self._scene is None:
            return None
        share, colour = 0.0, np.zeros(3, np.float32)
        progress = self._word.progress
        for (_, label), part in ((self._word.before, 1 - progress), (self._word.value, progress)):
            if label is not None:
                share += part
                colour += np.float32(part) * colour_bgr(label)
        if share == 0.0:
            return None
        place, least, more = self._style.layout.word.center(), *_GLOW
        return Glow(
            x=place.x() / self._style.width,
            y=place.y() / self._style.height,
            colour_bgr=colour / np.float32(share),
            strength=share * (least + more * (self._scene.sure or 0.0)),
        )
