"""Sessions that are recorded as they run: from the start, from the middle, and what goes wrong."""

import sqlite3
import threading

import pytest

from realtime_er.config import load_config
from realtime_er.errors import ClosedError, RecordingError
from realtime_er.recording.options import RecordOptions
from realtime_er.session import Session
from tests.fakes import CountingCamera, FakeSource
from tests.test_session import Changeable, FakeModels, both, drain

CONFIG = load_config("analyze", {"face.min_sharpness": 0.0})


def count(folder, table):
    with sqlite3.connect(folder / "session.sqlite") as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_session_is_recorded_from_its_first_moment(tmp_path):
    folder = tmp_path / "session"
    models = FakeModels(CONFIG, speech=range(16_000, 48_000))
    record = (folder, RecordOptions())
    before = threading.active_count()
    with Session(CONFIG, source=both(), models=models, record=record) as session:
        estimates = drain(session)
        status = session.snapshot().recording
        assert status is not None
        assert status.folder == str(folder)
    assert threading.active_count() == before
    (report,) = session.recordings()
    assert report.ok, report.line()
    assert report.lost == 0
    assert count(folder, "estimates") == len(estimates)
    assert count(folder, "frames") == 180
    assert count(folder, "checkpoint") == 1
    assert count(folder, "hypotheses") > 0
    assert report.ledger["samples_written"] == 96_000


def test_recording_can_begin_and_end_while_the_session_runs(tmp_path):
    folder = tmp_path / "middle"
    microphone = Changeable(6.0)
    models = FakeModels(CONFIG, speech=range(96_000))
    source = FakeSource(CountingCamera(6.0), microphone)
    refused = []

    def begin():
        session.start_recording(folder)
        try:
            session.start_recording(tmp_path / "another")
        except RecordingError as error:
            refused.append(str(error))

    session = Session(CONFIG, source=source, models=models)
    # By the sound's own time: from 1.5 s to 4.5 s.
    microphone.at = {480 * 50: begin, 480 * 150: session.stop_recording}
    with session:
        drain(session)
    (report,) = session.recordings()
    assert refused == [f"{tmp_path / 'another'}: the session is being recorded already"]
    assert report.ok, report.line()
    assert 0 < report.ledger["estimates"] < 60
    assert session.snapshot().recording is None


def test_a_folder_that_cannot_be_used_leaves_nothing_open(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    before = threading.active_count()
    record = (tmp_path / "full", RecordOptions())
    session = Session(CONFIG, source=both(), models=FakeModels(CONFIG), record=record)
    with pytest.raises(RecordingError, match="is not empty"):
        session.start()
    assert threading.active_count() == before
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    with pytest.raises(ClosedError):
        session.start_recording(tmp_path / "other")
