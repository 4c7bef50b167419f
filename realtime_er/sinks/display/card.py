"""A rounded card with a quiet title around a panel, and the short message that comes and goes."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QWidget

from realtime_er.sinks.display.theme import Style

TOAST_MS = 3500
"""How long a short message stays."""


class Card(QWidget):
    """A card around ``content``; title at the left, a remark at the right of the first line."""

    def __init__(
        self, style: Style, title: str, content: QWidget, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._style = style
        self._title = title
        self._remark = ""
        self._content = content
        content.setParent(self)

    @property
    def title(self) -> str:
        """What stands over the panel."""
        return self._title

    @property
    def remark(self) -> str:
        """What stands at the right, "" for nothing."""
        return self._remark

    def entitle(self, title: str, remark: str = "") -> None:
        """Change title and remark."""
        if (title, remark) != (self._title, self._remark):
            self._title, self._remark = title, remark
            self.update(0, 0, self.width(), self._head())

    def _head(self) -> int:
        return self._style.px(34) if self._title else self._style.px(8)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Give the content what is left."""
        side, foot = self._style.px(16), self._style.px(10)
        if not self._title:
            foot = self._style.px(8)
        head = self._head()
        self._content.setGeometry(
            QRect(side, head, self.width() - 2 * side, max(1, self.height() - head - foot))
        )

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the card."""
        style, theme = self._style, self._style.theme
        if self._content.geometry().contains(event.rect()):
            return  # the content paints all of its own ground
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(theme.border), 1))
        painter.setBrush(QColor(theme.card))
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.drawRoundedRect(area, style.px(12), style.px(12))
        if self._title:
            line = QRectF(style.px(16), style.px(9), self.width() - 2 * style.px(16), style.px(20))
            painter.setFont(style.font(12, bold=True))
            painter.setPen(QColor(theme.dim))
            align = Qt.AlignmentFlag.AlignVCenter
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | align, self._title)
            painter.setPen(QColor(theme.warn))
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | align, self._remark)
        painter.end()


class Toast(QWidget):
    """A short message over everything else, low in the middle.

    Attributes:
        lift_px: How much of the window's lower edge must stay free.
    """

    def __init__(self, style: Style, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._style = style
        self._text = ""
        self.lift_px = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        self.hide()

    @property
    def text(self) -> str:
        """The newest message."""
        return self._text

    def say(self, text: str) -> None:
        """Show a message for a few seconds."""
        self._text = text
        self.place()
        self.show()
        self.raise_()
        self.update()
        self._timer.start(TOAST_MS)

    def place(self) -> None:
        """Take the right place in the parent."""
        parent = self.parentWidget()
        style = self._style
        if parent is None:
            return
        metrics = QFontMetricsF(style.font(13.5))
        wide = min(round(metrics.horizontalAdvance(self._text)) + style.px(44), parent.width() - 20)
        high = style.px(40)
        self.setGeometry(
            (parent.width() - wide) // 2,
            parent.height() - high - style.px(14) - self.lift_px,
            wide,
            high,
        )

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the message."""
        style, theme = self._style, self._style.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.text))
        area = QRectF(self.rect())
        painter.drawRoundedRect(area, area.height() / 2, area.height() / 2)
        painter.setFont(style.font(13.5))
        painter.setPen(QColor(theme.card))
        metrics = QFontMetricsF(painter.font())
        text = metrics.elidedText(
            self._text, Qt.TextElideMode.ElideMiddle, area.width() - style.px(32)
        )
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
