"""Small windows beside the live one: choose devices while it runs, list the keys.

Open them with ``show()``: they never hold up the view behind them. Main thread.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QStyle,
    QStyleOptionButton,
    QVBoxLayout,
    QWidget,
)

from realtime_er.errors import SourceError
from realtime_er.sinks.display.controls import Choices, Controls, StreamName
from realtime_er.sinks.display.theme import Theme, font_family

_STREAMS: tuple[tuple[StreamName, str], ...] = (("camera", "Camera"), ("microphone", "Microphone"))
_SYSTEM_DEFAULT = "the system's choice"
_IN_USE = "in use"


def sheet(theme: Theme) -> str:
    """Qt's style sheet of every small window."""
    return f"""
        QDialog {{ background: {theme.window}; }}
        QWidget {{ color: {theme.text}; font-family: "{font_family()}"; font-size: 15px; }}
        QLabel#title {{ font-size: 24px; font-weight: 600; }}
        QLabel#heading {{ font-weight: 600; }}
        QLabel#dim {{ color: {theme.dim}; font-size: 13px; }}
        QLabel#problem {{ color: {theme.warn}; font-size: 13px; }}
        QLabel#key {{
            background: {theme.card}; border: 1px solid {theme.border}; border-radius: 6px;
            padding: 4px 10px; font-weight: 600;
        }}
        QPushButton {{
            background: {theme.card}; border: 1px solid {theme.faint}; border-radius: 8px;
            padding: 8px 18px;
        }}
        QPushButton:hover {{ border-color: {theme.dim}; }}
        QPushButton:focus {{ border-color: {theme.accent}; }}
        QPushButton:disabled {{ color: {theme.faint}; border-color: {theme.border}; }}
        QPushButton#primary {{
            background: {theme.accent}; border-color: {theme.accent}; color: {theme.window};
            font-weight: 600;
        }}
        QPushButton#primary:focus {{ border-color: {theme.text}; }}
        QComboBox, QLineEdit {{
            background: {theme.card}; border: 1px solid {theme.faint}; border-radius: 8px;
            padding: 7px 10px; selection-background-color: {theme.accent};
            selection-color: {theme.window};
        }}
        QComboBox::drop-down {{ border: none; width: 30px; }}
        QComboBox:focus, QLineEdit:focus {{ border-color: {theme.accent}; }}
        QComboBox:disabled {{ color: {theme.faint}; border-color: {theme.border}; }}
        QComboBox QAbstractItemView {{
            background: {theme.card}; color: {theme.text}; border: 1px solid {theme.faint};
            selection-background-color: {theme.track}; selection-color: {theme.text};
        }}
        QCheckBox {{ spacing: 9px; }}
        QCheckBox:disabled {{ color: {theme.faint}; }}
        QCheckBox::indicator {{
            width: 17px; height: 17px; background: {theme.card}; border: 1px solid {theme.dim};
            border-radius: 4px;
        }}
        QCheckBox::indicator:checked {{
            background: {theme.accent}; border-color: {theme.accent};
        }}
        QCheckBox::indicator:focus {{ border-color: {theme.text}; }}
        QCheckBox::indicator:disabled {{ border-color: {theme.faint}; }}
    """


def _label(text: str, name: str = "") -> QLabel:
    label = QLabel(text)
    label.setObjectName(name)
    return label


class ChoiceBox(QComboBox):
    """A combo box with an arrow: Qt's own goes once its frame is styled."""

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the box, and its arrow."""
        super().paintEvent(event)
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.palette().color(self.foregroundRole()), 1.6))
            x, y = self.width() - 18.0, self.height() / 2
            painter.drawPolyline([QPointF(x - 4, y - 2), QPointF(x, y + 2), QPointF(x + 4, y - 2)])
        finally:
            painter.end()


class TickBox(QCheckBox):
    """A check box with a tick that can be seen: Qt's own is in the colour of the text.

    Args:
        text: Beside it.
        theme: Colours.
    """

    def __init__(self, text: str, theme: Theme) -> None:
        super().__init__(text)
        self._tick = QColor(theme.window)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Paint the box, and its tick."""
        super().paintEvent(event)
        if not self.isChecked():
            return
        option = QStyleOptionButton()
        self.initStyleOption(option)
        box = self.style().subElementRect(QStyle.SubElement.SE_CheckBoxIndicator, option, self)
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self._tick, 2.2))
            at = QRectF(box)
            points = ((0.24, 0.52), (0.43, 0.71), (0.77, 0.31))
            painter.drawPolyline(
                [QPointF(at.x() + x * at.width(), at.y() + y * at.height()) for x, y in points]
            )
        finally:
            painter.end()


