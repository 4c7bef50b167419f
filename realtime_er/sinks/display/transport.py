"""The timeline of a replay: play, pause, scrub, speed."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QWidget

from realtime_er.sinks.display.controls import ShownMark, Transport
from realtime_er.sinks.display.status import clock_text
from realtime_er.sinks.display.theme import Style, mixed

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The speeds that are offered; 1.0 is real time."""


def speed_text(speed: float) -> str:
    """A speed as people write it."""
    return f"{speed:g}\N{MULTIPLICATION SIGN}"


def next_speed(speed: float, steps: int) -> float:
    """The offered speed ``steps`` above the given one, negative: below; the last at the ends."""
    nearest = min(range(len(SPEEDS)), key=lambda place: abs(SPEEDS[place] - speed))
    return SPEEDS[min(max(nearest + steps, 0), len(SPEEDS) - 1)]


class TransportBar(QWidget):
    """A button, a line to drag on with the annotations on it, and seven speeds."""

    def __init__(self, style: Style, transport: Transport, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._style = style
        self._transport = transport
        self._marks: tuple[ShownMark, ...] = ()
        self._key: object = None
        self._drags = False

    def show_transport(self, marks: tuple[ShownMark, ...]) -> None:
        """Draw where the replay is."""
        transport = self._transport
        key = (transport.position_s, transport.span_s, transport.speed, transport.playing, marks)
        if key != self._key:
            self._key, self._marks = key, marks
            self.update()

    # --- places -------------------------------------------------------------------------------

    def button_area(self) -> QRectF:
        """Where play and pause are."""
        side = min(float(self._style.px(34)), float(self.height()))
        return QRectF(0, (self.height() - side) / 2, side, side)

    def speed_areas(self) -> list[QRectF]:
        """Where each of ``SPEEDS`` is."""
        width, height = float(self._style.px(40)), float(self._style.px(24))
        left = self.width() - width * len(SPEEDS)
        return [
            QRectF(left + width * place, (self.height() - height) / 2, width, height)
            for place in range(len(SPEEDS))
        ]

    def line_area(self) -> QRectF:
        """Where the line is; clicks anywhere at its height count."""
        style = self._style
        left = self.button_area().right() + style.px(62)
        right = self.speed_areas()[0].left() - style.px(66)
        return QRectF(left, 0, max(right - left, 10.0), self.height())

    def _time_at(self, x: float) -> float:
        line = self.line_area()
        start_s, end_s = self._transport.span_s
        return start_s + min(max((x - line.left()) / line.width(), 0.0), 1.0) * (end_s - start_s)

    # --- painting -----------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint button, line and speeds."""
        style, theme, transport = self._style, self._style.theme, self._transport
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.card))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_button(painter)
        start_s, end_s = transport.span_s
        position_s = min(max(transport.position_s, start_s), end_s)
        line = self.line_area()
        painter.setFont(style.font(12.5))
        painter.setPen(QColor(theme.text))
        centre = Qt.AlignmentFlag.AlignCenter
        side = style.px(60)
        painter.drawText(
            QRectF(line.left() - side, 0, side - style.px(6), self.height()),
            centre,
            clock_text(position_s - start_s),
        )
        painter.setPen(QColor(theme.dim))
        painter.drawText(
            QRectF(line.right() + style.px(6), 0, side, self.height()),
            centre,
            clock_text(end_s - start_s),
        )
        self._paint_line(painter, line, (position_s - start_s) / max(end_s - start_s, 1e-9))
        for speed, area in zip(SPEEDS, self.speed_areas(), strict=True):
            chosen = abs(speed - transport.speed) < 1e-6
            if chosen:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(mixed(theme.accent, theme.card, 0.22))
                painter.drawRoundedRect(area, area.height() / 2, area.height() / 2)
            painter.setFont(style.font(11.5, bold=chosen))
            painter.setPen(QColor(theme.accent if chosen else theme.dim))
            painter.drawText(area, centre, speed_text(speed))
        painter.end()

    def _paint_button(self, painter: QPainter) -> None:
        theme = self._style.theme
        area = self.button_area()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.accent))
        painter.drawEllipse(area)
        painter.setBrush(QColor(theme.card))
        c, side = area.center(), area.width()
        if self._transport.playing:
            for x in (-0.16, 0.06):
                painter.drawRect(
                    QRectF(c.x() + x * side, c.y() - 0.17 * side, 0.1 * side, 0.34 * side)
                )
        else:
            painter.drawPolygon(
                QPolygonF(
                    [
                        QPointF(c.x() - 0.12 * side, c.y() - 0.19 * side),
                        QPointF(c.x() - 0.12 * side, c.y() + 0.19 * side),
                        QPointF(c.x() + 0.2 * side, c.y()),
                    ]
                )
            )

    def _paint_line(self, painter: QPainter, line: QRectF, share: float) -> None:
        style, theme = self._style, self._style.theme
        thick = style.px(6)
        middle = self.height() / 2
        track = QRectF(line.left(), middle - thick / 2, line.width(), thick)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.track))
        painter.drawRoundedRect(track, thick / 2, thick / 2)
        done = QRectF(track)
        done.setWidth(max(share * track.width(), thick))
        painter.setBrush(QColor(theme.accent))
        painter.drawRoundedRect(done, thick / 2, thick / 2)
        start_s, end_s = self._transport.span_s
        for mark in self._marks:
            at = (mark.start_s - start_s) / max(end_s - start_s, 1e-9)
            until_s = mark.start_s if mark.end_s is None else mark.end_s
            width = (until_s - mark.start_s) / max(end_s - start_s, 1e-9) * track.width()
            painter.setBrush(QColor(mark.colour))
            painter.drawRect(
                QRectF(
                    track.left() + at * track.width(),
                    middle - thick * 1.7,
                    max(width, 2.0),
                    thick * 0.7,
                )
            )
        painter.setBrush(QColor(theme.text))
        radius = style.px(7)
        painter.drawEllipse(QPointF(track.left() + share * track.width(), middle), radius, radius)

    # --- mouse --------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Press the button, take the line, choose a speed."""
        position = event.position()
        if self.button_area().contains(position):
            self._transport.play(not self._transport.playing)
        elif self.line_area().adjusted(-8, 0, 8, 0).contains(position):
            self._drags = True
            self._transport.seek(self._time_at(position.x()))
        else:
            for speed, area in zip(SPEEDS, self.speed_areas(), strict=True):
                if area.contains(position):
                    self._transport.set_speed(speed)
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Drag along the line."""
        if self._drags:
            self._transport.seek(self._time_at(event.position().x()))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Let go of the line."""
        self._drags = False
