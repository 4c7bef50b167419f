from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess

import pytest

from realtime_er.recording.export.subtitles import export_srt, export_vtt
from realtime_er.recording.reader import RecordedSession


@pytest.fixture
def webvtt():
    return pytest.importorskip("webvtt")


def export(folder, out, writer=export_vtt):
    with RecordedSession.open(folder) as session:
        return writer(session, out)


def ffprobe(path):
    if shutil.which("ffprobe") is None:
        pytest.skip("needs ffprobe")
    command = ["ffprobe", "-v", "error", "-show_packets", "-show_data", "-of", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    return [
        (packet["pts"], packet["pts"] + packet["duration"])
        for packet in json.loads(done.stdout)["packets"]
    ]


def test_vtt_read_by_webvtt(recorded, tmp_path, webvtt):
    transcript, labels = export(recorded, tmp_path)
    cues = list(webvtt.read(str(transcript)))
    assert [(cue.start, cue.end) for cue in cues] == [
        ("00:00:00.750", "00:00:02.250"),
        ("00:00:03.750", "00:00:05.250"),
        ("00:00:07.750", "00:00:08.750"),
    ]
    assert cues[0].raw_text == 'I like &lt;this&gt; &amp; "that" --&gt; really'
    assert cues[1].text == "זה נהדר 🎉"
    assert [cue.text for cue in webvtt.read(str(labels))] == ["reads as Neutral", "reads as Happy"]


@pytest.mark.parametrize("writer", [export_vtt, export_srt])
def test_read_by_ffprobe(recorded, tmp_path, writer):
    transcript, labels = export(recorded, tmp_path, writer)
    assert ffprobe(transcript) == [(750, 2250), (3750, 5250), (7750, 8750)]
    assert ffprobe(labels) == [(450, 3750), (3750, 11950)]


def test_srt_read_by_webvtt(recorded, tmp_path, webvtt):
    transcript, _ = export(recorded, tmp_path, export_srt)
    cues = list(webvtt.from_srt(str(transcript)))
    assert [cue.text for cue in cues][1:] == ["זה נהדר 🎉", "fine"]
    text = transcript.read_text("utf-8")
    assert text.count("-->") == 3
    assert "<" not in text


def test_blank_lines_and_odd_durations_do_not_break_cues(own_copy, tmp_path, webvtt):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        change = "UPDATE hypotheses SET text = ?, end_s = start_s WHERE segment_id = ? AND is_final"
        connection.execute(change, ("one\r\n\r\n\ntwo {\\an8}<i>", 0))
        connection.execute(change, ("\x07beep", 1))
        connection.execute("UPDATE hypotheses SET end_s = start_s - 9 WHERE segment_id = 2")
    connection.close()
    vtt, _ = export(own_copy, tmp_path)
    srt, _ = export(own_copy, tmp_path, export_srt)
    cues = list(webvtt.read(str(vtt)))
    assert [cue.raw_text for cue in cues] == ["one\ntwo {\\an8}&lt;i&gt;", "beep", "fine"]
    assert all(cue.end_time > cue.start_time for cue in cues)
    for path in (vtt, srt):
        spans = ffprobe(path)
        assert len(spans) == 3
        assert all(end > start for start, end in spans)


def test_sessions_without_words(own_copy, tmp_path, webvtt):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        connection.execute("DELETE FROM hypotheses")
        connection.execute("DELETE FROM estimates")
    connection.close()
    for path in export(own_copy, tmp_path):
        assert list(webvtt.read(str(path))) == []
    for path in export(own_copy, tmp_path, export_srt):
        assert path.read_text() == ""


def test_more_than_ten_hours(own_copy, tmp_path, webvtt):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        connection.execute(
            "UPDATE hypotheses SET start_s = start_s + 400000, end_s = end_s + 400000"
        )
    connection.close()
    transcript, _ = export(own_copy, tmp_path)
    assert "111:06:40.750 --> 111:06:42.250" in transcript.read_text("utf-8")
    assert len(list(webvtt.read(str(transcript)))) == 3
