"""Which recorded sessions a folder holds; a broken one is listed with the reason."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from realtime_er.consent import Consent
from realtime_er.errors import RecordingError
from realtime_er.messages import LABELS
from realtime_er.recording.manifest import DATABASE, MANIFEST
from realtime_er.recording.marks import count_standing, database_path, open_annotations, raters
from realtime_er.recording.reader import RecordedSession


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """One session of a listing.

    Attributes:
        path: Its folder.
        started_at: Wall-clock start, ISO 8601, UTC; "" when nobody knows.
        duration_s: Length.
        faces: Tracks of faces that were seen.
        words: Words in final transcripts.
        gaps, gap_s: Known spans without data, and their total length; what overlaps counts once.
        shares: Label (None: abstains) -> share of the estimates; empty without estimates.
        marks: Annotations that stand.
        raters: Who made them.
        consent: Of the person who was recorded; None when none was recorded.
        readable: Whether the session could be opened; otherwise the figures above mean nothing.
        complete: Whether the recording ended by itself.
        verified: Whether reading it back found it whole; None when nobody looked to the end.
        problem: Why it, or a part of it, cannot be read; one line, "" when it can.
    """

    path: Path
    started_at: str = ""
    duration_s: float = 0.0
    faces: int = 0
    words: int = 0
    gaps: int = 0
    gap_s: float = 0.0
    shares: dict[str | None, float] = field(default_factory=dict)
    marks: int = 0
    raters: tuple[str, ...] = ()
    consent: Consent | None = None
    readable: bool = False
    complete: bool = False
    verified: bool | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.resolve().name


def list_sessions(folder: Path) -> list[SessionEntry]:
    """All sessions directly in ``folder`` (or ``folder`` itself), by start, then by name.

    Raises:
        RecordingError: the folder is not there or cannot be read.
    """
    entries = (_entry(path) for path in session_folders(folder))
    return sorted(entries, key=lambda entry: (entry.started_at, entry.name))


def session_folders(folder: Path) -> list[Path]:
    """Folders directly in ``folder`` (or ``folder`` itself) that look like sessions, by name.

    Raises:
        RecordingError: the folder is not there or cannot be read.
    """
    try:
        return sorted(path for path in (folder, *folder.iterdir()) if _may_be_session(path))
    except OSError as error:
        raise RecordingError(f"{folder}: cannot be listed ({error.strerror})") from error


def _may_be_session(path: Path) -> bool:
    try:
        return path.is_dir() and any((path / name).exists() for name in (MANIFEST, DATABASE))
    except OSError:
        return False  # a folder that is not ours to look into


def _entry(path: Path) -> SessionEntry:
    try:
        with RecordedSession.open(path) as session:
            return _read(session)
    except RecordingError as error:
        return SessionEntry(path, problem=str(error))
    except (sqlite3.DatabaseError, UnicodeDecodeError, OSError) as error:
        return SessionEntry(path, problem=f"{path}: cannot be read ({error})")


def _read(session: RecordedSession) -> SessionEntry:
    def one(statement: str) -> tuple[int, ...]:
        row: tuple[int, ...] = session.connection.execute(statement).fetchone()
        return row

    manifest = session.manifest
    found = dict(session.connection.execute("SELECT label, count(*) FROM estimates GROUP BY label"))
    n = sum(found.values())
    shares = {label: found[label] / n for label in (*LABELS, None) if label in found}
    marks: dict[str, int] = {}
    problems = []
    for rater, count, problem in _marks(session.path):
        marks[rater] = count
        problems += [problem] if problem else []
    verified = manifest.verified or {"skipped": True}
    differs = "" if verified.get("skipped") or verified.get("ok") else str(verified.get("line", ""))
    return SessionEntry(
        path=session.path,
        started_at=manifest.started_at,
        duration_s=session.duration_s,
        faces=one("SELECT count(DISTINCT track_id) FROM faces")[0],
        words=one(
            "SELECT count(*) FROM words w JOIN hypotheses h ON h.seq = w.seq WHERE h.is_final"
        )[0],
        gaps=one("SELECT count(*) FROM gaps")[0],
        gap_s=session.gap_s,
        shares=shares,
        marks=sum(marks.values()),
        raters=tuple(rater for rater, count in marks.items() if count),
        consent=manifest.given_consent(),
        readable=True,
        complete=manifest.complete,
        verified=None if verified.get("skipped") else bool(verified.get("ok")),
        problem="; ".join(problems) or manifest.failure or differs,
    )


def _marks(folder: Path) -> Iterator[tuple[str, int, str]]:
    """Each rater with the number of marks, or with why they cannot be read."""
    for rater in raters(folder):
        try:
            path = database_path(folder, rater)
            with closing(open_annotations(path)) as connection:
                yield rater, count_standing(connection, str(path)), ""
        except RecordingError as error:
            yield rater, 0, str(error)
