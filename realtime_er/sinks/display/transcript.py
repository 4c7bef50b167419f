"""The words: what was said for good in full colour, what may still change in grey."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from realtime_er.messages import Absence, Snapshot
from realtime_er.sinks.display.shown import Shown
from realtime_er.sinks.display.theme import Style

Kind = Literal["final", "partial", "none"]
Word = tuple[str, Kind]


def paragraphs(snapshot: Snapshot) -> list[list[Word]]:
    """Utterances, oldest first, as words with what is known of them.

    Of the utterance that is being spoken, words on which two hypotheses agree are final.
    """
    found: list[list[Word]] = [
        [(word, "final") for word in final.text.split()] for final in snapshot.finals
    ]
    current = snapshot.current
    if current is not None and not current.is_final and current.text:
        committed = len(current.committed.split())
        found.append(
            [
                (word, "final" if place < committed else "partial")
                for place, word in enumerate(current.text.split())
            ]
        )
    if not found:
        return [[(word, "none") for word in _nothing(snapshot).split()]]
    return found


def _nothing(snapshot: Snapshot) -> str:
    absence = snapshot.states.get("text")
    if absence == Absence.UNAVAILABLE:
        return "words are unavailable"
    return "words are off" if absence == Absence.OFF else "nothing said yet"


class Transcript(QWidget):
    """As many of the last lines as there is room for; the newest at the bottom."""

    def __init__(self, style: Style, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._style = style
        self._paragraphs: list[list[Word]] = []

    def colour_of(self, kind: Kind) -> QColor:
        """The colour of words of this kind."""
        theme = self._style.theme
        return QColor({"final": theme.text, "partial": theme.faint, "none": theme.faint}[kind])

    @property
    def words(self) -> list[tuple[str, QColor]]:
        """All words that are shown or would be if there were room, with their colours."""
        return [(word, self.colour_of(kind)) for words in self._paragraphs for word, kind in words]

    def show_words(self, shown: Shown) -> None:
        """Draw the newest words."""
        found = paragraphs(shown.snapshot)
        if found != self._paragraphs:
            self._paragraphs = found
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the last lines."""
        style, theme = self._style, self._style.theme
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.card))
        painter.setFont(style.font(14.5))
        metrics = QFontMetricsF(painter.font())
        line_px = metrics.height() * 1.2
        room = max(1, int((self.height() + 0.2 * metrics.height()) // line_px))
        lines = self._lines(metrics, room)
        top = max(0.0, self.height() - len(lines) * line_px) if len(lines) == room else 0.0
        space = metrics.horizontalAdvance(" ")
        for place, line in enumerate(lines):
            x, base = 0.0, top + place * line_px + metrics.ascent()
            for word, kind in line:
                painter.setPen(self.colour_of(kind))
                painter.drawText(QPointF(x, base), word)
                x += metrics.horizontalAdvance(word) + space
        painter.end()

    def _lines(self, metrics: QFontMetricsF, room: int) -> list[list[Word]]:
        """The last ``room`` lines, broken between words; an utterance begins a line."""
        lines: list[list[Word]] = []
        space = metrics.horizontalAdvance(" ")
        for words in reversed(self._paragraphs):
            broken: list[list[Word]] = [[]]
            x = 0.0
            for word, kind in words:
                width = metrics.horizontalAdvance(word)
                if broken[-1] and x + width > self.width():
                    broken.append([])
                    x = 0.0
                broken[-1].append((word, kind))
                x += width + space
            lines = broken + lines
            if len(lines) >= room:
                break
        return lines[-room:]
