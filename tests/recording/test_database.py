from __future__ import annotations

import os
import sqlite3

import pytest

from realtime_er.errors import NewerFormat, RecordingError
from realtime_er.recording.database import (
    create_database,
    finish_database,
    open_database,
    table_names,
    table_script,
)
from realtime_er.recording.schema import ANNOTATION_TABLES, TABLES, VERSION


@pytest.fixture
def path(tmp_path):
    return tmp_path / "session.sqlite"


def test_a_new_database_has_every_table_and_says_whose_it_is(path):
    connection = create_database(path)
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    assert {name for (name,) in rows} == set(table_names(TABLES))
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


def test_each_table_can_be_made_by_itself(path):
    connection = sqlite3.connect(path)
    for script in (TABLES, ANNOTATION_TABLES):
        for name in table_names(script):
            connection.execute(table_script(script, name))
    connection.close()
    with pytest.raises(ValueError, match="no table faults"):
        table_script(TABLES, "faults")


def test_nothing_is_overwritten(path):
    path.write_text("mine")
    with pytest.raises(RecordingError, match="is there already"):
        create_database(path)
    assert path.read_text() == "mine"


def test_a_database_that_cannot_be_made_leaves_nothing(path):
    with pytest.raises(RecordingError, match="cannot be written"):
        create_database(path, script="CREATE TABLE two (x); CREATE TABLE two (x);")
    assert list(path.parent.iterdir()) == []


def test_a_finished_database_is_one_file_and_reading_leaves_nothing_beside_it(path):
    finish_database(create_database(path))
    open_database(path).close()
    assert [entry.name for entry in path.parent.iterdir()] == ["session.sqlite"]


def test_read_only_means_that(path):
    finish_database(create_database(path))
    connection = open_database(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO watermarks VALUES (1, 'face', 0)")
    connection.close()


def test_it_can_be_read_while_it_is_written(path):
    writer = create_database(path)
    reader = open_database(path)
    writer.execute("INSERT INTO watermarks VALUES (1, 'face', 0.1)")
    assert reader.execute("SELECT * FROM watermarks").fetchall() == [(1, "face", 0.1)]
    finish_database(writer)  # a reader is no obstacle
    reader.close()
    connection = open_database(path)
    assert connection.execute("SELECT count(*) FROM watermarks").fetchone() == (1,)
    connection.close()


def test_a_path_with_odd_characters(tmp_path):
    folder = tmp_path / "a?mode=memory&x#%20 \N{GRINNING FACE}"
    folder.mkdir()
    finish_database(create_database(folder / "session.sqlite"))
    open_database(folder / "session.sqlite").close()
    assert [entry.name for entry in folder.iterdir()] == ["session.sqlite"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(path):
    finish_database(create_database(path))
    path.parent.chmod(0o555)
    try:
        open_database(path).close()
    finally:
        path.parent.chmod(0o755)


def foreign(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE estimates (x)")
    connection.close()


def newer(path):
    connection = create_database(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    finish_database(connection)


def without_estimates(path):
    connection = create_database(path)
    connection.execute("DROP TABLE estimates")
    finish_database(connection)


def a_view_for_a_table(path):
    connection = create_database(path)
    connection.execute("DROP TABLE estimates")
    connection.execute("CREATE VIEW estimates AS SELECT 1 AS seq")
    finish_database(connection)


def cut_short(path):
    connection = create_database(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[:2000])


def linked(path):
    target = path.with_name("elsewhere.sqlite")
    finish_database(create_database(target))
    path.symlink_to(target)


def linked_log(path):
    finish_database(create_database(path))
    path.with_name("session.sqlite-wal").symlink_to("/etc/passwd")


BAD = {
    "foreign": (foreign, "another program's database"),
    "newer": (newer, rf"schema {VERSION + 1}; this one reads up to {VERSION}\); update"),
    "table": (without_estimates, "table estimates is missing; try: realtime-er repair"),
    "view": (a_view_for_a_table, "table estimates is missing"),
    "short": (cut_short, "is damaged"),
    "text": (lambda path: path.write_text("hello" * 100), "not a SQLite database"),
    "empty": (lambda path: path.touch(), "is empty"),
    "absent": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "no such file"),
    "link": (linked, "symbolic link"),
    "linked log": (linked_log, "session.sqlite-wal: is a symbolic link"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_session_is_refused_in_one_line(path, kind):
    make, message = BAD[kind]
    make(path)
    with pytest.raises(RecordingError, match=message) as caught:
        open_database(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, NewerFormat) == (kind == "newer")
