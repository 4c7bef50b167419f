"""The first-start notice as a window: "I understand" or "Quit", nothing else."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from realtime_er.notice import POINTS, TITLE
from realtime_er.sinks.display.dialogs import sheet
from realtime_er.sinks.display.theme import Theme


class NoticeDialog(QDialog):
    """Shows the notice; accepted means understood, rejected (also Esc, also closing it) means quit.

    It notes nothing itself: who opened it calls ``realtime_er.notice.acknowledge``. Main thread.
    """

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(TITLE)
        self.setStyleSheet(sheet(theme))
        whole = QVBoxLayout(self)
        whole.setContentsMargins(36, 30, 36, 28)
        whole.setSpacing(6)
        title = QLabel(TITLE)
        title.setObjectName("title")
        whole.addWidget(title)
        whole.addSpacing(8)
        for heading, text in POINTS:
            above = QLabel(heading)
            above.setObjectName("heading")
            whole.addWidget(above)
            below = QLabel(text)
            below.setWordWrap(True)
            below.setFixedWidth(560)
            whole.addWidget(below)
            whole.addSpacing(10)
        whole.addSpacing(8)
        buttons = QHBoxLayout()
        buttons.setSpacing(12)
        self.quit_button = QPushButton("Quit")
        self.quit_button.setAutoDefault(False)
        self.quit_button.clicked.connect(self.reject)
        # Not the default button: Enter, pressed out of habit, must not stand for understanding.
        self.understand_button = QPushButton("I understand")
        self.understand_button.setObjectName("primary")
        self.understand_button.setAutoDefault(False)
        self.understand_button.clicked.connect(self.accept)
        buttons.addStretch(1)
        buttons.addWidget(self.quit_button)
        buttons.addWidget(self.understand_button)
        whole.addLayout(buttons)
        whole.setSizeConstraint(QVBoxLayout.SizeConstraint.SetFixedSize)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFocus()
