from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from realtime_er.errors import ClosedError, ConfigError, RecordingError
from realtime_er.recording.annotations import AnnotationStore
from realtime_er.recording.labels import Label, LabelSet
from realtime_er.recording.marks import last_shown_s, rater_name, raters, standing

LABELS = LabelSet(
    (
        Label("rater", "Happy", "h1", "toggle", "#E69F00"),
        Label("rater", "Sad", "2", "toggle", "#0072B2"),
        Label("observer", "door", "d2", "point", "#999999"),
        Label("observer", "talks", "t", "hold", "#999999"),
    ),
    reaction_s=0.25,
)


@pytest.fixture
def store(tmp_path):
    with AnnotationStore(tmp_path, "anna", LABELS) as store:
        yield store


def shown(store):
    return [(m.label, m.kind, m.start_s, m.end_s) for m in store.marks()]


def rows(store, table="marks"):
    with sqlite3.connect(store.path) as connection:
        found = connection.execute(f"SELECT * FROM {table}").fetchall()
    connection.close()
    return found


def test_point_toggle_and_hold_carry_the_shown_time_and_the_corrected_one(store):
    assert store.press("d2", 5.0, 50)
    assert store.press("H1", 6.0, 60)  # caps lock is no other key
    assert store.press("t", 7.0, 70)
    assert store.press("t", 7.5, 75)  # auto-repeat
    assert store.release("t", 8.0, 80)
    assert store.press("h1", 9.0, 90)
    assert not store.press("k", 9.0, 90)
    assert not store.release("h1", 9.5, 95)
    assert shown(store) == [
        ("door", "point", 4.75, 4.75),
        ("Happy", "interval", 5.75, 8.75),
        ("talks", "interval", 6.75, 7.75),
    ]
    happy = store.entries()[1]
    assert (happy.shown_start_s, happy.shown_end_s) == (6.0, 9.0)
    assert (happy.reaction_s, happy.frame_index) == (0.25, 60)


def test_marks_are_on_disk_at_once_and_an_open_interval_has_no_end(store):
    store.press("h1", 6.0, 60)
    assert shown(store) == [("Happy", "interval", 5.75, None)]
    assert [(row[2], row[4], row[5]) for row in rows(store)] == [("Happy", 5.75, None)]


def test_marks_are_the_same_object_until_something_changes(store):
    store.press("d2", 5.0, 50)
    first = store.marks()
    assert store.marks() is first
    store.press("k", 6.0, 60)
    assert store.marks() is first
    store.press("d2", 4.0, 40)
    assert [m.start_s for m in store.marks()] == [3.75, 4.75]


def test_undo_takes_back_the_newest_mark_and_keeps_its_rows(store):
    store.press("d2", 1.0, 1)
    store.press("h1", 2.0, 2)
    store.press("h1", 3.0, 3)
    assert store.undo() == "Happy (rater)"
    assert shown(store) == [("door", "point", 0.75, 0.75)]
    assert store.undo() == "door (observer)"
    assert store.undo() == ""
    assert shown(store) == []
    assert len(rows(store)) == 3
    assert len(rows(store, "undone")) == 3


def test_undo_of_an_open_interval_ends_it_for_good(store):
    store.press("h1", 2.0, 2)
    store.undo()
    store.press("h1", 3.0, 3)
    assert shown(store) == [("Happy", "interval", 2.75, None)]


def test_a_correction_replaces_and_undo_brings_the_old_mark_back(store):
    store.press("h1", 2.0, 2)
    store.press("h1", 3.0, 3)
    mark = store.entries()[0]
    first = store.correct(mark.mark_id, start_s=1.0)
    store.correct(first, label="Sad", end_s=4.0)
    assert shown(store) == [("Sad", "interval", 1.0, 4.0)]
    store.undo()
    assert shown(store) == [("Happy", "interval", 1.0, 2.75)]
    store.undo()
    assert shown(store) == [("Happy", "interval", 1.75, 2.75)]
    second = store.correct(mark.mark_id, start_s=1.5)
    assert store.entries()[0].shown_start_s == 2.0
    store.remove(second)
    assert shown(store) == []
    with pytest.raises(RecordingError, match="not there"):
        store.remove(second)
    with pytest.raises(RecordingError, match="not there"):
        store.correct(second, label="Sad")


def test_a_correction_may_not_turn_time_round(store):
    store.press("h1", 2.0, 2)
    with pytest.raises(RecordingError, match="still open"):
        store.correct(1, label="Sad")
    store.press("h1", 3.0, 3)
    with pytest.raises(RecordingError, match="would end before it begins"):
        store.correct(store.entries()[0].mark_id, end_s=0.0)


def test_going_back_in_a_replay_before_ending_an_interval(store):
    store.press("h1", 6.0, 60)
    store.press("h1", 2.0, 20)
    assert shown(store) == [("Happy", "interval", 1.75, 5.75)]


