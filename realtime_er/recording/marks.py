"""Annotations as they lie in ``annotations/RATER.sqlite``: which marks stand, and their names.

A row stands when nobody took it back and no later row, itself not taken back, closes or corrects it.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, cast

from realtime_er.errors import ConfigError, RecordingError
from realtime_er.recording.database import create_database, finish_database, open_database
from realtime_er.recording.manifest import ANNOTATIONS, inside
from realtime_er.recording.schema import ANNOTATION_TABLES, ANNOTATION_VERSION

MarkKind = Literal["point", "interval", "note"]

_LONGEST_NAME = 40
_NAME = re.compile(r"[\w-]+")
_CORRECTED = re.compile(r"-elan(?:-([0-9]{1,6}))?$")
_STANDING = """
SELECT mark_id, tier, label, kind, start_s, end_s, shown_start_s, shown_end_s, frame_index,
       reaction_s, text, replaces, made_at
FROM marks
WHERE mark_id NOT IN (SELECT mark_id FROM undone)
  AND mark_id NOT IN (SELECT replaces FROM marks WHERE replaces IS NOT NULL
                      AND mark_id NOT IN (SELECT mark_id FROM undone))
ORDER BY {order}
"""
_NEWEST = "SELECT max(max(shown_start_s, coalesce(shown_end_s, shown_start_s))) FROM marks"
# Of sqlite3's rows, as typeof() names them; a hand-made database may hold anything anywhere.
_TYPES = (int, str, str, str, float, float, float, float, int, float, str, int, str)
_MAY_BE_NULL = (5, 7, 8, 11)
_NULL = type(None)
# All allowed combinations, so that a million rows are checked by a look-up each.
_ALLOWED = frozenset(
    product(*((kind, _NULL) if i in _MAY_BE_NULL else (kind,) for i, kind in enumerate(_TYPES)))
)


@dataclass(frozen=True, slots=True)
class Mark:
    """One standing row of ``marks``; the columns are described in ``schema.ANNOTATION_TABLES``."""

    mark_id: int
    tier: str
    label: str
    kind: MarkKind
    start_s: float
    end_s: float | None
    shown_start_s: float
    shown_end_s: float | None
    frame_index: int | None
    reaction_s: float
    text: str
    replaces: int | None
    made_at: str


def rater_name(text: str) -> str:
    """The name a rater's database gets: letters, digits, dash and underscore of ``text``.

    Raises:
        ConfigError: nothing is left of it.
    """
    letters = unicodedata.normalize("NFC", text)
    name = re.sub(r"[^\w-]+", "_", letters).strip("_-")[:_LONGEST_NAME].strip("_-")
    if not name:
        raise ConfigError(f"rater {text!r}: a name needs at least one letter or digit")
    return name


def original_rater(rater: str) -> str:
    """Whose marks those are that were corrected in ELAN: "anna" for "anna-elan" and "anna-elan-2"."""
    return _CORRECTED.sub("", rater)


def without_superseded(raters: Iterable[str]) -> tuple[str, ...]:
    """Raters without those whose marks were corrected in ELAN since: one person is one rater."""

    def version(rater: str) -> int:
        corrected = _CORRECTED.search(rater)
        return 0 if corrected is None else int(corrected[1] or 1)

    newest: dict[str, str] = {}
    for rater in sorted(raters, key=version):
        newest[original_rater(rater)] = rater
    return tuple(sorted(newest.values()))


def database_path(session_folder: Path, rater: str) -> Path:
    """Where the marks of ``rater`` lie; the name is made safe first, so it stays in the folder.

    Raises:
        ConfigError: nothing is left of the name.
        RecordingError: the folder of annotations is a symbolic link.
    """
    return inside(session_folder, ANNOTATIONS) / f"{rater_name(rater)}.sqlite"


def raters(session_folder: Path) -> tuple[str, ...]:
    """Names of all who annotated the session, in order of name."""
    folder = inside(session_folder, ANNOTATIONS)
    names = (path.stem for path in folder.glob("*.sqlite") if not path.is_symlink())
    # What another program put there under another sort of name is not ours to read.
    return tuple(sorted(name for name in names if _NAME.fullmatch(name)))


def open_annotations(path: Path, *, writable: bool = False) -> sqlite3.Connection:
    """Open a rater's database; the caller closes it.

    Raises:
        RecordingError: it is missing, damaged, another program's, or newer than this program.
    """
    return open_database(
        path, writable=writable, script=ANNOTATION_TABLES, version=ANNOTATION_VERSION
    )


def standing(
    connection: sqlite3.Connection, where: str, order: Literal["start_s", "mark_id"] = "start_s"
) -> Iterator[Mark]:
    """All marks that stand.

    Args:
        connection: A rater's database.
        where: Its name, for messages.
        order: By time (for reading) or by when they were made (for undo).

    Raises:
        RecordingError: the database is damaged or not one of ours.
    """
    # Ties by mark_id, so that exports do not depend on the order on disk.
    columns = "start_s, mark_id" if order == "start_s" else order
    try:
        for row in connection.execute(_STANDING.format(order=columns)):
            yield _mark(row, where)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise RecordingError(f"{where}: annotations cannot be read ({error})") from error


def last_shown_s(connection: sqlite3.Connection, where: str) -> float | None:
    """Newest time that any row knows of; where an interval that was left open is taken to end.

    Raises:
        RecordingError: the database is damaged.
    """
    newest_s = _one(connection, _NEWEST, where)
    if newest_s is not None and not isinstance(newest_s, float):
        raise RecordingError(f"{where}: holds {newest_s!r:.60} where a time belongs")
    return newest_s


def count_standing(connection: sqlite3.Connection, where: str) -> int:
    """How many marks stand.

    Raises:
        RecordingError: the database is damaged.
    """
    return int(
        str(_one(connection, f"SELECT count(*) FROM ({_STANDING.format(order='NULL')})", where))
    )


def _one(connection: sqlite3.Connection, statement: str, where: str) -> object:
    try:
        value: object = connection.execute(statement).fetchone()[0]
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise RecordingError(f"{where}: annotations cannot be read ({error})") from error
    return value


def _mark(row: tuple[object, ...], where: str) -> Mark:
    if tuple(map(type, row)) not in _ALLOWED:
        for index, (value, kind) in enumerate(zip(row, _TYPES, strict=True)):
            if type(value) is not kind and not (value is None and index in _MAY_BE_NULL):
                raise RecordingError(
                    f"{where}: mark {row[0]!r} holds {value!r:.60} where a {kind.__name__} belongs; "
                    "it was not written by this program"
                )
    return Mark(*cast("tuple[int, str, str, MarkKind, float, float, float, float, int, float, "
                      "str, int, str]", row))  # fmt: skip


# --- writing ----------------------------------------------------------------------------------

INSERT = """
INSERT INTO marks (mark_id, tier, label, kind, start_s, end_s, shown_start_s, shown_end_s,
                   frame_index, reaction_s, text, replaces, made_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
FIELDS = tuple(Mark.__dataclass_fields__)


def write_marks(session_folder: Path, rater: str, marks: Iterable[Mark]) -> Path:
    """Make the database of a rater who has none yet; ids are given anew. Any thread.

    Returns:
        Its path.

    Raises:
        RecordingError: the rater has one already, or it cannot be written; then there is none.
    """
    path = database_path(session_folder, rater)
    if path.exists():
        raise RecordingError(f"{path}: is there already; nothing is overwritten")
    connection = open_for_writing(path)
    rows = (
        (number, *(getattr(mark, name) for name in FIELDS[1:-2]), None, mark.made_at)
        for number, mark in enumerate(marks, 1)
    )
    try:
        connection.execute("BEGIN")
        connection.executemany(INSERT, rows)
        connection.execute("COMMIT")
        finish_database(connection)
    except BaseException as error:
        connection.close()
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise RecordingError(f"{path}: cannot be written ({error})") from error
        raise
    return path


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open a rater's database for writing, or make it.

    Raises:
        RecordingError: it is damaged, not one of ours, or cannot be made.
    """
    if path.exists():
        return open_annotations(path, writable=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"{path.parent}: cannot be made ({error.strerror})") from error
    return create_database(path, script=ANNOTATION_TABLES, version=ANNOTATION_VERSION)
