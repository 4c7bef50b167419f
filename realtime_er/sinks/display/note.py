"""The field for a free-text note, over the window while it is being written."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit, QWidget

from realtime_er.sinks.display.theme import Style


class NoteField(QLineEdit):
    """One line; Enter keeps it, Esc throws it away. It belongs to the moment it was opened at.

    Attributes:
        lift_px: How much of the window's lower edge must stay free.
    """

    written = Signal(str, float, object)
    """The text, and the time and frame index (or None) that were shown when it was opened."""

    def __init__(self, style: Style, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = style
        self._shown_s = 0.0
        self._frame_index: int | None = None
        self.lift_px = 0
        self.setPlaceholderText("Note: Enter keeps it, Esc throws it away")
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.hide()

    def open_at(self, shown_s: float, frame_index: int | None) -> None:
        """Show it, empty, for a note on this moment."""
        self._shown_s, self._frame_index = shown_s, frame_index
        self.clear()
        self.place()
        self.show()
        self.raise_()
        self.setFocus()

    def place(self) -> None:
        """Take the right place and look in the parent."""
        style, theme, parent = self._style, self._style.theme, self.parentWidget()
        if parent is None:
            return
        self.setFont(style.font(14))
        self.setStyleSheet(
            f"QLineEdit {{ background: {theme.card}; color: {theme.text};"
            f" border: 1px solid {theme.accent}; border-radius: {style.px(10)}px;"
            f" padding: 0 {style.px(14)}px; }}"
        )
        width, height = min(style.px(560), parent.width() - 40), style.px(44)
        self.setGeometry(
            (parent.width() - width) // 2,
            parent.height() - height - style.px(14) - self.lift_px,
            width,
            height,
        )

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Enter and Esc end it; all else is text."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            text = self.text().strip()
            self._close()
            if text:
                self.written.emit(text, self._shown_s, self._frame_index)
        elif event.key() == Qt.Key.Key_Escape:
            self._close()
        else:
            super().keyPressEvent(event)
        event.accept()

    def _close(self) -> None:
        self.hide()
        parent = self.parentWidget()
        if parent is not None:
            parent.setFocus()
