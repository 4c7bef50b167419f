"""Reads a recording back and compares it with what its tables say was written."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import av.error

from realtime_er.errors import RecordingError
from realtime_er.recording.database import open_database
from realtime_er.recording.manifest import Manifest

_MAX_PROBLEMS = 20
_MOST_ROWS = 2**53  # more samples than any recording has, and whole as a float
_BYTES_PER_SAMPLE = 2


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading a recording back found.

    Attributes:
        n_frames, n_samples, n_filler_samples, n_estimates: What is really there.
        problems: One line each; empty when all is as it should be.
        skipped: Somebody did not want to wait for the end of it.
    """

    n_frames: int
    n_samples: int
    n_filler_samples: int
    n_estimates: int
    problems: tuple[str, ...] = ()
    skipped: bool = False

    @property
    def ok(self) -> bool:
        """Whether everything was read back and agrees."""
        return not self.problems and not self.skipped

    @property
    def line(self) -> str:
        """One line for people."""
        if self.problems:
            more = len(self.problems) - 1
            return f"NOT as written: {self.problems[0]}" + (f" (and {more} more)" if more else "")
        return "not verified" if self.skipped else "verified"

    def to_record(self) -> dict[str, Any]:
        """Plain values, for the manifest."""
        return {"ok": self.ok, "line": self.line, **asdict(self)}


class _Skipped(Exception):  # noqa: N818 - it is a signal, not an error
    """The caller does not want to wait."""


def verify(folder: Path, manifest: Manifest, skip: threading.Event | None = None) -> Verification:
    """Read a recording back. Every packet of the media file is compared with its row.

    Reads as fast as the disk allows (a few seconds for an hour of lossy video); decodes nothing but
    the first picture.

    Args:
        folder: The session.
        manifest: Its ledger ("frames_written", "samples_written", "estimates") is compared too.
        skip: Set to stop waiting.
    """
    problems: list[str] = []
    counts = {"n_frames": 0, "n_samples": 0, "n_filler_samples": 0, "n_estimates": 0}
    try:
        connection = open_database(manifest.database_path(folder))
    except RecordingError as error:
        return Verification(0, 0, 0, 0, (str(error),))
    skipped = False
    try:
        _check_database(connection, counts, problems)
        media = manifest.media_path(folder)
        if media is not None:
            _check_media(connection, media, skip or threading.Event(), problems)
    except (sqlite3.Error, RecordingError) as error:
        problems.append(f"{folder}: {error}")
    except _Skipped:
        skipped = True
    finally:
        connection.close()
    pairs = {
        "frames_written": "n_frames",
        "samples_written": "n_samples",
        "estimates": "n_estimates",
    }
    for written, found in pairs.items():
        expected = manifest.ledger.get(written)
        if expected is not None and expected != counts[found]:
            problems.append(f"{expected} {found[2:]} were written, {counts[found]} are there")
    return Verification(
        n_frames=counts["n_frames"],
        n_samples=counts["n_samples"],
        n_filler_samples=counts["n_filler_samples"],
        n_estimates=counts["n_estimates"],
        problems=tuple(problems[:_MAX_PROBLEMS]),
        skipped=skipped,
    )


def _check_database(
    connection: sqlite3.Connection, counts: dict[str, int], problems: list[str]
) -> None:
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        problems.append(f"the database is damaged: {state}")
    queries = {
        "n_frames": "SELECT count(*) FROM frames",
        "n_samples": "SELECT total(n_samples) FROM sound WHERE first_sample IS NOT NULL",
        "n_filler_samples": "SELECT total(n_samples) FROM sound WHERE first_sample IS NULL",
        "n_estimates": "SELECT count(*) FROM estimates",
    }
    for name, query in queries.items():
        (total,) = connection.execute(query).fetchone()
        if not 0 <= total < _MOST_ROWS:
            problems.append(f"the database holds {total:g} {name[2:]}; it was not written by us")
            continue
        counts[name] = int(total)


def _check_media(
    connection: sqlite3.Connection, path: Path, skip: threading.Event, problems: list[str]
) -> None:
    frames = _Expected("picture", connection.execute("SELECT pts_ms FROM frames ORDER BY rowid"))
    sound = _Expected(
        "block of sound",
        connection.execute(
            f"SELECT pts_ms, n_samples * {_BYTES_PER_SAMPLE} FROM sound ORDER BY position"
        ),
    )
    if not path.is_file():
        problems.append(f"{path}: is missing")
        return
    try:
        with av.open(str(path)) as container:
            for number, packet in enumerate(container.demux()):
                if packet.pts is None:
                    continue  # the demuxer's end marks
                if number % 256 == 0 and skip.is_set():
                    raise _Skipped
                expected = frames if packet.stream.type == "video" else sound
                pts_ms = round(packet.pts * packet.time_base * 1000)
                expected.check(pts_ms, packet.size, problems)
                if len(problems) >= _MAX_PROBLEMS:
                    return
        frames.end(problems)
        sound.end(problems)
        _check_first_picture(path, problems)
    except (OSError, av.error.FFmpegError) as error:
        if isinstance(error, av.error.EOFError) and frames.empty and sound.empty:
            return  # nothing was recorded: a file without packets cannot be opened
        problems.append(f"{path}: cannot be read back: {error.strerror or error}")


class _Expected:
    """What the packets of one stream should be, from the rows of its table."""

    def __init__(self, what: str, rows: Iterator[tuple[Any, ...]]) -> None:
        self._what = what
        self._next = next(rows, None)
        self._rows = rows
        self._n = 0
        self._last_ms = -1

    @property
    def empty(self) -> bool:
        """Whether nothing (more) is expected."""
        return self._next is None

    def check(self, pts_ms: int, n_bytes: int, problems: list[str]) -> None:
        row, self._next = self._next, next(self._rows, None)
        self._n += 1
        where = f"{self._what} {self._n} at {pts_ms / 1000:.3f} s"
        if row is None:
            problems.append(f"{where} is in no table")
        elif row[0] != pts_ms:
            # In a damaged file it may be no number.
            at = f"{row[0] / 1000:.3f} s" if isinstance(row[0], int) else repr(row[0])
            problems.append(f"{where} should be at {at}")
        elif len(row) > 1 and row[1] != n_bytes:
            problems.append(f"{where} has {n_bytes} bytes instead of {row[1]}")
        if pts_ms <= self._last_ms:
            problems.append(f"{where} is not later than the one before")
        self._last_ms = pts_ms

    def end(self, problems: list[str]) -> None:
        missing = (not self.empty) + sum(1 for _ in self._rows)
        if missing:
            problems.append(
                f"{missing} of {self._n + missing} ({self._what}) are missing at the end"
            )


def _check_first_picture(path: Path, problems: list[str]) -> None:
    with av.open(str(path)) as container:
        if not container.streams.video or container.streams.video[0].codec_context.width == 0:
            return
        video = container.streams.video[0]
        n_packets = 0
        for packet in container.demux(video):
            n_packets += packet.pts is not None
            try:
                if packet.decode():
                    return
            except av.error.FFmpegError:
                problems.append(f"{path}: damaged inside: its first picture cannot be decoded")
                return
        if n_packets:
            problems.append(f"{path}: no picture can be decoded")
