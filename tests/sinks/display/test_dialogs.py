"""The small windows: devices, keys, the first-start notice."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QLabel, QPushButton

from realtime_er.errors import SourceError
from realtime_er.notice import POINTS
from realtime_er.sinks.display.controls import Choice, Choices, Controls
from realtime_er.sinks.display.dialogs import DevicesDialog, KeysDialog
from realtime_er.sinks.display.notice import NoticeDialog
from realtime_er.sinks.display.theme import DARK, LIGHT
from tests.sinks.display.samples import happy, muted

pytestmark = pytest.mark.usefixtures("qapp")


class Devices:
    """Two cameras and a microphone; remembers what was asked of it."""

    def __init__(self):
        self.current = {"camera": "0", "microphone": ""}
        self.asked, self.muted = [], []
        self.cameras = (Choice("0", "Integrated Camera"), Choice("2", "USB Camera"))
        self.problem = ""

    def choices(self, stream):
        found = self.cameras if stream == "camera" else (Choice("1", "USB Audio"),)
        return Choices(() if self.problem else found, self.current[stream], self.problem)

    def change(self, stream, wanted):
        self.asked.append((stream, wanted))
        if wanted == "9":
            raise SourceError("camera 9: no such device;\nthere are 0 and 2")
        self.current[stream] = wanted

    def controls(self, snapshot=happy):
        return Controls(
            snapshot,
            set_muted=self.muted.append,
            choices=self.choices,
            change_device=self.change,
        )


@pytest.fixture
def devices():
    return Devices()


@pytest.fixture
def dialog(devices):
    made = DevicesDialog(devices.controls(), DARK)
    yield made
    made.deleteLater()


def entries(box):
    return [box.itemText(place) for place in range(box.count())]


def choose(box, place):
    box.setCurrentIndex(place)
    box.activated.emit(place)


def test_shows_the_devices_and_marks_the_ones_in_use(dialog):
    assert entries(dialog.boxes["camera"]) == ["Integrated Camera  (in use)", "USB Camera"]
    assert entries(dialog.boxes["microphone"]) == ["the system's choice  (in use)", "USB Audio"]
    assert dialog.boxes["camera"].currentData() == "0"


def test_a_choice_is_applied_at_once(dialog, devices):
    choose(dialog.boxes["camera"], 1)
    choose(dialog.boxes["microphone"], 1)
    assert devices.asked == [("camera", "2"), ("microphone", "1")]
    assert entries(dialog.boxes["camera"])[1] == "USB Camera  (in use)"
    assert dialog.boxes["microphone"].currentText() == "USB Audio  (in use)"


def test_filling_the_boxes_changes_nothing(dialog, devices):
    dialog.reload()
    assert devices.asked == []
    assert devices.muted == []


def test_an_address_is_a_camera_too(dialog, devices):
    dialog.address.setText("  http://192.0.2.7/video ")
    dialog.use_button.click()
    assert devices.asked == [("camera", "http://192.0.2.7/video")]
    assert dialog.boxes["camera"].currentText() == "http://192.0.2.7/video  (in use)"
    assert dialog.address.text() == ""
    QTest.keyClick(dialog.address, Qt.Key.Key_Return)
    assert len(devices.asked) == 1  # an empty address asks for nothing


def test_what_goes_wrong_is_one_line_and_the_old_device_stays(dialog, devices):
    dialog.address.setText("9")
    QTest.keyClick(dialog.address, Qt.Key.Key_Return)
    assert dialog.problem.text() == "camera 9: no such device; there are 0 and 2"
    assert dialog.boxes["camera"].currentData() == "0"
    choose(dialog.boxes["camera"], 1)
    assert dialog.problem.text() == ""  # said once, not for ever


def test_looking_again_finds_what_was_plugged_in(dialog, devices):
    devices.cameras += (Choice("4", "New Camera"),)
    dialog.refresh_button.click()
    assert "New Camera" in entries(dialog.boxes["camera"])


def test_no_devices_says_why(devices):
    devices.problem = "PortAudio is not installed"
    dialog = DevicesDialog(devices.controls(), LIGHT)
    assert dialog.boxes["microphone"].count() == 0
    assert not dialog.boxes["microphone"].isEnabled()
    assert "PortAudio is not installed" in [label.text() for label in dialog.findChildren(QLabel)]
    dialog.deleteLater()


def test_mute(dialog, devices):
    assert not dialog.mute.isChecked()
    dialog.mute.click()
    dialog.mute.click()
    assert devices.muted == [True, False]


def test_mute_shows_how_it_is(devices):
    dialog = DevicesDialog(devices.controls(muted), DARK)
    assert dialog.mute.isChecked()
    assert devices.muted == []
    dialog.deleteLater()


def test_what_cannot_be_done_is_not_offered():
    dialog = DevicesDialog(Controls(happy), DARK)
    assert not dialog.boxes["camera"].isEnabled()
    assert not dialog.address.isEnabled()
    assert not dialog.mute.isEnabled()
    dialog.deleteLater()


@pytest.mark.parametrize("name", ["devices", "keys"])
def test_escape_closes_and_nothing_is_held_up(name, devices):
    keys = (("S", "saves a picture"),)
    dialog = (
        DevicesDialog(devices.controls(), DARK) if name == "devices" else KeysDialog(keys, DARK)
    )
    dialog.show()
    assert not dialog.isModal()
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    dialog.deleteLater()


@pytest.mark.parametrize("n", [3, 12])
def test_keys_are_listed_with_what_they_do(n):
    keys = tuple((f"F{place}", f"does thing {place}") for place in range(1, n + 1))
    dialog = KeysDialog(keys, DARK)
    shown = [label.text() for label in dialog.findChildren(QLabel)]
    for key, what in keys:
        assert key in shown
        assert what in shown
    dialog.show()
    assert dialog.height() < 500
    dialog.deleteLater()


def test_the_notice_has_two_buttons_and_says_everything():
    dialog = NoticeDialog(LIGHT)
    assert {b.text() for b in dialog.findChildren(QPushButton)} == {"I understand", "Quit"}
    shown = [label.text() for label in dialog.findChildren(QLabel)]
    for heading, text in POINTS:
        assert heading in shown
        assert text in shown
    dialog.deleteLater()


@pytest.mark.parametrize(
    ("key", "result"),
    [(Qt.Key.Key_Escape, QDialog.DialogCode.Rejected), (Qt.Key.Key_Return, None)],
)
def test_no_key_stands_for_understanding(key, result):
    dialog = NoticeDialog(DARK)
    finished = []
    dialog.finished.connect(finished.append)
    dialog.show()
    QTest.keyClick(dialog, key)
    assert finished == ([] if result is None else [result.value])
    dialog.deleteLater()


def test_understanding_and_quitting():
    for name, expected in (("understand_button", 1), ("quit_button", 0)):
        dialog = NoticeDialog(DARK)
        dialog.show()
        getattr(dialog, name).click()
        assert dialog.result() == expected
        assert not dialog.isVisible()
        dialog.deleteLater()
