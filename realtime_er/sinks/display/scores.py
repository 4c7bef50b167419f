"""The scores now: what it reads as, how sure, and a bar per label."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from realtime_er.messages import LABELS, Estimate
from realtime_er.palette import COLOURS
from realtime_er.sinks.display.shown import Shown, how_sure, leading
from realtime_er.sinks.display.theme import Style

_LEFT_VCENTER = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT_VCENTER = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


def percent(value: float) -> str:
    """A probability for people; a dash where there is none."""
    return "\N{EN DASH}" if math.isnan(value) else f"{100 * value:.0f} %"


def headline(estimate: Estimate | None) -> tuple[str, str, str]:
    """What stands before the label, the label, and the line below: how sure it is."""
    lead = leading(estimate)
    if estimate is None:
        return "starting \N{HORIZONTAL ELLIPSIS}", "", "waiting for the first score"
    if lead is None:
        return "nothing to read", "", "no face, no voice, no words"
    if estimate.label is None:
        return "not sure", "", f"most like {lead}, {percent(estimate.confidence)}"
    return "reads as", lead, f"{how_sure(estimate.confidence)}, {percent(estimate.confidence)}"


def prior(estimate: Estimate | None) -> list[float]:
    """Where each score would stand with nothing to read: scores minus all contributions."""
    if estimate is None or not estimate.contributions:
        return [math.nan] * len(LABELS)
    total = np.nansum([np.asarray(v, np.float64) for v in estimate.contributions.values()], axis=0)
    return [float(value) for value in estimate.probabilities - total]


class Scores(QWidget):
    """Headline and seven bars; a small tick on each bar is where it stands with nothing to read."""

    def __init__(self, style: Style, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setToolTip("The tick on a bar: where the score stands with nothing to read.")
        self._style = style
        self._estimate: Estimate | None = None
        self._fresh = True

    @property
    def texts(self) -> tuple[str, str, str]:
        """The headline as it is shown."""
        return headline(self._estimate)

    def show_scores(self, shown: Shown) -> None:
        """Draw the newest estimate."""
        if shown.snapshot.estimate is not self._estimate:
            self._estimate = shown.snapshot.estimate
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint headline and bars."""
        style = self._style
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(style.theme.card))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        head = self._paint_headline(painter)
        top = head + style.px(6)
        self._paint_bars(painter, QRectF(0, top, self.width(), self.height() - top))
        painter.end()

    def _paint_headline(self, painter: QPainter) -> float:
        """Returns its height: how sure it is stands beside it, or below where there is no room."""
        style, theme = self._style, self._style.theme
        area = QRectF(0, 0, self.width(), style.px(44))
        before, label, below = headline(self._estimate)
        painter.setFont(style.font(24))
        painter.setPen(QColor(theme.dim if label else theme.text))
        painter.drawText(area, _LEFT_VCENTER, before)
        x = QFontMetricsF(painter.font()).horizontalAdvance(before + " ")
        if label:
            painter.setFont(style.font(28, bold=True))
            painter.setPen(QColor(theme.text))
            painter.drawText(area.adjusted(x, -style.px(2), 0, 0), _LEFT_VCENTER, label)
            x += QFontMetricsF(painter.font()).horizontalAdvance(label)
            dot = style.px(11)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(COLOURS[label]))
            painter.drawEllipse(QPointF(x + dot * 1.4, area.center().y() + 1), dot / 2, dot / 2)
            x += 2.2 * dot
        painter.setFont(style.font(13))
        painter.setPen(QColor(theme.dim))
        # Decided by the widest headline there is, or the bars would jump up and down.
        if self.width() >= style.px(385):
            painter.drawText(area, _RIGHT_VCENTER, below)
            return area.height()
        painter.drawText(
            QRectF(0, area.bottom() - style.px(4), self.width(), style.px(20)), _LEFT_VCENTER, below
        )
        return area.height() + style.px(20)

    def _paint_bars(self, painter: QPainter, area: QRectF) -> None:
        style, theme, estimate = self._style, self._style.theme, self._estimate
        row_px = area.height() / len(LABELS)
        name_px, figure_px = style.px(72), style.px(48)
        left, right = area.left() + name_px, area.right() - figure_px
        bar_px = min(style.px(13), 0.62 * row_px)
        for place, (label, stands) in enumerate(zip(LABELS, prior(estimate), strict=True)):
            value = math.nan if estimate is None else float(estimate.probabilities[place])
            strong = estimate is not None and estimate.label == label
            row = QRectF(area.left(), area.top() + place * row_px, area.width(), row_px)
            painter.setFont(style.font(13, bold=strong))
            painter.setPen(QColor(theme.text if strong else theme.dim))
            painter.drawText(row, _LEFT_VCENTER, label)
            painter.setPen(QColor(theme.faint if math.isnan(value) else painter.pen().color()))
            painter.drawText(row, _RIGHT_VCENTER, percent(value))
            bar = QRectF(left, row.center().y() - bar_px / 2, right - left, bar_px)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.track))
            painter.drawRoundedRect(bar, bar_px / 2, bar_px / 2)
            if math.isnan(value):
                continue
            bar.setWidth(max(2.0, value * (right - left)))
            painter.setBrush(QColor(COLOURS[label]))
            radius = min(bar_px, bar.width()) / 2
            painter.drawRoundedRect(bar, radius, radius)
            if 0.0 < stands < 1.0:
                x = round(left + stands * (right - left)) + 0.5
                painter.setPen(QPen(QColor(theme.card if stands < value else theme.faint), 1))
                painter.drawLine(
                    QPointF(x, bar.top() + bar_px * 0.25), QPointF(x, bar.bottom() - bar_px * 0.25)
                )
