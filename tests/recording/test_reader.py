from __future__ import annotations

import sqlite3
import sys

import numpy as np
import pandas as pd
import pytest

import realtime_er
from realtime_er.errors import ClosedError, RealtimeERError, RecordingError
from realtime_er.messages import LABELS
from realtime_er.recording.annotations import AnnotationStore
from realtime_er.recording.reader import RecordedSession
from realtime_er.sinks import tables
from tests.recording import samples
from tests.recording.samples import START_S


@pytest.fixture
def session(recorded):
    with RecordedSession.open(recorded) as session:
        yield session


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_three_lines_give_a_frame(recorded):
    with realtime_er.Session.open(recorded) as session:
        frame = session.estimates()
    assert frame["label"].value_counts().to_dict() == {"Happy": 82, "Neutral": 33}


def test_estimates_are_the_recorded_numbers(session):
    frame = session.estimates()
    expected = [samples.estimate_at(tick) for tick in samples.ticks()]
    assert frame["session_s"].tolist() == [estimate.time_s for estimate in expected]
    assert np.allclose(frame["time_s"] + START_S, frame["session_s"], atol=1e-6)
    np.testing.assert_array_equal(
        frame[list(LABELS)].to_numpy(), [estimate.probabilities for estimate in expected]
    )
    face = frame[[f"contribution_face_{label}" for label in LABELS]].to_numpy()
    for row, estimate in zip(face, expected, strict=True):
        wanted = estimate.contributions.get("face", np.full(7, np.nan))
        np.testing.assert_array_equal(row, wanted)
    lost = frame[frame["state_face"] == "device lost"]
    assert lost["session_s"].min() == pytest.approx(8.1)
    assert frame["age_s"].max() == pytest.approx(0.086)


def test_columns_of_estimates_are_in_the_order_of_analyze(session):
    names = list(session.estimates().columns)
    same = [name for name in tables.COLUMNS if name != "transcript"]
    assert names[: len(same)] == same


def test_all_frames(session):
    assert session.transcript() == [text for _, _, text in samples.UTTERANCES]
    assert session.words()["text"].tolist()[-4:] == ["זה", "נהדר", "🎉", "fine"]
    assert session.gaps().iloc[0].to_dict() == {
        "stream": "camera",
        "start_s": 5.75,
        "end_s": 7.75,
        "reason": "unplugged",
        "session_start_s": 8.0,
        "session_end_s": 10.0,
    }
    assert session.events()["kind"].tolist() == ["device lost", "device back"]
    assert session.health()["speaking"].dtype == bool
    vectors = session.embeddings()["vector"]
    assert vectors[5].tolist() == [5, 6, 7, 8]
    assert vectors[5].dtype == np.float32
    hypotheses = session.hypotheses()
    assert hypotheses["is_final"].tolist() == [False, True] * 3
    assert session.frame("faces").query("not is_target")["refused"].unique() == ["face too small"]
    assert session.counts()["annotations"] == 9
    assert session.span_s == (START_S, START_S + 12.0)
    assert session.media_path.name == "media.mkv"


def test_annotations_have_both_times(session):
    frame = session.annotations()
    assert frame["rater"].unique().tolist() == ["anna", "ben"]
    happy = frame[(frame["rater"] == "anna") & (frame["label"] == "Happy")].iloc[0]
    assert (happy["shown_start_s"], happy["start_s"], happy["end_s"]) == (4.0, 3.75, 9.75)
    assert frame[frame["kind"] == "note"]["text"].tolist()[0].startswith("first line\nsecond")
    assert frame["frame_index"].isna().tolist() == (frame["kind"] == "note").tolist()


def test_reading_changes_nothing_in_the_folder(own_copy):
    before = contents(own_copy)
    with RecordedSession.open(own_copy) as session:
        for name in ("estimates", "annotations", "embeddings"):
            session.frame(name)
    assert contents(own_copy) == before


def test_a_session_that_still_runs_can_be_read(own_copy):
    samples.lie_in_manifest(own_copy, end_s=None, complete=False)
    with (
        AnnotationStore(own_copy, "anna", samples.LABEL_SET) as store,
        RecordedSession.open(own_copy) as session,
    ):
        store.press("2", 12.25, 9)
        store.press("x", 13.25, 9)
        assert session.duration_s == pytest.approx(12.0)
        assert np.isnan(session.annotations()["end_s"].tolist()[2])
        ends = {mark.start_s: end_s for mark, end_s in session.intervals("anna")}
        assert ends[12.0] == 13.0


def test_empty_tables_give_empty_frames(own_copy):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        for table in ("contributions", "windows", "estimates", "words"):
            connection.execute(f"DELETE FROM {table}")
    connection.close()
    with RecordedSession.open(own_copy) as session:
        assert len(session.estimates()) == 0
        assert session.estimates()["Happy"].dtype == np.float32
        assert isinstance(session.words(), pd.DataFrame)


def test_pandas_missing_is_one_line(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RealtimeERError, match="need pandas; install it with"):
        session.estimates()


def test_closed_session_says_so(recorded):
    session = RecordedSession.open(recorded)
    session.close()
    session.close()
    with pytest.raises(ClosedError, match="closed"):
        session.estimates()


def test_wrong_types_and_missing_tables_are_one_line(own_copy):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        connection.execute("UPDATE estimates SET happy = 'much' WHERE tick = 30")
    connection.close()
    with (
        RecordedSession.open(own_copy) as session,
        pytest.raises(RecordingError, match="table estimates: Happy holds 'much' where a float32"),
    ):
        session.estimates()
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        connection.execute("DROP TABLE words")
    connection.close()
    with pytest.raises(RecordingError, match="table words is missing; try: realtime-er repair"):
        RecordedSession.open(own_copy)


def test_a_rater_whose_database_is_damaged(own_copy):
    path = own_copy / "annotations" / "ben.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE marks SET start_s = 'soon' WHERE mark_id = 1")
        connection.execute("UPDATE marks SET start_s = 'soon' WHERE mark_id = 2")
    connection.close()
    with (
        RecordedSession.open(own_copy) as session,
        pytest.raises(RecordingError, match="holds 'soon' where a float belongs"),
    ):
        session.annotations()


def test_a_manifest_that_lies_about_paths(own_copy):
    samples.lie_in_manifest(own_copy, database="../../etc/passwd")
    with pytest.raises(RecordingError, match="leads out of the session's folder"):
        RecordedSession.open(own_copy)


def test_no_session(tmp_path):
    with pytest.raises(RecordingError, match="is no session"):
        RecordedSession.open(tmp_path)
