"""Who is recorded, what for, until when, and do they agree: asked before a recording, as a window."""

from __future__ import annotations

from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from realtime_er.consent import PURPOSES, USUAL_DAYS, Consent, make_consent
from realtime_er.errors import ConfigError
from realtime_er.sinks.display.dialogs import ChoiceBox, TickBox, sheet
from realtime_er.sinks.display.theme import Theme

_WIDTH_PX = 540


class ConsentDialog(QDialog):
    """Accepted only with an answer to everything; what is missing or refused is said in the dialog.

    Args:
        answers: Who, what for, until when, as far as known; each may be "".
        theme: Colours.
        parent: The window it belongs to.

    Attributes:
        consent: What was agreed to, once accepted.
    """

    def __init__(
        self, answers: tuple[str, str, str], theme: Theme, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.consent: Consent | None = None
        self.setWindowTitle("Before you record")
        self.setStyleSheet(sheet(theme))
        who, purpose, until = answers
        kind, _, about = purpose.partition(":")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(32, 26, 32, 24)
        whole.setSpacing(6)
        whole.addWidget(_label("Before you record", "title"))
        text = "Everybody who is recorded has to know it and to agree. The answers stay with the"
        self._add(whole, _label(f"{text} recording, on this computer.", "dim"))
        whole.addSpacing(8)
        self.person = _field(who, "name, or a code such as P07")
        self._ask(whole, "Who is recorded?", self.person)
        self.purpose = ChoiceBox()
        self.purpose.setPlaceholderText("choose")
        for name, meaning in PURPOSES.items():
            self.purpose.addItem(meaning[0].upper() + meaning[1:], name)
        self.purpose.setCurrentIndex(self.purpose.findData(kind.strip()))
        self.about = _field(about.strip(), "in your own words, if you like")
        self._ask(whole, "What for?", self.purpose)
        self._add(whole, self.about)
        self.until = _field(until or f"{USUAL_DAYS} days", "a date such as 2027-01-31, or 90 days")
        self._ask(whole, "Keep it until when?", self.until)
        self._add(whole, _label("After that, 'realtime-er purge' deletes it.", "dim"))
        whole.addSpacing(8)
        self.agreed = TickBox("They know that they are recorded, and agree", theme)
        whole.addWidget(self.agreed)
        self.problem = _label("", "problem")
        self.problem.setMinimumHeight(64)
        self._add(whole, self.problem)
        self._add_buttons(whole)
        whole.setSizeConstraint(QVBoxLayout.SizeConstraint.SetFixedSize)
        self.person.setFocus()

    def _ask(self, whole: QVBoxLayout, question: str, widget: QLineEdit | QComboBox) -> None:
        whole.addSpacing(6)
        whole.addWidget(_label(question, "heading"))
        widget.setAccessibleName(question)
        self._add(whole, widget)

    @staticmethod
    def _add(whole: QVBoxLayout, widget: QWidget) -> None:
        widget.setFixedWidth(_WIDTH_PX)
        whole.addWidget(widget)

    def _add_buttons(self, whole: QVBoxLayout) -> None:
        row = QHBoxLayout()
        row.setSpacing(12)
        cancel = QPushButton("Do not record")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        # Not the default button: Enter in a field must not stand for somebody's agreement.
        self.record_button = QPushButton("Record")
        self.record_button.setObjectName("primary")
        self.record_button.setAutoDefault(False)
        self.record_button.clicked.connect(self._finish)
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self.record_button)
        whole.addLayout(row)

    def _finish(self) -> None:
        purpose = f"{self.purpose.currentData() or ''}:{self.about.text()}"
        try:
            consent = make_consent(self.person.text(), purpose, self.until.text(), "window")
        except ConfigError as error:
            text = str(error)
            self.problem.setText(text[0].upper() + text[1:])
            return
        if not self.agreed.isChecked():
            self.problem.setText("Nobody is recorded who has not agreed.")
            return
        self.consent = consent
        self.accept()


def _label(text: str, name: str) -> QLabel:
    label = QLabel(text)
    label.setObjectName(name)
    label.setWordWrap(name in ("dim", "problem"))
    return label


def _field(text: str, hint: str) -> QLineEdit:
    field = QLineEdit(text)
    field.setPlaceholderText(hint)
    return field
