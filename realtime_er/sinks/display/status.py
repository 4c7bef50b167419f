"""State chips of the modalities and the health strip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from realtime_er.ladder import reduced_quality
from realtime_er.messages import MODALITIES, PRESENT, Absence, Health, RecordingStatus
from realtime_er.sinks.display.shown import Shown
from realtime_er.sinks.display.theme import Style, Theme, mixed

BROKEN = (Absence.UNAVAILABLE, Absence.LOST, Absence.BUSY, Absence.FROZEN, Absence.BEHIND)
"""Absences that somebody should look after."""

_NO_PICTURES = (Absence.OFF, Absence.LOST, Absence.BUSY, Absence.FROZEN, Absence.ENDED)
"""With these no new pictures come, whatever the rate of the last ones was."""

LOW_SPACE_S = 600.0
"""A recording that has room for less than this is warned about."""

_REPEAT_S = 0.5  # figures change at most this often, or nobody could read them

Tone = Literal["good", "warn", "bad", "plain", "faint"]


def tone_colour(theme: Theme, tone: Tone) -> str:
    """The theme's colour for a tone."""
    return {
        "good": theme.good,
        "warn": theme.warn,
        "bad": theme.bad,
        "plain": theme.dim,
        "faint": theme.faint,
    }[tone]


@dataclass(frozen=True, slots=True)
class Chip:
    """The state of one modality."""

    modality: str
    text: str
    tone: Tone

    def paint(self, painter: QPainter, style: Style, at: QPointF, width_px: float) -> None:
        """Paint it with its left edge at ``at``, vertically centred, at most ``width_px`` wide."""
        theme = style.theme
        tone = tone_colour(theme, self.tone)
        painter.setFont(style.font(11.5, bold=self.tone != "good"))
        metrics = QFontMetricsF(painter.font())
        height, dot, pad = style.px(21), style.px(7), style.px(8)
        room = width_px - 3 * pad - dot
        text = metrics.elidedText(self.text, Qt.TextElideMode.ElideRight, room)
        pill = QRectF(
            at.x(), at.y() - height / 2, metrics.horizontalAdvance(text) + 2.6 * pad + dot, height
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mixed(tone, theme.card, 0.16))
        painter.drawRoundedRect(pill, height / 2, height / 2)
        painter.setBrush(QColor(tone))
        painter.drawEllipse(QRectF(at.x() + pad, at.y() - dot / 2, dot, dot))
        painter.setPen(QColor(tone))
        painter.drawText(
            pill.adjusted(1.7 * pad + dot, 0, 0, 0),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            text,
        )


def chips(states: Mapping[str, Absence | None]) -> tuple[Chip, ...]:
    """One chip per modality: green while it takes part, red when it is broken, else amber."""
    found = []
    for modality in MODALITIES:
        absence = states.get(modality, Absence.WAITING)
        if absence is None:
            found.append(Chip(modality, PRESENT[modality], "good"))
        else:
            found.append(Chip(modality, str(absence), "bad" if absence in BROKEN else "warn"))
    return tuple(found)


Item = tuple[str, Tone]


def recording_items(recording: RecordingStatus | None, now_s: float) -> tuple[Item, ...]:
    """What the strip says of a recording: that it runs, for how long, how long there is room."""
    if recording is None:
        return ()
    if recording.failure:
        return ((f"\N{BLACK CIRCLE} recording ended: {recording.failure}", "bad"),)
    elapsed = clock_text(max(0.0, now_s - recording.started_s))
    items: list[Item] = [(f"\N{BLACK CIRCLE} REC {elapsed}", "bad")]
    if recording.left_s is not None and recording.left_s < LOW_SPACE_S:
        minutes = recording.left_s / 60
        left = f"{minutes:.0f} min" if minutes >= 1 else "less than a minute"
        items.append((f"disk full in {left}", "warn"))
    elif recording.left_s is not None:
        items.append((f"room for {room_text(recording.left_s)}", "faint"))
    return tuple(items)


