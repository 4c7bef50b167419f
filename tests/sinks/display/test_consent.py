"""The question before a recording: what has to be answered, what is refused, and what R does."""

from datetime import datetime, timedelta

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QLabel

from realtime_er.consent import REFUSED
from realtime_er.sinks.display import app as app_module
from realtime_er.sinks.display.app import Look, show
from realtime_er.sinks.display.consent import ConsentDialog
from realtime_er.sinks.display.controls import ConsentQuestion, Controls
from realtime_er.sinks.display.theme import DARK, LIGHT
from realtime_er.sinks.display.window import Window
from tests.sinks.display.test_app import SMALL, Stage, visible

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.fixture
def dialog(qapp):
    dialog = ConsentDialog(("", "", ""), LIGHT)
    dialog.show()
    yield dialog
    dialog.deleteLater()


def choose(dialog, name):
    dialog.purpose.setCurrentIndex(dialog.purpose.findData(name))


def answer(dialog):
    dialog.person.setText("P07")
    choose(dialog, "art")
    dialog.agreed.setChecked(True)


def click(dialog):
    QTest.mouseClick(dialog.record_button, Qt.MouseButton.LeftButton)
    return dialog.problem.text()


def test_everything_has_to_be_answered(dialog):
    assert click(dialog).startswith("Who is recorded?")
    dialog.person.setText("P07")
    assert click(dialog).startswith("What is it recorded for?")
    choose(dialog, "art")
    dialog.until.setText("yesterday")
    assert click(dialog).startswith("Until when")
    dialog.until.setText("3 days")
    assert click(dialog) == "Nobody is recorded who has not agreed."
    assert dialog.consent is None
    dialog.about.setText("a film")
    dialog.agreed.setChecked(True)
    click(dialog)
    assert dialog.result() == QDialog.DialogCode.Accepted
    consent = dialog.consent
    assert (consent.person, consent.purpose_line, consent.asked) == ("P07", "art: a film", "window")
    given = datetime.fromisoformat(consent.given_at).date()
    assert abs(consent.until - given - timedelta(days=3)) <= timedelta(days=1)  # UTC and local


@pytest.mark.parametrize("name", REFUSED)
def test_work_and_education_can_be_chosen_and_are_refused(dialog, name):
    answer(dialog)
    choose(dialog, name)
    assert "Article 5(1)(f)" in click(dialog)
    assert dialog.isVisible()
    assert dialog.problem.sizeHint().height() <= dialog.problem.height()


def test_the_longest_refusal_fits(dialog):
    answer(dialog)
    dialog.about.setText("proctoring of examinations")
    assert "reads as monitoring" in click(dialog)
    label = dialog.problem
    assert label.heightForWidth(label.width()) <= label.height()


def test_enter_in_a_field_agrees_to_nothing(dialog):
    answer(dialog)
    QTest.keyClick(dialog.person, Qt.Key.Key_Return)
    assert dialog.isVisible()
    assert dialog.consent is None


def test_what_is_known_is_filled_in_but_not_that_they_agree(qapp):
    dialog = ConsentDialog(("Anna", "research: gestures", "2031-01-31"), DARK)
    assert dialog.person.text() == "Anna"
    assert dialog.purpose.currentData() == "research"
    assert dialog.about.text() == "gestures"
    assert dialog.until.text() == "2031-01-31"
    assert not dialog.agreed.isChecked()
    dialog.deleteLater()


class Recording:
    """What key R leads to."""

    def __init__(self):
        self.given, self.recorded = [], []

    def record(self, on):
        self.recorded.append(on)
        return "recording"

    def controls(self, stage):
        question = ConsentQuestion(lambda: ("", "", ""), self.given.append)
        return Controls(stage.snapshot, record=self.record, consent=question)


def press_r():
    QTest.keyClick(visible(Window)[0], Qt.Key.Key_R)


def run(at, monkeypatch):
    monkeypatch.setattr(app_module, "REFRESH_S", 0.001)
    recording, stage = Recording(), Stage(at, end=20)
    show(recording.controls(stage), stage.pump, Look(size_px=SMALL))
    assert stage.looks == 20  # the question did not hold the view up
    assert visible(ConsentDialog) == []
    return recording


def test_r_asks_and_then_records(monkeypatch):
    def agree():
        press_r()  # once more: it stays one question
        (dialog,) = visible(ConsentDialog)
        answer(dialog)
        click(dialog)

    recording = run({3: press_r, 6: agree}, monkeypatch)
    assert [consent.person for consent in recording.given] == ["P07"]
    assert recording.recorded == [True]


def test_without_an_answer_nothing_is_recorded(monkeypatch):
    recording = run({3: press_r, 6: lambda: visible(ConsentDialog)[0].reject()}, monkeypatch)
    assert recording.recorded == recording.given == []
    recording = run({3: press_r}, monkeypatch)  # the session ends while it is asked
    assert recording.recorded == recording.given == []


def test_no_sentence_is_cut_off(dialog):
    for label in dialog.findChildren(QLabel):
        assert label.height() >= label.sizeHint().height() or label.wordWrap()
