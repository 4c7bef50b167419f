"""Opening ``session.sqlite``, and every other database of a session folder.

A database that is written is in WAL mode with ``synchronous=NORMAL``: what was committed survives
a killed process, and other programs may read while it is written. A recording that ended well is
turned back into one plain file, so that reading it leaves no files beside it.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from realtime_er.errors import NewerFormat, RecordingError
from realtime_er.recording.schema import APPLICATION_ID, TABLES, VERSION

_MAGIC = b"SQLite format 3\x00"
_SUFFIXES = ("-wal", "-shm", "-journal")
_BUSY_S = 5.0


def table_names(script: str) -> tuple[str, ...]:
    """Names of the tables that a schema script creates, in order."""
    return tuple(re.findall(r"CREATE TABLE (\w+)", script))


def table_script(script: str, name: str) -> str:
    """The statement of a schema script that creates one table."""
    found = re.search(rf"CREATE TABLE {name} \(.*?^\);", script, re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError(f"the schema has no table {name}")
    return found.group(0)


def create_database(
    path: Path, *, script: str = TABLES, version: int = VERSION
) -> sqlite3.Connection:
    """Make a new database with all tables, in WAL mode. The caller's thread closes it.

    The connection may be handed to another thread, but used by one at a time. It does not commit by
    itself: the caller says ``BEGIN`` and ``COMMIT``.

    Raises:
        RecordingError: the file exists already, or the folder cannot be written.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except FileExistsError:
        raise RecordingError(f"{path}: is there already; nothing is overwritten") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {error.strerror}") from error
    connection: sqlite3.Connection | None = None
    try:
        connection = _connect(path, "rw")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(script)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        for suffix in ("", *_SUFFIXES):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        raise RecordingError(f"{path}: cannot be written: {error}") from error
    return connection


def open_database(
    path: Path,
    *,
    writable: bool = False,
    script: str = TABLES,
    version: int = VERSION,
    missing_tables: Iterable[str] = (),
) -> sqlite3.Connection:
    """Open a database of this program, read-only unless asked otherwise.

    Also reads what a killed process left, and what lies on a disk that cannot be written.

    Args:
        path: The file.
        writable: In WAL mode; the caller commits.
        script: The schema it must have.
        version: Newest version of it that is understood.
        missing_tables: Tables that need not be there ("*": any; for repair only).

    Raises:
        RecordingError: it is missing, a symbolic link, damaged, another program's, or lacks a table.
        NewerFormat: this program is too old for it.
    """
    hint = _hint(path, script)
    _check_file(path, hint)
    try:
        connection = _connect(path, "rw" if writable else "ro")
    except sqlite3.Error as error:
        raise RecordingError(f"{path}: cannot be opened: {error}") from error
    try:
        _check_contents(connection, path, script, version, frozenset(missing_tables), hint)
        if writable:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter: a damaged schema, at times
        connection.close()
        raise RecordingError(f"{path}: is damaged ({error}); {hint}") from error
    except RecordingError:
        connection.close()
        raise
    return connection


def finish_database(connection: sqlite3.Connection) -> None:
    """Bring everything from the write-ahead log into the one file and close it.

    Raises:
        sqlite3.Error: it cannot be written; the log still holds what is missing.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # Fails while somebody else reads; then the file stays in WAL mode, which is as good.
        connection.execute("PRAGMA busy_timeout = 200")
        try:
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
    finally:
        connection.close()


def _check_file(path: Path, hint: str) -> None:
    # SQLite would follow those beside it as well, and write to where they lead.
    for name in (path.name, *(path.name + suffix for suffix in _SUFFIXES)):
        beside = path.with_name(name)
        if beside.is_symlink():
            raise RecordingError(
                f"{beside}: is a symbolic link; a session keeps its files in its folder"
            )
    if not path.is_file():
        raise RecordingError(f"{path}: no such file; {hint}")
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    if magic != _MAGIC:
        found = "is empty" if not magic else "is not a SQLite database"
        raise RecordingError(f"{path}: {found}; {hint}")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    log = path.with_name(path.name + "-wal")
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not log.exists():
        # WAL needs a file of shared memory beside it; on a read-only disk nobody writes anyway.
        uri += "&immutable=1"
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    # A foreign file could carry views and triggers that call functions.
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _check_contents(
    connection: sqlite3.Connection,
    path: Path,
    script: str,
    version: int,
    missing: frozenset[str],
    hint: str,
) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise RecordingError(f"{path}: is not a recorded session (another program's database)")
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > version:
        raise NewerFormat(
            f"{path}: was written by a newer version of this program (schema {found}; this one "
            f"reads up to {version}); update realtime-er"
        )
    if found < 1:
        raise RecordingError(f"{path}: has no schema version; {hint}")
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    tables = {name for (name,) in rows}
    for name in table_names(script):
        if name not in tables and name not in missing and "*" not in missing:
            raise RecordingError(f"{path}: table {name} is missing; {hint}")


def _hint(path: Path, script: str) -> str:
    if script == TABLES:
        return f"try: realtime-er repair {path.parent}"
    return "put a copy of it back or move it away; nothing else in the session needs it"
