"""The sound: how loud it was, when somebody spoke, and whether the microphone hears."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from realtime_er.messages import Absence
from realtime_er.palette import MODALITY_COLOURS
from realtime_er.sinks.display.shown import Shown
from realtime_er.sinks.display.theme import Style, mixed
from realtime_er.sinks.display.timeplot import GUTTER_PX, LEFT_PX

_SILENCE_DBFS = -90.0
_BROKEN = (str(Absence.LOST), str(Absence.BUSY), str(Absence.UNAVAILABLE))


class Sound(QWidget):
    """The waveform's outline, one column per device pixel, and the ribbon of speech under it.

    The outline is filled in numpy: a polygon of a thousand corners costs Qt ten times as much.
    The height is the square root of the amplitude, so that a quiet voice can be seen.
    """

    def __init__(self, style: Style, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._style = style
        self._shown: Shown | None = None
        self._pixels: np.ndarray[tuple[int, int], np.dtype[np.uint32]] | None = None

    def show_sound(self, shown: Shown) -> None:
        """Draw the part of the history that is shown."""
        self._shown = shown
        self.update()

    @property
    def state(self) -> tuple[str, str]:
        """What is written at the right end: the state, and the level."""
        if self._shown is None:
            return "", ""
        snapshot = self._shown.snapshot
        absence = snapshot.states.get("audio")
        if snapshot.muted or absence == Absence.MUTED:
            return "muted", ""
        if absence in (
            Absence.OFF,
            Absence.LOST,
            Absence.BUSY,
            Absence.UNAVAILABLE,
            Absence.ENDED,
        ):
            return str(absence), ""
        level = snapshot.health.level_dbfs
        figure = f"{level:.0f} dB".replace("-", "\N{MINUS SIGN}") if level > _SILENCE_DBFS else ""
        return ("speech" if snapshot.health.speaking else "quiet"), figure

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint outline and ribbon."""
        style, theme, shown = self._style, self._style.theme, self._shown
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.card))
        if shown is None:
            return
        area = QRectF(self.rect()).adjusted(
            LEFT_PX * style.unit, 0, -GUTTER_PX * style.unit, -style.px(10)
        )
        spans = shown.history.speech(shown.start_s, shown.end_s)
        if area.width() >= 8 and area.height() >= 4:
            painter.drawImage(area.topLeft(), self._outline(shown, area, spans))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        ribbon = QRectF(area.left(), self.height() - style.px(6), area.width(), style.px(5))
        painter.setBrush(QColor(theme.track))
        painter.drawRoundedRect(ribbon, ribbon.height() / 2, ribbon.height() / 2)
        painter.setBrush(QColor(MODALITY_COLOURS["audio"]))
        second = area.width() / (shown.end_s - shown.start_s)
        for start_s, end_s in spans:
            part = QRectF(ribbon)
            part.setLeft(area.left() + (start_s - shown.start_s) * second)
            part.setWidth(max((end_s - start_s) * second, 2.0))
            painter.drawRoundedRect(part, ribbon.height() / 2, ribbon.height() / 2)
        painter.setFont(style.font(12, bold=True))
        painter.setPen(QColor(theme.dim))
        painter.drawText(
            QRectF(0, area.top(), area.left(), area.height()),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            "Voice",
        )
        self._paint_state(painter, area)
        painter.end()

    def _outline(self, shown: Shown, area: QRectF, spans: list[tuple[float, float]]) -> QImage:
        theme = self._style.theme
        ratio = self.devicePixelRatioF()
        width, height = round(area.width() * ratio), round(area.height() * ratio)
        peaks = shown.history.peaks(shown.start_s, shown.end_s, width)
        half = np.where(np.isnan(peaks), -1.0, np.sqrt(np.clip(peaks, 0.0, 1.0)) * (height / 2 - 1))
        middle = np.abs(np.arange(height) + 0.5 - height / 2)[:, None]
        centres_s = shown.start_s + (np.arange(width) + 0.5) * (shown.end_s - shown.start_s) / width
        spoken = np.zeros(width, bool)
        for start_s, end_s in spans:
            spoken |= (centres_s >= start_s) & (centres_s < end_s)
        voice = QColor(MODALITY_COLOURS["audio"]).rgb()
        columns = np.where(
            spoken, np.uint32(voice), np.uint32(mixed(theme.faint, theme.card, 0.6).rgb())
        )
        inside = middle <= np.maximum(half, np.where(half < 0, -1.0, 0.5))[None, :]
        pixels = np.where(inside, columns[None, :], np.uint32(QColor(theme.card).rgb()))
        self._pixels = np.ascontiguousarray(pixels)
        image = QImage(self._pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(ratio)
        return image

    def _paint_state(self, painter: QPainter, area: QRectF) -> None:
        style, theme = self._style, self._style.theme
        state, figure = self.state
        gutter = QRectF(
            area.right() + style.px(20), area.top(), style.px(GUTTER_PX - 20), area.height()
        )
        shade = theme.text if state == "speech" else theme.dim
        if state not in ("speech", "quiet"):
            shade = theme.bad if state in _BROKEN else theme.warn
        painter.setFont(style.font(12, bold=shade != theme.dim))
        painter.setPen(QColor(shade))
        painter.drawText(gutter, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, state)
        painter.setFont(style.font(12))
        painter.setPen(QColor(theme.dim))
        painter.drawText(
            gutter, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, figure
        )