class DevicesDialog(QDialog):
    """Chooses the camera and the microphone while everything runs.

    A choice is tried at once; what goes wrong is one line in the dialog and the old device stays.
    """

    def __init__(self, controls: Controls, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controls = controls
        self.setWindowTitle("Camera and microphone")
        self.setStyleSheet(sheet(theme))
        self.setMinimumWidth(520)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(28, 24, 28, 22)
        whole.setSpacing(8)
        whole.addWidget(_label("Camera and microphone", "title"))
        whole.addSpacing(6)
        self.boxes: dict[StreamName, QComboBox] = {}
        self._notes: dict[StreamName, QLabel] = {}
        for stream, title in _STREAMS:
            self._add_box(whole, stream, title)
            if stream == "camera":
                self._add_address(whole)
            whole.addSpacing(8)
        self.mute = TickBox("Mute the microphone", theme)
        self.mute.setEnabled(controls.set_muted is not None)
        self.mute.toggled.connect(self._set_muted)
        whole.addWidget(self.mute)
        self.problem = _label("", "problem")
        self.problem.setWordWrap(True)
        self.problem.setMinimumHeight(36)
        self.problem.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        whole.addWidget(self.problem)
        self._add_buttons(whole)
        self.reload()

    def _add_box(self, whole: QVBoxLayout, stream: StreamName, title: str) -> None:
        whole.addWidget(_label(title, "heading"))
        box = self.boxes[stream] = ChoiceBox()
        box.setAccessibleName(title)
        # `activated` is a person's choice only: filling the box must not change a device.
        box.activated.connect(lambda _place, stream=stream: self._chosen(stream))
        whole.addWidget(box)
        note = self._notes[stream] = _label("", "dim")
        note.setWordWrap(True)
        note.hide()
        whole.addWidget(note)

    def _add_address(self, whole: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.address = QLineEdit()
        self.address.setPlaceholderText("or an address: http://..., rtsp://...")
        self.address.setAccessibleName("Camera address")
        self.address.returnPressed.connect(self._use_address)
        self.use_button = QPushButton("Use")
        self.use_button.setAutoDefault(False)
        self.use_button.clicked.connect(self._use_address)
        changes = self._controls.change_device is not None
        self.address.setEnabled(changes)
        self.use_button.setEnabled(changes)
        row.addWidget(self.address, 1)
        row.addWidget(self.use_button)
        whole.addLayout(row)

    def _add_buttons(self, whole: QVBoxLayout) -> None:
        row = QHBoxLayout()
        self.refresh_button = QPushButton("Look again")
        self.refresh_button.setAutoDefault(False)
        self.refresh_button.clicked.connect(self.reload)
        close = QPushButton("Close")
        close.setAutoDefault(False)
        close.clicked.connect(self.close)
        row.addWidget(self.refresh_button)
        row.addStretch(1)
        row.addWidget(close)
        whole.addLayout(row)

    def reload(self) -> None:
        """Ask which devices there are, which one is in use, and whether it is muted."""
        self.problem.setText("")
        for stream, _ in _STREAMS:
            self._fill(stream)
        self.mute.blockSignals(True)
        self.mute.setChecked(self._controls.snapshot().muted)
        self.mute.blockSignals(False)

    def _fill(self, stream: StreamName) -> None:
        box, ask = self.boxes[stream], self._controls.choices
        choices = Choices((), "") if ask is None else ask(stream)
        box.clear()
        if choices.current == "" and not choices.problem:
            box.addItem(f"{_SYSTEM_DEFAULT}  ({_IN_USE})", "")
        known = {choice.wanted for choice in choices.devices}
        if choices.current and choices.current not in known:
            box.addItem(f"{choices.current}  ({_IN_USE})", choices.current)
        for choice in choices.devices:
            mark = f"  ({_IN_USE})" if choice.wanted == choices.current else ""
            box.addItem(choice.title + mark, choice.wanted)
        box.setPlaceholderText("none found")
        box.setCurrentIndex(max(0, box.findData(choices.current)) if box.count() else -1)
        box.setEnabled(self._controls.change_device is not None and box.count() > 0)
        note = self._notes[stream]
        note.setText(choices.problem)
        note.setVisible(bool(choices.problem))

    def _chosen(self, stream: StreamName) -> None:
        self._change(stream, str(self.boxes[stream].currentData()))

    def _use_address(self) -> None:
        address = self.address.text().strip()
        if address:
            self._change("camera", address)

    def _change(self, stream: StreamName, wanted: str) -> None:
        if self._controls.change_device is None:
            return
        try:
            self._controls.change_device(stream, wanted)
        except SourceError as error:
            self._fill(stream)  # the box shows again what is really in use
            self.problem.setText(" ".join(str(error).split()))
        else:
            self.address.clear()
            self.reload()

    def _set_muted(self, muted: bool) -> None:
        if self._controls.set_muted is not None:
            self._controls.set_muted(muted)


class KeysDialog(QDialog):
    """Lists the keys, in two columns when there are many.

    Args:
        keys: (key, what it does), in order.
        theme: Colours.
        parent: The window it belongs to.
    """

    _ONE_COLUMN = 7

    def __init__(
        self, keys: Sequence[tuple[str, str]], theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self.setStyleSheet(sheet(theme))
        whole = QVBoxLayout(self)
        whole.setContentsMargins(32, 26, 32, 26)
        whole.setSpacing(16)
        whole.addWidget(_label("Keys", "title"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(10)
        n_rows = len(keys) if len(keys) <= self._ONE_COLUMN else (len(keys) + 1) // 2
        for place, (key, what) in enumerate(keys):
            row, column = place % n_rows, 3 * (place // n_rows)
            cap = _label(key, "key")
            cap.setAlignment(Qt.AlignmentFlag.AlignCenter)
            grid.addWidget(cap, row, column)
            grid.addWidget(_label(what), row, column + 1)
        if len(keys) > n_rows:
            grid.setColumnMinimumWidth(2, 24)
        whole.addLayout(grid)
        whole.addWidget(_label("Esc closes this", "dim"))
        whole.setSizeConstraint(QVBoxLayout.SizeConstraint.SetFixedSize)
