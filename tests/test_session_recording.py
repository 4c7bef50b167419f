"""Sessions that are recorded as they run: from the start, from the middle, and what goes wrong."""

import sqlite3
import threading

import pytest

from realtime_er.config import load_config
from realtime_er.errors import ClosedError, RecordingError, WorkerFault
from realtime_er.recording.manifest import read_manifest
from realtime_er.recording.options import RecordOptions
from realtime_er.session import Session
from tests.fakes import CountingCamera, FakeSource, RampMicrophone
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


def test_a_recording_is_finished_whatever_cuts_the_closing_short(tmp_path, monkeypatch):
    folder = tmp_path / "session"
    record = (folder, RecordOptions())
    before = threading.active_count()
    session = Session(CONFIG, source=both(), models=FakeModels(CONFIG), record=record)
    session.start()
    drain(session)

    def interrupted(_graph):
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "_end_sources", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.close()
    (report,) = session.recordings()
    assert report.ok, report.line()
    for worker in session._graph.workers:
        assert worker.join(5.0)
    assert threading.active_count() == before


def test_only_one_of_two_starts_at_once_wins(tmp_path):
    microphone = Changeable(3.0)
    said = []

    def begin(name):
        try:
            session.start_recording(tmp_path / name)
        except RecordingError as error:
            said.append(str(error))

    def both_at_once():
        threads = [threading.Thread(target=begin, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    microphone.at = {480 * 20: both_at_once}
    session = Session(CONFIG, source=FakeSource(microphone), models=FakeModels(CONFIG))
    with session:
        drain(session)
    assert len(said) == 1
    assert "is being recorded already" in said[0]
    assert len(list(tmp_path.iterdir())) == len(session.recordings()) == 1


def test_what_has_ended_cannot_be_recorded(tmp_path):
    with Session(CONFIG, source=both(), models=FakeModels(CONFIG)) as session:
        drain(session)
        with pytest.raises(ClosedError, match="there is nothing to record"):
            session.start_recording(tmp_path / "late")
    (report,) = session.recordings()
    assert report.failure == ""


def test_devices_are_noted_as_they_were_at_the_end(tmp_path, monkeypatch):
    lost = []
    monkeypatch.setattr(CountingCamera, "info", lambda camera: {"lost": len(lost)}, raising=False)
    microphone = Changeable(3.0)
    microphone.at = {480 * 50: lambda: lost.append("once")}
    source = FakeSource(CountingCamera(3.0), microphone)
    record = (tmp_path / "session", RecordOptions())
    with Session(CONFIG, source=source, models=FakeModels(CONFIG), record=record) as session:
        drain(session)
    assert read_manifest(tmp_path / "session").devices["camera"] == {"lost": 1}


def test_an_unexpected_fault_closes_and_verifies_the_recording(tmp_path):
    folder = tmp_path / "session"
    source = FakeSource(CountingCamera(6.0, fail_at=50), RampMicrophone(6.0))
    models = FakeModels(CONFIG, speech=range(16_000, 48_000))
    record = (folder, RecordOptions())
    before = threading.active_count()
    with (
        pytest.raises(WorkerFault, match="camera thread failed: the camera caught fire"),
        Session(CONFIG, source=source, models=models, record=record) as session,
    ):
        drain(session)
    assert threading.active_count() == before
    (report,) = session.recordings()
    assert report.ok, report.line()
    assert report.lost == 0
    assert 0 < count(folder, "frames") <= 50
    manifest = read_manifest(folder)
    assert manifest.complete
    assert manifest.verified["ok"]
