"""What each modality contributes to the leading score: now as bars, and over time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from realtime_er.messages import LABELS, MODALITIES
from realtime_er.palette import MODALITY_COLOURS
from realtime_er.sinks.display.shown import Shown
from realtime_er.sinks.display.status import Chip, chips
from realtime_er.sinks.display.theme import Style
from realtime_er.sinks.display.timeplot import EndLabel, TimePlot
from realtime_er.sinks.display.traces import MAX_POINTS, stale_s

MODALITY_NAMES = {"face": "Face", "audio": "Voice", "text": "Words"}
"""Modality -> what people call it."""

FULL = 0.75
"""A contribution of this size fills its half of the bar; the plot goes as far."""

AGAINST = -0.4
"""The plot's lower end: what speaks against the leading label cannot outweigh what speaks for it."""

_LEAST = 0.005  # less than this is shown as nothing


def contributions_now(shown: Shown) -> dict[str, float]:
    """Modality -> contribution to the leading label; NaN where it takes no part."""
    estimate, lead = shown.snapshot.estimate, shown.lead
    found = dict.fromkeys(MODALITIES, math.nan)
    if estimate is None or lead is None:
        return found
    for modality, vector in estimate.contributions.items():
        value = float(vector[LABELS.index(lead)])
        if not (modality in estimate.absent and abs(value) < _LEAST):
            found[modality] = value  # else what it said has faded: not a contribution of zero
    return found


class ContributionBars(QWidget):
    """A row per modality: its state, its contribution as a bar from the middle, the figure."""

    def __init__(self, style: Style, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._style = style
        self._rows: tuple[tuple[Chip, float], ...] = ()

    @property
    def rows(self) -> tuple[tuple[Chip, float], ...]:
        """What is shown: the chip of each modality and its contribution, NaN for none."""
        return self._rows

    def show_now(self, shown: Shown) -> None:
        """Draw the newest estimate's contributions and the states."""
        values = contributions_now(shown)
        rows = tuple((chip, values[chip.modality]) for chip in chips(shown.snapshot.states))
        if repr(rows) != repr(self._rows):  # NaN is not equal to itself, its text is
            self._rows = rows
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the rows."""
        style, theme = self._style, self._style.theme
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.card))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self._rows:
            return
        height = self.height() / len(self._rows)
        figure_px, name_px = style.px(52), style.px(52)
        state_px = min(style.px(142), round(0.36 * self.width()))
        left, right = name_px + state_px, self.width() - figure_px
        middle = (left + right) / 2
        for place, (chip, value) in enumerate(self._rows):
            row = QRectF(0, place * height, self.width(), height)
            self._paint_chip(painter, row, chip, name_px, state_px - style.px(12))
            bar_px = min(style.px(12), 0.5 * height)
            top = row.center().y() - bar_px / 2
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.track))
            painter.drawRoundedRect(QRectF(left, top, right - left, bar_px), bar_px / 2, bar_px / 2)
            if not math.isnan(value) and abs(value) >= _LEAST:
                length = max(min(abs(value) / FULL, 1.0) * (right - left) / 2, 2.0)
                start = middle - length if value < 0 else middle
                painter.setBrush(QColor(MODALITY_COLOURS[chip.modality]))
                painter.drawRoundedRect(QRectF(start, top, length, bar_px), 2, 2)
            painter.setPen(QPen(QColor(theme.dim), 1))
            painter.drawLine(QPointF(middle, top - 3), QPointF(middle, top + bar_px + 3))
            painter.setFont(style.font(12.5, bold=True))
            painter.setPen(QColor(theme.faint if math.isnan(value) else theme.text))
            painter.drawText(
                QRectF(right, row.top(), figure_px, height),
                Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
                signed(value),
            )
        painter.end()

    def _paint_chip(
        self, painter: QPainter, row: QRectF, chip: Chip, name_px: float, width_px: float
    ) -> None:
        style, theme = self._style, self._style.theme
        painter.setFont(style.font(12.5))
        painter.setPen(QColor(theme.text))
        painter.drawText(
            row,
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            MODALITY_NAMES[chip.modality],
        )
        chip.paint(painter, style, QPointF(row.left() + name_px, row.center().y()), width_px)


def signed(value: float) -> str:
    """A contribution with its sign, a dash for none."""
    if math.isnan(value):
        return "\N{EN DASH}"
    sign = "+" if value >= 0 else "\N{MINUS SIGN}"
    return f"{sign}{abs(value):.2f}"


class ContributionTraces(TimePlot):
    """Each modality's contribution to the label that leads now (or led last), over time."""

    def __init__(
        self, style: Style, zoom: Callable[[bool], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(
            style,
            [MODALITY_COLOURS[modality] for modality in MODALITIES],
            ((0.0, "0"), (0.5, "+0.5")),
            (AGAINST, FULL),
            zoom,
            says_times=False,
            parent=parent,
        )

    def show_contributions(self, shown: Shown) -> None:
        """Draw the part of the history that is shown."""
        group = math.ceil(
            max(1, shown.history.n_estimates(shown.start_s, shown.end_s)) / MAX_POINTS
        )
        found = shown.history.scores(shown.start_s, shown.end_s, group)
        if shown.about is None:
            values = np.full((len(found.times_s), len(MODALITIES)), np.nan)
        else:
            values = found.contributions[:, :, LABELS.index(shown.about)]
        labels = []
        if len(values) and shown.end_s - found.times_s[-1] <= stale_s(shown, group):
            labels = [
                EndLabel(
                    float(value), MODALITY_NAMES[m], signed(float(value)), MODALITY_COLOURS[m], True
                )
                for m, value in zip(MODALITIES, values[-1], strict=True)
                if np.isfinite(value)
            ]
        self.emphasize(-1)
        self.draw(shown, found.times_s, np.clip(values, AGAINST, FULL), labels)
