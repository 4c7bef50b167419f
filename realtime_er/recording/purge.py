"""Deletes recorded sessions whose consent has run out, and nothing that is not a session's.

Only folders with a sound manifest of ours are touched; no symbolic link is followed; a session that is
still being recorded, or has no date, is kept. Files that the program did not write stay where they
are, and so does their folder. The manifest goes last: a purge that was cut short can be done again.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from realtime_er.consent import NO_CONSENT, Consent
from realtime_er.errors import RecordingError
from realtime_er.recording.database import open_database
from realtime_er.recording.export import elan, report, tables, xdf
from realtime_er.recording.listing import session_folders
from realtime_er.recording.manifest import (
    ANNOTATIONS,
    DATABASE,
    MANIFEST,
    MEDIA,
    Manifest,
    read_manifest,
)
from realtime_er.recording.salvage import require_alone

EXPORT = "export"
"""Where ``realtime-er export`` writes when it is not told."""

_BUSY_S = 60.0
"""An unfinished recording writes every second; one that was just written to may still be running."""

_TOP = re.compile(
    "|".join(
        rf"{re.escape(name)}(-wal|-shm|-journal|\.new|\.(repairing|damaged).*)?"
        for name in (MANIFEST, DATABASE, MEDIA)
    )
)
_MARKS = re.compile(r".+\.sqlite(-wal|-shm|-journal)?")
_EXPORTED = {
    elan.FILE_NAME,
    xdf.FILE_NAME,
    report.FILE_NAME,
    "columns.csv",
    *(f"{name}.{ending}" for name in tables.EXPORTED for ending in ("csv", "parquet")),
    *(f"{name}.{ending}" for name in ("transcript", "labels") for ending in ("vtt", "srt")),
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session, and whether it is to be deleted.

    Attributes:
        path: Its folder.
        consent: With the date; None without.
        kept: Why it is kept, "" when it is to be deleted.
        problem: Whether that is something to look into.
        files: What the program wrote there, the manifest last.
        foreign: What it did not write; that is kept, and so is the folder.
        n_bytes: Size of ``files``.
    """

    path: Path
    consent: Consent | None = None
    kept: str = ""
    problem: bool = False
    files: tuple[Path, ...] = ()
    foreign: tuple[Path, ...] = ()
    n_bytes: int = 0


def candidates(folder: Path, today: date, now: datetime) -> list[Candidate]:
    """The sessions in ``folder`` (or ``folder`` itself), in order of name; nothing is changed.

    Args:
        folder: As ``realtime-er sessions`` takes it.
        today: Local date; a session is kept until the end of its last day.
        now: To tell what was written to a moment ago.

    Raises:
        RecordingError: the folder is not there or cannot be read.
    """
    return [_candidate(path, today, now) for path in session_folders(folder)]


def _candidate(path: Path, today: date, now: datetime) -> Candidate:
    if path.is_symlink():
        return Candidate(path, kept="is a symbolic link; nothing is deleted through it")
    try:
        manifest = read_manifest(path)
        consent = manifest.given_consent()
    except RecordingError as error:
        return Candidate(path, kept=str(error), problem=True)
    if consent is None:
        return Candidate(path, kept=f"{NO_CONSENT}, so it has no date")
    if not consent.past(today):
        return Candidate(path, consent, kept=f"until {consent.until.isoformat()}")
    try:
        if _busy(path, manifest, now):
            return Candidate(path, consent, kept="is still being recorded or read back")
        files, foreign = _sort(path)
        n_bytes = sum(file.lstat().st_size for file in files)
    except OSError as error:
        reason = f"cannot be looked through: {error.strerror}"
        return Candidate(path, consent, kept=reason, problem=True)
    return Candidate(path, consent, files=files, foreign=foreign, n_bytes=n_bytes)


def _busy(path: Path, manifest: Manifest, now: datetime) -> bool:
    if manifest.complete and manifest.verified is not None:
        return False
    names = (MANIFEST, DATABASE, f"{DATABASE}-wal", MEDIA)
    times = [(path / name).lstat().st_mtime for name in names if (path / name).exists()]
    return now.timestamp() - max(times, default=0.0) < _BUSY_S


def _sort(path: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Files of ours, the manifest last, and what is not ours."""
    ours: list[Path] = []
    foreign: list[Path] = []
    for entry in sorted(path.iterdir()):
        if entry.is_symlink():
            foreign.append(entry)
        elif entry.is_dir() and entry.name in (ANNOTATIONS, EXPORT):
            for inner in sorted(entry.iterdir()):
                plain = inner.is_file() and not inner.is_symlink()
                (ours if plain and _is_ours(entry.name, inner.name) else foreign).append(inner)
        else:
            plain = entry.is_file() and _TOP.fullmatch(entry.name) is not None
            (ours if plain else foreign).append(entry)
    ours.sort(key=lambda file: file.parent == path and file.name.startswith(MANIFEST))
    return tuple(ours), tuple(foreign)


def _is_ours(folder: str, name: str) -> bool:
    if folder == ANNOTATIONS:
        return _MARKS.fullmatch(name) is not None
    return name.removeprefix(".").removesuffix(".part") in _EXPORTED


def delete(candidate: Candidate) -> None:
    """Delete the files of a session that is past its date, and its folder when it is empty then.

    Raises:
        RecordingError: it is in use or cannot be deleted; what is left can be purged again.
    """
    path = candidate.path
    if candidate.kept or candidate.consent is None:
        raise RecordingError(f"{path}: is kept: {candidate.kept}")
    if not read_manifest(path).complete:
        _require_nobody_records(path / DATABASE)
    try:
        for file in _still_ours(candidate):
            file.unlink(missing_ok=True)
        for folder in (path / ANNOTATIONS, path / EXPORT, path):
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        where = error.filename or path
        raise RecordingError(f"{where}: cannot be deleted: {error.strerror}") from error


def _still_ours(candidate: Candidate) -> Iterator[Path]:
    """Files whose folder has not become a link since they were listed."""
    for file in candidate.files:
        if candidate.path.is_symlink() or file.parent.is_symlink():
            raise RecordingError(f"{file.parent}: has become a symbolic link; nothing is deleted")
        yield file


def _require_nobody_records(database: Path) -> None:
    """Raises ``RecordingError`` when another program has an unfinished recording open."""
    try:
        connection = open_database(database, writable=True, missing_tables="*")
    except RecordingError:
        return  # missing or damaged: nobody records into it
    try:
        require_alone(connection, database)
    except sqlite3.Error as error:
        raise RecordingError(f"{database}: cannot be looked at: {error}") from error
    finally:
        connection.close()
