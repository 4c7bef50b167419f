from __future__ import annotations

import logging
import sqlite3

import numpy as np
import pytest

from realtime_er.messages import LABELS
from realtime_er.recording.export.xdf import export_xdf
from realtime_er.recording.reader import RecordedSession
from tests.recording import samples
from tests.recording.samples import NASTY, START_S


@pytest.fixture
def pyxdf():
    return pytest.importorskip("pyxdf")


def load(pyxdf, path, **options):
    streams, header = pyxdf.load_xdf(str(path), **options)
    assert header["info"]["version"] == ["1.0"]
    return {stream["info"]["name"][0]: stream for stream in streams}


def channels(stream):
    return [c["label"][0] for c in stream["info"]["desc"][0]["channels"][0]["channel"]]


@pytest.fixture
def exported(recorded, tmp_path):
    with RecordedSession.open(recorded) as session:
        (path,) = export_xdf(session, tmp_path)
    return path


@pytest.mark.parametrize("dejitter", [True, False])
@pytest.mark.parametrize("synchronize", [True, False])
def test_stamps_are_the_recordings_own(exported, recorded, pyxdf, dejitter, synchronize, caplog):
    with caplog.at_level(logging.WARNING):
        streams = load(
            pyxdf, exported, dejitter_timestamps=dejitter, synchronize_clocks=synchronize
        )
    assert caplog.records == []
    with RecordedSession.open(recorded) as session:
        wanted = {
            "estimates": session.frame("estimates")["session_s"],
            "contributions": session.frame("estimates")["session_s"],
            "face": session.frame("faces").query("is_target")["session_s"],
            "speech": session.frame("speech")["session_end_s"],
            "frames": session.frame("frames")["session_s"],
            "transcript": session.frame("transcript")["session_start_s"],
            "words": session.frame("words")["session_start_s"],
            "events": session.frame("events")["session_s"],
        }
        for rater in session.raters:
            marks = session.annotations()
            wanted[f"annotations {rater}"] = marks[marks["rater"] == rater]["session_start_s"]
    assert streams.keys() == wanted.keys()
    for name, stream in streams.items():
        np.testing.assert_allclose(stream["time_stamps"], wanted[name], rtol=0, atol=1e-9)
        assert stream["info"]["nominal_srate"] == ["0"]


def test_samples(exported, pyxdf):
    streams = load(pyxdf, exported)
    estimates = streams["estimates"]
    assert channels(estimates) == [*LABELS, "confidence"]
    expected = [samples.estimate_at(tick) for tick in samples.ticks()]
    np.testing.assert_array_equal(
        estimates["time_series"][:, :7], [estimate.probabilities for estimate in expected]
    )
    assert channels(streams["contributions"])[7] == "contribution_audio_Neutral"
    frames = streams["frames"]
    for (_, pts_ms), stamp in zip(frames["time_series"], frames["time_stamps"], strict=True):
        assert abs(START_S + pts_ms / 1000 - stamp) <= 5.1e-4
    assert streams["transcript"]["time_series"][1] == ["זה נהדר 🎉", "7.5"]
    marks = streams["annotations ben"]["time_series"]
    assert [NASTY, "observer", "point", "5.0", ""] in marks
    assert marks[-1][4] == 'first line\nsecond <b>"line"</b> שלום 🙂'


def test_long_streams_of_irregular_pictures_keep_their_stamps(own_copy, pyxdf, tmp_path):
    # A jittery camera that misses pictures: declared regular, readers move it by a second.
    rng = np.random.default_rng(4)
    times_s = np.sort(START_S + np.arange(20_000) / 30 + rng.normal(0, 0.004, 20_000))
    times_s = times_s[rng.random(20_000) > 0.05]
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        connection.execute("DELETE FROM frames")
        rows = [(i, t, round(t * 1000)) for i, t in enumerate(times_s.tolist())]
        connection.executemany("INSERT INTO frames VALUES (?, ?, ?)", rows)
        connection.execute("DELETE FROM hypotheses")
    connection.close()
    with RecordedSession.open(own_copy) as session:
        (path,) = export_xdf(session, tmp_path)
    streams = load(pyxdf, path)
    np.testing.assert_allclose(streams["frames"]["time_stamps"], times_s, rtol=0, atol=1e-9)
    assert len(streams["transcript"]["time_stamps"]) == 0
    assert streams["frames"]["footer"]["info"]["sample_count"] == [str(len(times_s))]


def test_a_file_cut_short_is_still_read(exported, pyxdf, tmp_path):
    cut = tmp_path / "cut.xdf"
    cut.write_bytes(exported.read_bytes()[: exported.stat().st_size * 7 // 10])
    assert len(load(pyxdf, cut)["estimates"]["time_stamps"]) == 120
