"""The demo screen's session is started again; R and the annotation keys belong to a recording."""

import sqlite3

import pytest

from realtime_er.cli import watch as watch_module
from realtime_er.cli.watch import Unattended
from realtime_er.cli.window_recording import WindowRecording
from realtime_er.clock import VirtualClock
from realtime_er.errors import ConfigError, DeviceNotFound, WorkerFault
from realtime_er.recording.labels import load_labels
from realtime_er.recording.options import RecordOptions
from tests.cli.fakes import FakeSession


class Flaky(FakeSession):
    """Opens when ``error`` is None; polls until ``fault``."""

    def __init__(self, error=None, fault=None):
        super().__init__(None)
        self.error, self.fault = error, fault

    def start(self):
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock(monkeypatch):
    clock = VirtualClock()
    monkeypatch.setattr(watch_module, "SessionClock", lambda: clock)
    return clock


def test_a_camera_that_is_missing_is_waited_for(clock, capsys):
    sessions = [Flaky(DeviceNotFound("no camera is connected")), Flaky()]
    runner = Unattended(lambda: sessions.pop(0))
    assert runner.snapshot().estimate is None
    assert runner.pump()
    assert runner.message == "One moment, please"
    assert "no camera is connected; trying again in 5 s" in capsys.readouterr().err
    clock.advance_to(4.9)
    assert runner.pump()
    assert runner.session is None
    clock.advance_to(5.0)
    assert runner.pump()
    assert runner.session is not None
    assert runner.message == ""


def test_a_session_that_dies_is_followed_by_another(clock):
    dying, healthy = Flaky(fault=WorkerFault("the face thread failed")), Flaky()
    sessions = [dying, healthy]
    runner = Unattended(lambda: sessions.pop(0))
    polls = 0
    while not runner.message:
        assert runner.pump()
        polls += 1
    assert polls > 5
    assert dying.closed
    clock.advance_to(60.0)
    assert runner.pump()
    assert runner.session is healthy
    runner.stop()
    assert healthy.stopped
    runner.close()
    assert healthy.closed
    assert not runner.pump()


def test_a_wrong_configuration_is_not_tried_again(clock):
    runner = Unattended(lambda: Flaky(ConfigError("camera and microphone are both off")))
    with pytest.raises(ConfigError, match="both off"):
        runner.pump()


def rows(folder):
    with sqlite3.connect(next((folder / "annotations").glob("*.sqlite"))) as connection:
        return connection.execute("SELECT label, kind, start_s, end_s FROM marks").fetchall()


def test_marks_belong_to_a_recording(tmp_path):
    session = FakeSession(None)
    session.given.extend(session.estimates())
    folder = tmp_path / "first"
    with WindowRecording(session, folder, RecordOptions(), load_labels(), "me") as recording:
        assert recording.keys() == ()
        assert not recording.press("2", 1.0, 25)
        assert recording.record(True) == f"Recording into {folder}"
        assert dict(recording.keys())["2"].startswith("Happy")
        assert recording.press("2", 1.0, 25)
        assert [mark.label for mark in recording.marks()] == ["Happy"]
        assert "recorded already" in recording.record(True)
        assert recording.record(False) == "Recording ended; it is now read back"
        assert recording.marks() == ()
        assert recording.record(True) == f"Recording into {tmp_path / 'first-2'}"
    assert session.recorded == [folder, None, tmp_path / "first-2"]
    # The interval that was open when the recording ended was closed then.
    now_s = session.snapshot().now_s
    assert rows(folder)[-1] == ("Happy", "interval", 1.0, now_s)


def test_a_folder_that_nobody_named_bears_the_date(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = FakeSession(None)
    session.given.extend(session.estimates())
    with WindowRecording(session, None, RecordOptions(), load_labels(), "me") as recording:
        recording.record(True)
    assert [folder.parent.name for folder in session.recorded] == ["recordings"]
    assert session.recorded[0].is_dir()
