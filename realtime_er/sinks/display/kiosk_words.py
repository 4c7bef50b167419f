"""Paints what the demo screen says: the word, how sure, who says so, what is spoken, the invitation.

Functions of a painter, the style and what is said; the painter's opacity is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter

from realtime_er.messages import LABELS
from realtime_er.palette import COLOURS
from realtime_er.sinks.display.kiosk_art import circle_radius, draw_icon
from realtime_er.sinks.display.kiosk_motion import Change
from realtime_er.sinks.display.kiosk_scene import (
    DISCLAIMER,
    INVITATION,
    RECORDED,
    TITLES,
    Scene,
    Speaker,
)
from realtime_er.sinks.display.kiosk_style import LEFT, MIDDLE, WRAPPED, KioskStyle

ShownWord = tuple[str, str | None]
"""A word and the label whose colour it has."""

_WORD_FLAGS = int(Qt.TextFlag.TextDontClip)
_LINES_SPOKEN = 2


def paint_word(painter: QPainter, style: KioskStyle, scene: Scene, word: Change[ShownWord]) -> None:
    """The huge word between its caption and how sure it is."""
    layout, theme, shown = style.layout, style.theme, painter.opacity()
    painter.setPen(QColor(theme.dim))
    painter.setFont(style.font(layout.text))
    painter.drawText(layout.caption, style.align, scene.caption)
    painter.setFont(style.font(style.word_px, bold=True))
    for (text, label), part in ((word.before, 1.0 - word.progress), (word.value, word.progress)):
        # The old word is gone before the new one comes.
        visible = max(0.0, 2.0 * part - 1.0)
        if visible > 0.0:
            painter.setOpacity(shown * visible)
            painter.setPen(style.colour_of(label))
            painter.drawText(layout.word, int(style.align) | _WORD_FLAGS, text)
    painter.setOpacity(shown)
    if scene.sure is not None:
        bar, radius = layout.bar, layout.bar.height() / 2
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.border))
        painter.drawRoundedRect(bar, radius, radius)
        filled = QRectF(bar)
        filled.setWidth(max(bar.height(), bar.width() * scene.sure))
        painter.setBrush(style.colour_of(scene.label) if scene.label else QColor(theme.faint))
        painter.drawRoundedRect(filled, radius, radius)
    painter.setPen(QColor(theme.text))
    painter.setFont(style.font(layout.text))
    painter.drawText(layout.sure, style.align, scene.sure_words)


def paint_speakers(painter: QPainter, style: KioskStyle, scene: Scene) -> None:
    """Three circles: who is there, and how much each speaks for the word."""
    for place, speaker in enumerate(scene.speakers):
        _paint_speaker(painter, style, place, speaker, scene.label)


def _paint_speaker(
    painter: QPainter, style: KioskStyle, place: int, speaker: Speaker, label: str | None
) -> None:
    theme, area = style.theme, style.layout.speakers
    width = area.width() / 3
    text = 0.82 * style.layout.text
    largest = min(0.5 * area.height() - 1.15 * text, 0.4 * width)
    middle = QPointF(area.left() + (place + 0.5) * width, area.top() + largest)
    radius = circle_radius(speaker.share, largest)
    sign = QColor(theme.faint)
    if speaker.share > 0.0:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(style.colour_of(label))
        painter.drawEllipse(middle, radius, radius)
        sign = style.ink
    elif speaker.present:
        painter.setPen(QColor(theme.dim))
        painter.setBrush(QColor(theme.track))
        painter.drawEllipse(middle, radius, radius)
        sign = QColor(theme.dim)
    draw_icon(painter, speaker.modality, middle, radius, sign)
    below = QRectF(area.left() + place * width, area.top() + 2 * largest, width, 1.5 * text)
    painter.setPen(QColor(theme.text if speaker.present else theme.faint))
    painter.setFont(style.font(text, bold=speaker.share > 0.0))
    painter.drawText(below, MIDDLE, TITLES[speaker.modality])
    painter.setPen(QColor(theme.dim if speaker.present else theme.faint))
    painter.setFont(style.font(0.8 * text))
    painter.drawText(below.translated(0, 1.2 * text), MIDDLE, speaker.note)


def paint_spoken(painter: QPainter, style: KioskStyle, scene: Scene) -> None:
    """The newest words as subtitles; partial ones fainter."""
    theme, area, shown = style.theme, style.layout.spoken, painter.opacity()
    font = style.font(1.12 * style.layout.text)
    painter.setFont(font)
    if scene.sound_note:
        painter.setPen(QColor(theme.dim))
        painter.drawText(area, WRAPPED, scene.sound_note)
        return
    metrics = QFontMetricsF(font)
    space, height = metrics.horizontalAdvance(" "), 1.25 * metrics.height()
    lines = _broken(scene.spoken, metrics, area.width())[-_LINES_SPOKEN:]
    top = area.center().y() - height * len(lines) / 2
    painter.setOpacity(shown * scene.spoken_opacity)
    for row, line in enumerate(lines):
        widths = [metrics.horizontalAdvance(word) for word, _ in line]
        x = area.center().x() - (sum(widths) + space * (len(line) - 1)) / 2
        for (word, settled), width in zip(line, widths, strict=True):
            painter.setPen(QColor(theme.text if settled else theme.faint))
            painter.drawText(QRectF(x, top + row * height, width + space, height), LEFT, word)
            x += width + space
    painter.setOpacity(shown)


def _broken(
    spoken: Sequence[tuple[str, bool]], metrics: QFontMetricsF, width: float
) -> list[list[tuple[str, bool]]]:
    """Words broken into lines of at most ``width``."""
    lines: list[list[tuple[str, bool]]] = []
    space, used = metrics.horizontalAdvance(" "), math.inf
    for word in spoken:
        needed = metrics.horizontalAdvance(word[0])
        if used + space + needed > width:
            lines.append([])
            used = -space
        lines[-1].append(word)
        used += space + needed
    return lines


def paint_message(painter: QPainter, style: KioskStyle, text: str) -> None:
    """One calm sentence in the middle."""
    painter.setPen(QColor(style.theme.text))
    painter.setFont(style.font(1.9 * style.layout.text, bold=True))
    area = QRectF(0.1 * style.width, 0.25 * style.height, 0.8 * style.width, 0.5 * style.height)
    painter.drawText(area, WRAPPED, text)


def paint_invitation(painter: QPainter, style: KioskStyle, now_s: float) -> None:
    """What the screen says while nobody is there; a light walks along the seven words."""
    width, height = style.width, style.height
    painter.setPen(QColor(style.theme.text))
    big = min(3.2 * style.layout.text, 0.135 * width)
    for line, (words, size) in enumerate(zip(INVITATION, (big, 0.6 * big), strict=True)):
        painter.setFont(style.font(size, bold=line == 0))
        area = QRectF(0, 0.47 * height - 1.25 * big + line * 1.15 * big, width, 1.3 * big)
        painter.drawText(area, MIDDLE, words)
    upright = style.layout.centred
    rows = (LABELS[:4], LABELS[4:]) if upright else (LABELS,)
    text = min(0.9 * style.layout.text, (0.042 if upright else 0.03) * width)
    for row, labels in enumerate(rows):
        _paint_names(painter, style, labels, 0.79 * height + 1.9 * text * row, text, now_s)


def _paint_names(
    painter: QPainter,
    style: KioskStyle,
    labels: Sequence[str],
    y: float,
    text: float,
    now_s: float,
) -> None:
    shown = painter.opacity()
    font = style.font(text, bold=True)
    painter.setFont(font)
    metrics = QFontMetricsF(font)
    dot, gap = 0.62 * text, 1.3 * text
    widths = [metrics.horizontalAdvance(label) for label in labels]
    length = sum(widths) + len(labels) * 1.6 * dot + (len(labels) - 1) * gap
    x = (style.width - length) / 2
    for label, width in zip(labels, widths, strict=True):
        turn = now_s * 0.5 - LABELS.index(label)
        light = 0.5 + 0.5 * math.cos(math.tau * turn / len(LABELS))
        painter.setOpacity(shown * (0.7 + 0.3 * light**3))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(style.ink)
        middle = QPointF(x + dot / 2, y)
        painter.drawEllipse(middle, 0.72 * dot, 0.72 * dot)
        painter.setBrush(QColor(COLOURS[label]))
        painter.drawEllipse(middle, 0.5 * dot, 0.5 * dot)
        painter.setPen(QColor(style.theme.text))
        x += 1.6 * dot
        painter.drawText(QRectF(x, y - text, width + dot, 2 * text), LEFT, label)
        x += width + gap
    painter.setOpacity(shown)


def paint_footer(painter: QPainter, style: KioskStyle, *, recorded: bool) -> None:
    """What it is not; and whether it is kept."""
    painter.setPen(QColor(style.theme.dim))
    painter.setFont(style.font(0.56 * style.layout.text))
    text = f"{DISCLAIMER}  ·  {RECORDED}" if recorded else DISCLAIMER
    painter.drawText(style.layout.footer, MIDDLE, text)
