"""What can be saved of a damaged ``session.sqlite``, and rows put in agreement with the media."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from realtime_er.errors import NewerFormat, RecordingError
from realtime_er.messages import SAMPLE_RATE_HZ
from realtime_er.recording.database import (
    create_database,
    finish_database,
    open_database,
    table_names,
    table_script,
)
from realtime_er.recording.remux import Packets
from realtime_er.recording.schema import APPLICATION_ID, TABLES
from realtime_er.sources.base import LONGEST_S

_BYTES_PER_SAMPLE = 2


def mend_database(path: Path, done: list[str]) -> sqlite3.Connection:
    """Open a database for repair: whole, with all tables, nobody else using it.

    Args:
        path: ``session.sqlite``.
        done: Gets a line for each thing that was done.

    Raises:
        RecordingError: it is another program's, newer, a symbolic link, or in use.
    """
    if not path.exists() and not path.is_symlink():
        done.append("the database was missing: a new one has only what the media tells")
        return create_database(path)
    try:
        connection = open_database(path, writable=True, missing_tables="*")
    except NewerFormat:
        raise
    except RecordingError as error:
        cause = error.__cause__
        if path.is_symlink() or _is_foreign(path) or (cause and not _is_damage(cause)):
            raise
        return _rebuild(path, None, done)
    try:
        require_alone(connection, path)
        problems = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        if not _is_damage(error):
            connection.close()
            raise RecordingError(f"{path}: cannot be repaired: {error}") from error
        problems = (str(error),)
    except RecordingError:
        connection.close()
        raise
    if problems[0] != "ok":
        return _rebuild(path, connection, done)
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    for name in table_names(TABLES):
        if name not in there:
            connection.execute(table_script(TABLES, name))
            done.append(f"table {name} was missing: made anew, what stood in it is lost")
    return connection


def put_aside(path: Path) -> Path:
    """Rename a damaged file so that it is kept beside what takes its place; its new name."""
    kept = path.with_name(path.name + ".damaged")
    number = 1
    while kept.exists() or kept.is_symlink():
        number += 1
        kept = path.with_name(f"{path.name}.damaged-{number}")
    path.replace(kept)
    return kept


def _is_damage(error: BaseException) -> bool:
    """Whether an error speaks of the file's contents, not of a full disk or a lock."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_foreign(path: Path) -> bool:
    """Whether this is a readable database of another program."""
    try:
        connection = sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)
        try:
            (application_id,) = connection.execute("PRAGMA application_id").fetchone()
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return False
    return bool(application_id != APPLICATION_ID)


