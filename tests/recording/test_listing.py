from __future__ import annotations

import shutil
import sqlite3

import pytest

from realtime_er.errors import RecordingError
from realtime_er.recording.annotations import AnnotationStore
from realtime_er.recording.labels import load_labels
from realtime_er.recording.listing import list_sessions
from tests.recording import samples


def test_what_a_session_holds(recorded):
    (entry,) = list_sessions(recorded.parent)
    assert entry.name == "2026-11-21_ann"
    assert entry.started_at.startswith("2026-11-21T09:30")
    assert entry.duration_s == 12.0
    assert (entry.faces, entry.words, entry.gaps, entry.gap_s) == (2, 11, 1, 2.0)
    assert entry.shares == {"Neutral": 33 / 120, "Happy": 82 / 120, None: 5 / 120}
    assert (entry.marks, entry.raters) == (9, ("anna", "ben"))
    assert entry.complete
    assert entry.verified
    assert entry.problem == ""


def test_the_session_itself_can_be_named(recorded):
    assert [entry.path for entry in list_sessions(recorded)] == [recorded]


def test_broken_ones_are_listed_with_the_reason(recorded, tmp_path):
    def copy(name):
        return shutil.copytree(recorded, tmp_path / name)

    copy("good")
    (copy("a no manifest") / "manifest.json").unlink()
    (copy("b no database") / "session.sqlite").unlink()
    (copy("c text") / "session.sqlite").write_text("hello")
    samples.lie_in_manifest(copy("d lies"), media="../../etc/passwd")
    with sqlite3.connect(copy("e table") / "session.sqlite") as connection:
        connection.execute("DROP TABLE gaps")
    connection.close()
    page = copy("f pages") / "session.sqlite"
    data = bytearray(page.read_bytes())
    data[8192:] = b"\x55" * (len(data) - 8192)
    page.write_bytes(data)
    (copy("g rater") / "annotations" / "ben.sqlite").write_bytes(b"nothing")
    (copy("h manifest") / "manifest.json").write_text("{")
    (tmp_path / "no session").mkdir()
    (tmp_path / "file").write_text("")
    samples.lie_in_manifest(tmp_path / "good", started_at="2027-01-01T00:00:00+00:00")

    entries = list_sessions(tmp_path)
    assert entries[-1].name == "good"
    assert entries[-1].problem == ""
    problems = {entry.name: entry.problem for entry in entries}
    assert len(problems) == 9
    for name, part in {
        "a no manifest": "has no manifest.json; try: realtime-er repair",
        "b no database": "no such file",
        "c text": "not a SQLite database",
        "d lies": "leads out of the session's folder",
        "e table": "table gaps is missing",
        "f pages": "try: realtime-er repair",
        "g rater": "ben.sqlite: is not a SQLite database",
        "h manifest": "is damaged",
    }.items():
        assert part in problems[name]
        assert "\n" not in problems[name]
    rater = next(entry for entry in entries if entry.name == "g rater")
    assert (rater.marks, rater.words) == (2, 11)


def test_gaps_that_overlap_count_once(own_copy):
    with sqlite3.connect(own_copy / "session.sqlite") as connection:
        connection.execute("DELETE FROM gaps")
        connection.executemany(
            "INSERT INTO gaps VALUES (?, ?, ?, ?, 'lost')",
            [(9001, "camera", 10.0, 12.0), (9002, "microphone", 11.0, 14.0),
             (9003, "microphone", 11.5, 13.0), (9004, "camera", 20.0, 20.5)],
        )  # fmt: skip
    connection.close()
    (entry,) = list_sessions(own_copy)
    assert (entry.gaps, entry.gap_s) == (4, 4.5)


def test_a_verification_that_was_cut_short_says_nothing(own_copy):
    samples.lie_in_manifest(own_copy, verified={"ok": False, "skipped": True, "line": "x"})
    (entry,) = list_sessions(own_copy)
    assert (entry.verified, entry.problem) == (None, "")
    line = "NOT as written: 5 frames were written, 4 are there"
    samples.lie_in_manifest(own_copy, verified={"ok": False, "skipped": False, "line": line})
    (entry,) = list_sessions(own_copy)
    assert (entry.verified, entry.problem) == (False, line)


def test_who_took_everything_back_is_no_rater(own_copy):
    with AnnotationStore(own_copy, "carla", load_labels()) as store:
        store.press("e", 3.0, None)
        store.undo()
    (entry,) = list_sessions(own_copy)
    assert entry.raters == ("anna", "ben")


def test_a_damaged_rater_is_not_sent_to_repair(own_copy):
    (own_copy / "annotations" / "ben.sqlite").write_bytes(b"nothing")
    (entry,) = list_sessions(own_copy)
    assert entry.problem.endswith(
        "ben.sqlite: is not a SQLite database; put a copy of it back or move it away; nothing else "
        "in the session needs it"
    )


def test_a_recording_that_was_cut_off(own_copy):
    samples.lie_in_manifest(own_copy, complete=False, end_s=None, verified=None)
    (entry,) = list_sessions(own_copy)
    assert not entry.complete
    assert entry.verified is None
    assert entry.duration_s == pytest.approx(12.0)


def test_no_such_folder(tmp_path):
    with pytest.raises(RecordingError, match="cannot be listed"):
        list_sessions(tmp_path / "none")
    assert list_sessions(tmp_path) == []
