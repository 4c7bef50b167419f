"""What nobody expected, in every worker: the session ends in order, says it once, keeps its record."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from typer.testing import CliRunner

from realtime_er.cli import app
from realtime_er.config import load_config
from realtime_er.errors import WorkerFault
from realtime_er.perception.face import FacePerception
from realtime_er.recording import recorder as recorder_module
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.rebuild import compare, rebuild
from realtime_er.session import Session
from tests.fakes import CountingCamera, FakeSource, RampMicrophone
from tests.test_session import FakeModels, drain

CONFIG = load_config("analyze", {"face.min_sharpness": 0.0})


class Bomb:
    """Raises from its ``after``-th call on, whatever it stands for."""

    def __init__(self, real, after=5):
        self.real, self.left = real, after

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left < 0:
            raise ZeroDivisionError("nobody thought of this")
        return self.real(*args, **kwargs)


class BrokenMicrophone(RampMicrophone):
    def run(self, emit, pacer, stop):
        super().run(Bomb(emit, 60), pacer, stop)


def detector_fails(models):
    perception = models.face_perception()
    perception._detector.detect = Bomb(perception._detector.detect)
    models.face_perception = lambda: perception


def voice_fails(models):
    detector = models.speech_detector()
    detector._model.probability = Bomb(detector._model.probability, 40)
    models.speech_detector = lambda: detector


def sound_encoder_fails(models):
    load = models.load

    def loaded(**kinds):
        load(**kinds)
        models.audio.push = Bomb(models.audio.push, 30)

    models.load = loaded


def face_encoder_fails(models):
    models.face.encode = Bomb(models.face.encode)


def recognizer_fails(models):
    models.recognizer.transcribe = Bomb(models.recognizer.transcribe, 1)


def text_encoder_fails(models):
    models.text.encode = Bomb(models.text.encode, 0)


def head_fails(models):
    models.head.probabilities = Bomb(models.head.probabilities)


def nothing_fails(_models):
    pass


@pytest.mark.parametrize(
    ("thread", "arm"),
    [
        ("camera", nothing_fails),
        ("microphone", nothing_fails),
        ("face", detector_fails),
        ("face", face_encoder_fails),
        ("speech", voice_fails),
        ("audio", sound_encoder_fails),
        ("asr", recognizer_fails),
        ("asr", text_encoder_fails),
        ("fuse", head_fails),
    ],
)
def test_a_bug_in_a_worker_ends_the_session_in_order(tmp_path, thread, arm):
    models = FakeModels(CONFIG, speech=range(16_000, 48_000))
    arm(models)
    camera = CountingCamera(6.0, fail_at=50 if thread == "camera" else None)
    microphone = BrokenMicrophone(6.0) if thread == "microphone" else RampMicrophone(6.0)
    before = threading.active_count()
    record = (tmp_path / "session", RecordOptions())
    session = Session(CONFIG, source=FakeSource(camera, microphone), models=models, record=record)
    with (
        pytest.raises(WorkerFault, match=f"^the {thread} thread failed: ") as raised,
        session,
    ):
        drain(session)
    assert "\n" not in str(raised.value)
    cause = raised.value.__cause__
    assert cause is not None
    assert cause.__traceback__ is not None
    assert threading.active_count() == before
    assert camera.closed
    assert microphone.closed
    accounting = session.accounting()
    assert accounting.balanced, accounting.lines()
    (report,) = session.recordings()
    assert report.ok, report.line()
    assert report.lost == 0
    with sqlite3.connect(tmp_path / "session" / "session.sqlite") as connection:
        events = connection.execute("SELECT kind, detail FROM events").fetchall()
        if thread != "fuse":  # which alone could have written it
            assert ("session failed", f"the {thread} thread: {type(cause).__name__}") in events
        head = FakeModels(CONFIG).head
        assert compare(rebuild(connection, CONFIG, head)).equal


def test_a_bug_in_the_recorder_ends_the_session_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder_module.SessionFolder, "__init__", SessionFolderThatBreaks.__init__)
    models = FakeModels(CONFIG, speech=range(16_000, 48_000))
    source = FakeSource(CountingCamera(600.0), RampMicrophone(600.0))
    before = threading.active_count()
    session = Session(
        CONFIG, source=source, models=models, record=(tmp_path / "s", RecordOptions())
    )
    with pytest.raises(WorkerFault, match=r"^the record thread failed: nobody"), session:
        drain(session)
    assert threading.active_count() == before
    assert session.accounting().balanced
    (report,) = session.recordings()
    assert "nobody thought of this" in report.line()
    with sqlite3.connect(tmp_path / "s" / "session.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class SessionFolderThatBreaks(recorder_module.SessionFolder):
    """A recording's folder whose pictures fail in a way that nobody named."""

    def __init__(self, *args, **kwargs):
        FOLDER_INIT(self, *args, **kwargs)
        self.media.write_frame = Bomb(self.media.write_frame, 10)


FOLDER_INIT = recorder_module.SessionFolder.__init__


def test_the_command_line_says_it_in_one_line_and_shows_where_with_debug(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(FacePerception, "observe", Bomb(FacePerception.observe, 0))
    command = ["demo", "--display", "none", "--no-audio", "--seconds", "3"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith("error: the face thread failed: nobody thought of this")
    assert "Traceback" not in found.output
    shown = CliRunner().invoke(app, [*command, "--debug"])
    assert isinstance(shown.exception, WorkerFault)
    assert isinstance(shown.exception.__cause__, ZeroDivisionError)