def require_alone(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse when another connection to the database exists; it leaves WAL mode.

    Raises:
        RecordingError: it is in use.
        sqlite3.Error: it is damaged, or cannot be written.
    """
    connection.execute("PRAGMA busy_timeout = 500")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    try:
        # Only possible while no other connection exists: a recorder keeps one until its end.
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise RecordingError(
            f"{path}: is in use, perhaps still being recorded; end that program and try again"
        ) from error


def _rebuild(path: Path, damaged: sqlite3.Connection | None, done: list[str]) -> sqlite3.Connection:
    """A new database with every row that can still be read; the damaged one is kept beside it."""
    temporary = path.with_name(path.name + ".repairing")
    for suffix in ("", "-wal", "-shm"):
        temporary.with_name(temporary.name + suffix).unlink(missing_ok=True)
    new = create_database(temporary)
    saved = lost = 0
    new.execute("BEGIN")
    for name in table_names(TABLES):
        rows, whole = ({}, False) if damaged is None else _readable(damaged, name)
        for row in rows.values():
            marks = ", ".join("?" * len(row))
            try:
                new.execute(f"INSERT OR IGNORE INTO {name} VALUES ({marks})", row)
            except sqlite3.Error:
                whole = False  # of another shape: not ours
        saved += len(rows)
        lost += not whole
    new.execute("COMMIT")
    finish_database(new)
    if damaged is not None:
        damaged.close()
    kept = put_aside(path)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    temporary.replace(path)
    done.append(
        f"the database was damaged: {saved:,} rows saved, {lost} tables not whole; "
        f"the old one is kept as {kept.name}"
    )
    return open_database(path, writable=True)


def _readable(
    connection: sqlite3.Connection, table: str
) -> tuple[dict[int, tuple[object, ...]], bool]:
    """Rows of a damaged table from both of its ends, and whether that was all of it."""
    rows: dict[int, tuple[object, ...]] = {}
    for order in ("ASC", "DESC"):
        try:
            for rowid, *values in connection.execute(
                f"SELECT rowid, * FROM {table} ORDER BY rowid {order}"
            ):
                rows[rowid] = tuple(values)
        except sqlite3.Error:
            continue
        return dict(sorted(rows.items())), True
    return dict(sorted(rows.items())), False


def agree_with_media(
    connection: sqlite3.Connection, packets: Packets, start_s: float, done: list[str]
) -> None:
    """Make the tables ``frames`` and ``sound`` list exactly what the media file holds.

    A killed process leaves rows whose media never reached the disk, and media whose rows never did.
    The times of the latter are known to the millisecond of their time stamps.
    """
    connection.execute("BEGIN IMMEDIATE")
    changes = [
        ("pictures", _agree_frames(connection, packets.video, start_s)),
        ("blocks of sound", _agree_sound(connection, packets.audio, start_s)),
    ]
    connection.execute("COMMIT")
    for what, (removed, added) in changes:
        if removed:
            done.append(f"{removed} {what} of the last moment never reached the media file")
        if added:
            done.append(f"{added} {what} had no row: their times are those of the media file")


def _agree_frames(
    connection: sqlite3.Connection, packets: tuple[tuple[int, int], ...], start_s: float
) -> tuple[int, int]:
    old = {
        pts_ms: (index, time_s)
        for index, time_s, pts_ms in connection.execute("SELECT * FROM frames ORDER BY rowid")
    }
    rows: list[tuple[int, float, int]] = []
    added = 0
    for pts_ms, _size in packets:
        if pts_ms in old:
            index, time_s = old.pop(pts_ms)
        else:
            added += 1
            index, time_s = (rows[-1][0] + 1 if rows else 0), start_s + pts_ms / 1000
        if rows and index <= rows[-1][0]:
            index = rows[-1][0] + 1  # a picture without a row took its number
        rows.append((index, time_s, pts_ms))
    if old or added:
        connection.execute("DELETE FROM frames")
        connection.executemany("INSERT INTO frames VALUES (?, ?, ?)", rows)
    return len(old), added


def _agree_sound(
    connection: sqlite3.Connection, packets: tuple[tuple[int, int], ...], start_s: float
) -> tuple[int, int]:
    old = {
        pts_ms: (first_sample, block_s, n_samples)
        for _, first_sample, block_s, n_samples, pts_ms in connection.execute(
            "SELECT * FROM sound ORDER BY position"
        )
    }
    rows: list[tuple[int, int | None, float, int, int]] = []
    position = added = 0
    next_sample = 0
    for pts_ms, size in packets:
        n_samples = size // _BYTES_PER_SAMPLE
        first: int | None
        if pts_ms in old and old[pts_ms][2] == n_samples:
            first, block_s, _ = old.pop(pts_ms)
        else:
            added += 1
            first, block_s = next_sample, start_s + pts_ms / 1000
        if first is not None:
            next_sample = first + n_samples
        rows.append((position, first, block_s, n_samples, pts_ms))
        position += n_samples
    if old or added:
        connection.execute("DELETE FROM sound")
        connection.executemany("INSERT INTO sound VALUES (?, ?, ?, ?, ?)", rows)
    return len(old), added


def recording_start_s(connection: sqlite3.Connection) -> float:
    """Session time of time stamp zero, from rows that have both; 0 when there are none."""
    for query in (
        f"SELECT start_s - pts_ms / 1000.0, n_samples / {SAMPLE_RATE_HZ}.0 FROM sound "
        "ORDER BY position LIMIT 1",
        "SELECT time_s - pts_ms / 1000.0, 0 FROM frames ORDER BY rowid LIMIT 1",
        "SELECT min(time_s), 0 FROM estimates",
    ):
        row = connection.execute(query).fetchone()
        if row is not None and _is_time(row[0]):
            return max(0.0, round(float(row[0]), 3))
    return 0.0


def last_time_s(connection: sqlite3.Connection, start_s: float) -> float:
    """Session time of the end of what is there."""
    queries = (
        "SELECT max(time_s) FROM frames",
        f"SELECT max(start_s + n_samples / {SAMPLE_RATE_HZ}.0) FROM sound",
        "SELECT max(time_s) FROM estimates",
    )
    times = [start_s]
    for query in queries:
        (time_s,) = connection.execute(query).fetchone()
        if _is_time(time_s):
            times.append(float(time_s))
    return max(times)


def _is_time(value: object) -> bool:
    """A damaged column may hold anything."""
    return isinstance(value, int | float) and abs(value) < LONGEST_S
