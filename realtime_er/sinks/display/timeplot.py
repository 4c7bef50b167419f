"""A plot over time: pyqtgraph's curves on a ground that is painted here.

Times are passed to the curves relative to the right end, so that the ranges stand still while time
goes by. pyqtgraph's own axes are off: they cost more than all else and would say seconds since the
start of the session.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QPainter,
    QPen,
    QPixmap,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QGraphicsView, QWidget

from realtime_er.sinks.display.shown import Shown
from realtime_er.sinks.display.theme import Style, mixed
from realtime_er.sinks.display.timeaxis import ticks

LEFT_PX, GUTTER_PX, TOP_PX, BOTTOM_PX = 42.0, 112.0, 8.0, 20.0
"""Margins of every panel with a time axis (nominal), so that their times stand above each other."""

_DENSE = 1.7  # pixels per nominal pixel from which a line of one pixel is too thin

_TAG_ROWS = 4  # the names of marks that are close together stand below each other

Level = tuple[float, str]


@dataclass(frozen=True, slots=True)
class EndLabel:
    """What stands at the right end of a curve; one that has ended is not connected with it."""

    value: float
    name: str
    figure: str
    colour: str
    strong: bool
    ended: bool = False


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the wanted ones, at least ``gap`` apart, within [low, high] if they fit.

    The order is kept; ``wanted`` need not be sorted.
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    found = [wanted[place] for place in order]
    for place in range(len(found)):
        floor = low if place == 0 else found[place - 1] + gap
        found[place] = max(found[place], floor)
    for place in reversed(range(len(found))):
        roof = high if place == len(found) - 1 else found[place + 1] - gap
        found[place] = min(found[place], roof)
    result = [0.0] * len(wanted)
    for place, position in zip(order, found, strict=True):
        result[place] = position
    return result


def free_row(taken: list[float], left: float, right: float) -> int:
    """The first row with room from ``left`` on; ``taken``, where each row ends, then knows of it."""
    row = next((place for place, end in enumerate(taken) if end < left), len(taken))
    taken[row : row + 1] = [right]
    return row


class TimePlot(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph has no types
    """Curves over [-span, 0] s; grid, times, marks and the labels at the right end.

    Args:
        style: Shared look.
        colours: One "#rrggbb" per curve.
        levels: Values with a grid line, and what is written beside it.
        value_range: Lowest and highest value.
        zoom: Called with True (closer) or False when the wheel is turned.
        says_times: Whether times and marks are named; else there are only their lines.
        parent: Parent widget.
    """

    def __init__(
        self,
        style: Style,
        colours: Sequence[str],
        levels: Sequence[Level],
        value_range: tuple[float, float],
        zoom: Callable[[bool], None],
        says_times: bool = True,
        parent: QWidget | None = None,
    ) -> None:
        self._style = style
        self._says_times = says_times
        self._colours = tuple(colours)
        self._levels = tuple(levels)
        self._range = value_range
        self._zoom = zoom
        self._shown: Shown | None = None
        self._labels: tuple[EndLabel, ...] = ()
        self._empty = ""
        self._span_s = 0.0
        super().__init__(parent, background=style.theme.card)
        self.setCacheMode(QGraphicsView.CacheModeFlag.CacheNone)  # the ground moves with time
        # ``draw`` asks for one paint; the scene's own notices would ask for a second.
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.NoViewportUpdate)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.hideButtons()
        self.hideAxis("left")
        self.hideAxis("bottom")
        box = self.getViewBox()
        box.disableAutoRange()
        box.setDefaultPadding(0.0)
        self.setYRange(*value_range, padding=0.0)
        self.curves = []
        for value in self._colours:
            # Width 1 is Qt's fast path, antialiased or not; anything wider costs a hundred times
            # as much unless it is drawn segment by segment.
            curve = pg.PlotCurveItem(pen=pg.mkPen(value, width=1), antialias=True, connect="finite")
            curve.setSegmentedLineMode("on")
            self.curves.append(curve)
            self.addItem(curve)
        self._pens = (-1, 0.0)
        self._grid_key: object = None
        self._grid_picture = QPixmap()

    @property
    def _bottom_px(self) -> float:
        return BOTTOM_PX if self._says_times else TOP_PX

    def fit(self) -> None:
        """Take over the size of the style."""
        unit = self._style.unit
        self.getPlotItem().layout.setContentsMargins(
            LEFT_PX * unit, TOP_PX * unit, GUTTER_PX * unit, self._bottom_px * unit
        )

    def emphasize(self, strong: int) -> None:
        """Draw the curve at this place thicker and above the others; -1: none."""
        scale = self._style.unit * self.devicePixelRatioF()
        if (strong, scale) == self._pens:
            return
        self._pens = (strong, scale)
        for place, (curve, value) in enumerate(zip(self.curves, self._colours, strict=True)):
            thin = 1.0 if scale < _DENSE else 0.75 * scale
            width = max(2.0, 2.0 * scale) if place == strong else thin
            curve.setPen(pg.mkPen(value, width=width))
            curve.setZValue(1 if place == strong else 0)

    def draw(
        self,
        shown: Shown,
        times_s: npt.NDArray[np.float64],
        values: npt.NDArray[np.float64],
        labels: Sequence[EndLabel],
        empty: str = "",
    ) -> None:
        """Show ``values`` (n, number of curves) at session times; ``empty`` is said without any."""
        self._shown = shown
        self._labels = tuple(labels)
        self._empty = empty
        span_s = shown.end_s - shown.start_s
        if span_s != self._span_s:
            self._span_s = span_s
            self.setXRange(-span_s, 0.0, padding=0.0)
        x = times_s - shown.end_s
        for place, curve in enumerate(self.curves):
            curve.setData(x, values[:, place])
        self.viewport().update()

    # --- painting -----------------------------------------------------------------------------

    def _ground(self) -> QRectF:
        """Where the curves are, in pixels of the viewport."""
        unit = self._style.unit
        area = self.viewport().rect()
        return QRectF(area).adjusted(
            LEFT_PX * unit, TOP_PX * unit, -GUTTER_PX * unit, -self._bottom_px * unit
        )

    def _y(self, ground: QRectF, value: float) -> float:
        low, high = self._range
        return ground.bottom() - (value - low) / (high - low) * ground.height()

    def _x(self, ground: QRectF, time_s: float) -> float:
        shown = self._shown
        if shown is None:
            return ground.right()
        share = (time_s - shown.start_s) / (shown.end_s - shown.start_s)
        return ground.left() + share * ground.width()

    def drawBackground(self, painter: QPainter, rect: QRectF) -> None:  # noqa: N802
        """Grid, times and marks."""
        style, theme = self._style, self._style.theme
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        ground = self._ground()
        painter.drawPixmap(0, 0, self._grid(ground))
        if self._shown is not None:
            self._paint_marks(painter, ground, self._shown)
        if self._empty:
            painter.setFont(style.font(13))
            painter.setPen(QColor(theme.faint))
            painter.drawText(ground, Qt.AlignmentFlag.AlignCenter, self._empty)
        painter.restore()

    def _grid(self, ground: QRectF) -> QPixmap:
        """Lines and what stands beside them: the same as long as the newest is followed."""
        shown, size, ratio = self._shown, self.viewport().size(), self.devicePixelRatioF()
        marked = () if shown is None else ticks(shown.start_s, shown.end_s, shown.now_s)
        times = tuple((round(self._x(ground, time_s)), text) for time_s, text in marked)
        key = (size.width(), size.height(), ratio, self._style.unit, times)
        if key != self._grid_key:
            self._grid_key = key
            self._grid_picture = QPixmap(size * ratio)
            self._grid_picture.setDevicePixelRatio(ratio)
            self._grid_picture.fill(QColor(self._style.theme.card))
            painter = QPainter(self._grid_picture)
            self._paint_levels(painter, ground)
            self._paint_times(painter, ground, times)
            painter.end()
        return self._grid_picture

    def _paint_levels(self, painter: QPainter, ground: QRectF) -> None:
        style, theme = self._style, self._style.theme
        painter.setFont(style.font(11))
        for value, text in self._levels:
            y = round(self._y(ground, value))
            painter.setPen(QPen(QColor(theme.grid), 1))
            painter.drawLine(QPointF(ground.left(), y), QPointF(ground.right(), y))
            painter.setPen(QColor(theme.faint))
            painter.drawText(
                QRectF(0, y - style.px(9), ground.left() - style.px(8), style.px(18)),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                text,
            )

    def _paint_times(
        self, painter: QPainter, ground: QRectF, times: Sequence[tuple[int, str]]
    ) -> None:
        """Lines across at these pixels; the font is that of the levels."""
        style, theme = self._style, self._style.theme
        for x, text in times:
            painter.setPen(QPen(QColor(theme.grid), 1))
            painter.drawLine(QPointF(x, ground.top()), QPointF(x, ground.bottom()))
            if x < ground.left() + style.px(10) or not self._says_times:
                continue
            painter.setPen(QColor(theme.faint))
            painter.drawText(
                QRectF(x - style.px(40), ground.bottom() + style.px(3), style.px(80), style.px(16)),
                Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter,
                text,
            )

    def _paint_marks(self, painter: QPainter, ground: QRectF, shown: Shown) -> None:
        style, theme = self._style, self._style.theme
        painter.setFont(style.font(10.5))
        metrics = QFontMetricsF(painter.font())
        taken: list[float] = []  # where the last tag of each row ends
        for mark in shown.marks:
            open_end_s = shown.now_s if mark.kind == "interval" else mark.start_s
            until_s = open_end_s if mark.end_s is None else mark.end_s
            if until_s < shown.start_s or mark.start_s > shown.end_s:
                continue
            left = max(self._x(ground, mark.start_s), ground.left())
            right = min(self._x(ground, until_s), ground.right())
            if mark.kind == "interval":
                shade = mixed(mark.colour, theme.card, 0.16)
                painter.fillRect(
                    QRectF(left, ground.top(), max(right - left, 1), ground.height()), shade
                )
            pen = QPen(QColor(mark.colour), 1)
            painter.setPen(pen)
            if mark.start_s >= shown.start_s:
                painter.drawLine(QPointF(left, ground.top()), QPointF(left, ground.bottom()))
            if not self._says_times:
                continue  # it is said once, in the panel above
            text = mark.text or mark.label
            tag = QRectF(
                left, ground.top(), metrics.horizontalAdvance(text) + style.px(10), style.px(16)
            )
            tag.moveRight(min(tag.right(), ground.right()))
            row = free_row(taken, tag.left(), tag.right())
            tag.translate(0.0, row % _TAG_ROWS * (tag.height() + 1.0))
            painter.fillRect(tag, mixed(mark.colour, theme.card, 0.35))
            painter.setPen(QColor(theme.text))
            painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, text)

    def drawForeground(self, painter: QPainter, rect: QRectF) -> None:  # noqa: N802
        """The labels at the right end of the curves."""
        if not self._labels:
            return
        style, theme = self._style, self._style.theme
        painter.save()
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        ground = self._ground()
        ends = [
            self._y(ground, min(max(e.value, self._range[0]), self._range[1])) for e in self._labels
        ]
        line = min(style.px(17), (ground.height() + style.px(16)) / max(1, len(ends)))
        rows = spread(ends, line, ground.top(), ground.bottom())
        left = ground.right() + style.px(20)
        width = style.px(GUTTER_PX) - style.px(20)
        for label, end, row in zip(self._labels, ends, rows, strict=True):
            shade = QColor(label.colour) if label.strong else mixed(label.colour, theme.card, 0.75)
            painter.setPen(QPen(shade, 1))
            path = [QPointF(left - style.px(8), row), QPointF(left - style.px(4), row)]
            if not label.ended:
                path.insert(0, QPointF(ground.right() + style.px(4), end))
                path.insert(0, QPointF(ground.right(), end))
            painter.drawPolyline(QPolygonF(path))
            painter.setFont(style.font(12, bold=label.strong))
            painter.setPen(
                QColor(theme.text if label.strong else theme.faint if label.ended else theme.dim)
            )
            place = QRectF(left, row - style.px(10), width, style.px(20))
            painter.drawText(
                place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, label.name
            )
            if label.figure:
                painter.drawText(
                    place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, label.figure
                )
        painter.restore()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Zoom the time axis, all panels together."""
        turned = event.angleDelta().y()
        if turned:
            self._zoom(turned > 0)
        event.accept()