def health_items(shown: Shown) -> tuple[Item, ...]:
    """The figures of the strip, from left to right."""
    snapshot = shown.snapshot
    health = snapshot.health
    items: list[Item] = list(recording_items(snapshot.recording, snapshot.now_s))
    reduced = reduced_quality(snapshot.events)
    if reduced:
        items.append((f"too slow: {reduced}", "warn"))
    items.append((f"score age {_ms(health.score_age_s)}", "plain"))
    items.append((f"p95 {_ms(health.score_age_p95_s)}", "faint"))
    timing = snapshot.estimate.timing if snapshot.estimate else None
    ages = []
    for modality, name in (("face", "face"), ("audio", "voice"), ("text", "words")):
        age_s = timing.evidence_age_s.get(modality) if timing else None
        ages.append(f"{name} {_ms(age_s)}")
    items.append((f"evidence: {', '.join(ages)}", "faint"))
    items.append((f"{health.estimates_hz:.0f} scores/s", "faint"))
    films = snapshot.frame is not None and snapshot.states.get("face") not in _NO_PICTURES
    fps = f"{health.video_fps:.0f}" if films else "\N{EN DASH}"
    items.append((f"{fps} fps", "faint"))
    items.append(_drops(health))
    return tuple(items)


def _drops(health: Health) -> Item:
    if not health.dropped_frames + health.dropped_samples:
        return ("no drops", "faint")
    parts = []
    if health.dropped_frames:
        parts.append(f"{health.dropped_frames} frame{'s' if health.dropped_frames > 1 else ''}")
    if health.dropped_samples:
        parts.append(f"{health.dropped_samples} sample{'s' if health.dropped_samples > 1 else ''}")
    return (f"dropped {' + '.join(parts)}", "bad")


def _ms(value_s: float | None) -> str:
    if value_s is None:
        return "\N{EN DASH}"
    return f"{1000 * value_s:.0f} ms" if value_s < 1.0 else f"{value_s:.1f} s"


def clock_text(seconds: float) -> str:
    """Minutes and seconds, with hours when there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def room_text(seconds: float) -> str:
    """A long time in words: "47 min", "3 h", "2 days"."""
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


class HealthStrip(QWidget):
    """One quiet line (two where it is narrow): how the session is doing, and the newest notice."""

    keys_wanted = Signal()
    """Somebody clicked on "? keys"."""

    def __init__(self, style: Style, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._style = style
        self._items: tuple[Item, ...] = ()
        self._notice = ""
        self._changed_s = float("-inf")
        self._key: object = None
        self._help = QRectF()

    @property
    def texts(self) -> tuple[str, ...]:
        """What is shown, from left to right."""
        return tuple(text for text, _ in self._items)

    @property
    def notice(self) -> str:
        """The newest notice, "" without any."""
        return self._notice

    def show_health(self, shown: Shown) -> None:
        """Take over new figures; at once when a notice, the quality or the recording changed."""
        snapshot = shown.snapshot
        notice = snapshot.notices[-1] if snapshot.notices else ""
        failure = snapshot.recording.failure if snapshot.recording else None
        reduced = reduced_quality(snapshot.events)
        key = (notice, failure, reduced, snapshot.estimate is None)
        waited_s = snapshot.now_s - self._changed_s
        if key == self._key and 0.0 <= waited_s < _REPEAT_S:
            return
        self._key, self._changed_s, self._notice = key, snapshot.now_s, notice
        items = health_items(shown)
        if items != self._items or notice:
            self._items = items
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the line."""
        style, theme = self._style, self._style.theme
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.window))
        lines = 2 if self.height() > style.px(40) else 1
        height = self.height() / lines
        painter.setFont(style.font(11.5))
        metrics = QFontMetricsF(painter.font())
        help_text = "?  keys"
        help_px = metrics.horizontalAdvance(help_text)
        self._help = QRectF(self.width() - help_px - style.px(8), 0, help_px + style.px(8), height)
        painter.setPen(QColor(theme.dim))
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(self._help.adjusted(0, 0, -style.px(2), 0), right, help_text)
        x, line, limit = float(style.px(2)), 0, self._help.left() - style.px(16)
        for text, tone in self._items:
            painter.setFont(style.font(11.5, bold=tone in ("bad", "warn")))
            width = QFontMetricsF(painter.font()).horizontalAdvance(text)
            if x + width > limit and line + 1 < lines:
                x, line, limit = float(style.px(2)), line + 1, float(self.width())
            painter.setPen(QColor(tone_colour(theme, tone)))
            painter.drawText(QRectF(x, line * height, limit - x, height), left, text)
            x += width + style.px(16)
        where = QRectF(x, line * height, limit - x, height)
        if self._notice and where.width() > style.px(60):
            painter.setFont(style.font(11.5))
            painter.setPen(QColor(theme.warn))
            elide = Qt.TextElideMode.ElideRight
            painter.drawText(where, right, metrics.elidedText(self._notice, elide, where.width()))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """A click on "? keys" lists them."""
        if self._help.contains(event.position()):
            self.keys_wanted.emit()