def test_exclusive_tiers_have_one_open_interval(tmp_path):
    labels = LabelSet(LABELS.labels, frozenset({"rater"}))
    with AnnotationStore(tmp_path, "anna", labels) as store:
        store.press("h1", 1.0, 1)
        store.press("t", 1.5, 1)
        store.press("2", 2.0, 2)
        assert shown(store) == [
            ("Happy", "interval", 1.0, 2.0),
            ("talks", "interval", 1.5, None),
            ("Sad", "interval", 2.0, None),
        ]


def test_notes_keep_any_text(store):
    store.note("  ", 1.0, None)
    store.note('Zeile\n"zwei" <b> שלום 🙂 \ud83d', 2.0, None)
    (mark,) = store.marks()
    assert (mark.tier, mark.kind, mark.start_s) == ("notes", "note", 2.0)
    assert mark.text == 'Zeile\n"zwei" <b> שלום 🙂 ?'


def test_close_ends_what_is_open_at_the_last_time_shown(tmp_path):
    store = AnnotationStore(tmp_path, "anna", LABELS)
    store.press("h1", 1.0, 1)
    store.press("t", 2.0, 1)
    store.close(9.0)
    store.close()
    with AnnotationStore(tmp_path, "anna", LABELS) as again:
        assert [m.end_s for m in again.marks()] == [8.75, 8.75]
        again.press("2", 10.0, 1)
        again.press("d2", 12.0, 1)
    with AnnotationStore(tmp_path, "anna", LABELS) as again:
        assert [m.end_s for m in again.marks()] == [8.75, 8.75, 11.75, 11.75]
    assert [path.name for path in (tmp_path / "annotations").iterdir()] == ["anna.sqlite"]
    with pytest.raises(ClosedError):
        store.press("d2", 1.0, 1)


def test_another_rater_has_another_database(tmp_path):
    for rater in ("anna", "Bén 2"):
        with AnnotationStore(tmp_path, rater, LABELS) as store:
            store.press("d2", 1.0, 1)
            assert len(store.marks()) == 1
    assert raters(tmp_path) == ("Bén_2", "anna")


def test_names_of_raters_stay_in_the_folder():
    assert rater_name("../../etc/passwd") == "etc_passwd"
    assert rater_name("a/b\\c\x00d") == "a_b_c_d"
    assert rater_name("x" * 99) == "x" * 40
    with pytest.raises(ConfigError, match="at least one letter"):
        rater_name("../..")


def test_survives_kill_9_in_the_middle_of_it(tmp_path):
    program = f"""
        import os, signal, sys
        from pathlib import Path
        from realtime_er.recording.annotations import AnnotationStore
        from realtime_er.recording.labels import Label, LabelSet
        labels = LabelSet((Label("r", "a", "a", "point", "#000000"),
                           Label("r", "b", "b", "toggle", "#000000")))
        store = AnnotationStore(Path({str(tmp_path)!r}), "anna", labels)
        for index in range(20):
            store.press("a", float(index), index)
        store.press("b", 3.0, 3)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    # Without any repair, and by sqlite3 alone:
    connection = sqlite3.connect(f"file:{tmp_path}/annotations/anna.sqlite?mode=ro", uri=True)
    marks = list(standing(connection, "anna"))
    assert [m.start_s for m in marks if m.label == "a"] == list(range(20))
    assert [m.end_s for m in marks if m.label == "b"] == [None]
    assert last_shown_s(connection, "anna") == 19.0
    connection.close()
    labels = LabelSet((Label("r", "b", "b", "toggle", "#000000"),))
    with AnnotationStore(tmp_path, "anna", labels) as store:
        assert [m.end_s for m in store.marks() if m.label == "b"] == [19.0]


def test_foreign_newer_and_broken_databases_are_left_alone(tmp_path):
    folder = tmp_path / "annotations"
    folder.mkdir()
    for name, statement in (
        ("foreign", "CREATE TABLE marks (mark_id)"),
        (
            "newer",
            "PRAGMA application_id = 1381254482; PRAGMA user_version = 99; CREATE TABLE t (a)",
        ),
    ):
        connection = sqlite3.connect(folder / f"{name}.sqlite")
        connection.executescript(statement)
        connection.close()
    (folder / "broken.sqlite").write_bytes(b"SQLite format 3\x00" + b"\x01" * 500)
    (folder / "text.sqlite").write_text("hello")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name, message in (
        ("foreign", "another program"),
        ("newer", "newer version"),
        ("broken", "damaged"),
        ("text", "not a SQLite database"),
    ):
        with pytest.raises(RecordingError, match=message):
            AnnotationStore(tmp_path, name, LABELS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    session = tmp_path / "session"
    session.mkdir()
    (session / "annotations").symlink_to(outside)
    with pytest.raises(RecordingError, match="symbolic link"):
        AnnotationStore(session, "anna", LABELS)
    assert not list(outside.iterdir())
