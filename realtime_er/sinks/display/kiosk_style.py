"""Colours, letters and places of the demo screen at the size it has."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF

from realtime_er.messages import LABELS
from realtime_er.palette import COLOURS
from realtime_er.sinks.display.kiosk_layout import Layout, plan
from realtime_er.sinks.display.kiosk_scene import GREETING, NOT_SURE
from realtime_er.sinks.display.theme import Theme, font_family

MIDDLE = Qt.AlignmentFlag.AlignCenter
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
WRAPPED = int(MIDDLE) | int(Qt.TextFlag.TextWordWrap)


class KioskStyle:
    """What all parts of the demo screen share. Main thread.

    Attributes:
        theme: The colours.
        dark: Whether the ground is dark.
        ink: Colour of signs on the coloured circles.
        width: Of the screen, logical pixels.
        height: Of the screen, logical pixels.
        layout: Where things stand.
        word_px: Height of the huge word's letters.
    """

    def __init__(self, theme: Theme) -> None:
        self.theme = theme
        self.dark = QColor(theme.window).lightnessF() < 0.5
        self.ink = QColor("#0b0e13") if self.dark else QColor("#ffffff")
        self._family = font_family()
        self._fonts: dict[tuple[int, bool], QFont] = {}
        self.width = self.height = 1.0
        self.layout: Layout = plan(1.0, 1.0)
        self.word_px = 1.0

    def fit(self, width: float, height: float) -> None:
        """Re-flow for a screen of this size."""
        self.width, self.height = max(1.0, width), max(1.0, height)
        self.layout = plan(self.width, self.height)
        self._fonts.clear()
        # One height for all words, so that the screen is at rest when the word changes.
        place, metrics = self.layout.word, QFontMetricsF(self.font(100, bold=True))
        widest = max(metrics.horizontalAdvance(word) for word in (*LABELS, NOT_SURE, GREETING))
        self.word_px = min(100 * place.width() / widest, place.height() / 1.05)

    def font(self, height_px: float, bold: bool = False) -> QFont:
        """The screen's font; there are a dozen sizes, made once for each size of the screen."""
        key = (max(1, round(height_px)), bold)
        font = self._fonts.get(key)
        if font is None:
            font = self._fonts[key] = QFont(self._family)
            font.setPixelSize(key[0])
            font.setWeight(QFont.Weight.Bold if bold else QFont.Weight.Normal)
        return font

    def colour_of(self, label: str | None) -> QColor:
        """The palette's colour, or that of plain text."""
        return QColor(COLOURS[label]) if label is not None else QColor(self.theme.text)

    @property
    def align(self) -> Qt.AlignmentFlag:
        """How the words beside the picture stand in their places."""
        return MIDDLE if self.layout.centred else LEFT
