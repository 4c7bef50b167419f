"""The demo screen's session is started again; R and the annotation keys belong to a recording."""

import sqlite3
from dataclasses import replace

import pytest

from realtime_er.cli import watch as watch_module
from realtime_er.cli.follow import DiskWarning
from realtime_er.cli.watch import Unattended, live_controls
from realtime_er.cli.window_recording import WindowRecording
from realtime_er.clock import VirtualClock
from realtime_er.errors import (
    ConfigError,
    DeviceNotFound,
    RecordingError,
    SessionError,
    WorkerFault,
)
from realtime_er.messages import RecordingStatus
from realtime_er.recording.labels import load_labels
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.rater_marks import RaterMarks
from realtime_er.sinks.display.controls import Choices
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


def test_a_thread_that_hangs_does_not_end_the_demo_screen(clock, capsys):
    class Hanging(Flaky):
        def close(self):
            raise SessionError("thread asr did not end within 10 s")

    healthy = Flaky()
    sessions = [Hanging(fault=WorkerFault("the face thread failed")), healthy]
    runner = Unattended(lambda: sessions.pop(0))
    while not runner.message:
        assert runner.pump()
    assert "thread asr did not end" in capsys.readouterr().err
    clock.advance_to(60.0)
    assert runner.pump()
    assert runner.session is healthy


def test_what_is_on_its_way_is_taken_in_at_the_end(clock):
    session = Flaky()
    runner = Unattended(lambda: session)
    assert runner.pump()
    runner.stop()
    runner.drain()
    assert session.given
    runner.close()
    assert runner.session is None
    assert runner.newest is session


def test_the_window_offers_only_devices_that_the_session_has(monkeypatch):
    session = FakeSession(None)
    monkeypatch.setattr(session, "devices", lambda: {"camera": {"requested": {"source": "0"}}})
    recording = WindowRecording(session, None, RecordOptions(), load_labels(), "me")
    controls = live_controls(session, recording)
    assert controls.set_muted is None
    assert controls.choices("camera").current == "0"
    problem = "this session was started without the microphone"
    assert controls.choices("microphone") == Choices((), "", problem)


def test_the_camera_in_use_is_the_one_that_was_chosen(monkeypatch):
    # The stream itself reports the new one only once its thread has changed to it.
    session, refused = FakeSession(None), DeviceNotFound("no camera 'x'")
    recording = WindowRecording(session, None, RecordOptions(), load_labels(), "me")
    controls = live_controls(session, recording)
    controls.change_device("camera", "http://192.0.2.7/video")
    assert controls.choices("camera").current == "http://192.0.2.7/video"

    def refuse(stream, wanted):
        raise refused

    monkeypatch.setattr(session, "change_device", refuse)
    with pytest.raises(DeviceNotFound):
        controls.change_device("camera", "x")
    assert controls.choices("camera").current == "http://192.0.2.7/video"


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


def test_marks_end_with_a_recording_that_ended_by_itself(tmp_path, monkeypatch):
    session = FakeSession(None)
    session.given.extend(session.estimates())
    folder = tmp_path / "first"
    with WindowRecording(session, folder, RecordOptions(), load_labels(), "me") as recording:
        recording.record(True)
        assert recording.press("2", 1.0, 25)
        snapshot = session.snapshot()
        status = RecordingStatus(str(folder), 0.0, 0, None, "only 100 MB are left on this disk")
        failed = replace(snapshot, recording=status, now_s=snapshot.now_s + 60.0)
        monkeypatch.setattr(session, "snapshot", lambda: failed)
        session.recorded.append(None)
        assert not recording.press("3", 2.0, 50)
        assert recording.keys() == ()
        # No later than anything that was recorded.
        assert rows(folder)[-1] == ("Happy", "interval", 1.0, snapshot.estimate.time_s)
        assert recording.record(True) == f"Recording into {tmp_path / 'first-2'}"


def test_a_recording_ends_also_when_its_marks_cannot_be_written(tmp_path, monkeypatch):
    session = FakeSession(None)
    session.given.extend(session.estimates())
    recording = WindowRecording(session, tmp_path / "a", RecordOptions(), load_labels(), "me")

    def full(_marks, _shown_s):
        raise RecordingError("the disk is full")

    recording.record(True)
    monkeypatch.setattr(RaterMarks, "close", full)
    with pytest.raises(RecordingError, match="full"):
        recording.record(False)
    assert session.recorded == [tmp_path / "a", None]


def test_a_folder_that_is_in_use_is_passed_over(tmp_path):
    session = FakeSession(None)
    session.given.extend(session.estimates())
    for name in ("a", "a-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("mine")
    with WindowRecording(session, tmp_path / "a", RecordOptions(), load_labels(), "me") as one:
        assert one.record(True) == f"Recording into {tmp_path / 'a-3'}"


def test_a_folder_that_nobody_named_bears_the_date(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = FakeSession(None)
    session.given.extend(session.estimates())
    with WindowRecording(session, None, RecordOptions(), load_labels(), "me") as recording:
        recording.record(True)
    assert [folder.parent.name for folder in session.recorded] == ["recordings"]
    assert session.recorded[0].is_dir()


def test_without_a_window_a_full_disk_is_said_once(capsys):
    warning = DiskWarning()
    low = RecordingStatus("s1", 0.0, 10, 100.0)
    for time_s in (0.1, 0.2, 2.2, 4.3):
        if warning.due(time_s):
            warning.look(low if time_s < 4 else RecordingStatus("s1", 0.0, 10, 0.0, "disk full"))
    warning.look(None)
    assert capsys.readouterr().err.splitlines() == [
        "note: recording s1: the disk has room for 1:40 more",
        "note: recording s1: disk full",
    ]
