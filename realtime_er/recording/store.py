"""What the fusion thread took in and made, into ``session.sqlite`` and back in the same order.

``Store`` writes: rows wait in memory until ``commit``, which the recorder calls at least twice a
second. ``messages_in_order`` reads: every message of the fusion thread in the order of ``seq``,
equal to what was recorded.
"""

from __future__ import annotations

import heapq
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from realtime_er.messages import (
    Embedding,
    Estimate,
    Event,
    FaceReport,
    Gap,
    Health,
    SpeechActivity,
)
from realtime_er.recording import rows
from realtime_er.recording.database import table_names
from realtime_er.recording.rows import Insert
from realtime_er.recording.schema import TABLES
from realtime_er.windows import Announced, Transcribed, Watermark


@runtime_checkable
class Checkpoint(Protocol):
    """State of window builder and decision maker where a recording began."""

    def to_json(self) -> str:
        """The state as JSON."""
        ...


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint as it was read: its JSON."""

    state: str

    def to_json(self) -> str:
        """The state as JSON."""
        return self.state


StoredMessage = (
    FaceReport
    | Embedding
    | SpeechActivity
    | Transcribed
    | Watermark
    | Event
    | Gap
    | Estimate
    | Checkpoint
)
"""What has a ``seq``."""


class Store:
    """Writes one session database. Owned by one thread, which may get it from another.

    Args:
        connection: From ``create_database``; ``close`` is the owner's business.
        seq: The first ``seq`` to give.

    Attributes:
        n_messages: Messages that are worth a row.
        n_left_out: Messages that no state depends on; see ``add``.
        n_committed, n_committed_estimates: How many of them, and of the estimates, are in the file.
    """

    def __init__(self, connection: sqlite3.Connection, seq: int = 1) -> None:
        self._connection = connection
        self._seq = seq
        self._waiting: dict[str, list[tuple[object, ...]]] = {t: [] for t in table_names(TABLES)}
        self._tracks: set[str] = set()
        self._inserts: dict[str, str] = {}
        self._health_s = -math.inf
        self._n_estimates = 0
        self.n_messages = self.n_left_out = 0
        self.n_committed = 0
        self.n_committed_estimates = 0

    @property
    def dirty(self) -> bool:
        """Whether rows wait for ``commit``."""
        return any(self._waiting.values())

    def add(self, message: StoredMessage | Announced) -> None:
        """Note one message of the fusion thread; its ``seq`` is the order of these calls.

        ``Announced`` and watermarks in the middle of a track are left out: no state depends on them.
        """
        inserts = self._inserts_of(message)
        if not inserts:
            self.n_left_out += 1
            return
        self._seq += 1
        self.n_messages += 1
        for insert in inserts:
            self._add(insert)

    def _inserts_of(self, message: StoredMessage | Announced) -> Sequence[Insert]:
        seq = self._seq
        match message:
            case Estimate():
                self._n_estimates += 1
                return rows.estimate_rows(seq, message)
            case FaceReport():
                return rows.report_rows(seq, message)
            case Embedding():
                return [rows.embedding_row(seq, message)]
            case SpeechActivity():
                return [rows.speech_row(seq, message)]
            case Transcribed():
                return rows.transcribed_rows(seq, message)
            case Watermark():
                return [rows.watermark_row(seq, message)] if self._matters(message) else []
            case Event():
                return [rows.event_row(seq, message)]
            case Gap():
                return [rows.gap_row(seq, message)]
            case Announced():
                return []
            case Checkpoint():
                return [("checkpoint", (seq, message.to_json()))]
        raise TypeError(f"{type(message).__name__} is not recorded")

    def _matters(self, watermark: Watermark) -> bool:
        if math.isinf(watermark.time_s):
            return watermark.time_s > 0
        first = watermark.track not in self._tracks
        self._tracks.add(watermark.track)
        return first

    def add_frame(self, index: int, time_s: float, pts_ms: int) -> None:
        """Note a picture that is in the media file."""
        self._add(("frames", (int(index), float(time_s), int(pts_ms))))

    def add_sound(
        self, position: int, first_sample: int | None, start_s: float, n_samples: int, pts_ms: int
    ) -> None:
        """Note a block of sound that is in the media file; ``first_sample`` None for filler."""
        self._add(("sound", (position, first_sample, float(start_s), n_samples, pts_ms)))

    def add_health(self, time_s: float, health: Health) -> None:
        """Note how the session is doing; a second reading of one moment is left out."""
        if time_s > self._health_s:
            self._health_s = time_s
            self._add(rows.health_row(time_s, health))

    def _add(self, insert: Insert) -> None:
        table, values = insert
        self._waiting[table].append(values)

    def commit(self) -> None:
        """Write everything that waits, in one transaction.

        Raises:
            sqlite3.Error: it cannot be written; nothing of this transaction was.
        """
        if not self.dirty:
            return
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for table, waiting in self._waiting.items():
                if waiting:
                    connection.executemany(self._insert(table, len(waiting[0])), waiting)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        for waiting in self._waiting.values():
            waiting.clear()
        self.n_committed = self.n_messages
        self.n_committed_estimates = self._n_estimates

    def _insert(self, table: str, n_columns: int) -> str:
        if table not in self._inserts:
            marks = ", ".join("?" * n_columns)
            self._inserts[table] = f"INSERT INTO {table} VALUES ({marks})"
        return self._inserts[table]


# --- reading ----------------------------------------------------------------------------------


class _Side:
    """Rows of a table that belong to rows of another by ``seq``, read in step with it."""

    def __init__(self, connection: sqlite3.Connection, table: str, order: str = "seq") -> None:
        self._rows = iter(_select(connection, table, order))
        self._next = next(self._rows, None)

    def of(self, seq: int) -> list[sqlite3.Row]:
        found = []
        while self._next is not None and self._next["seq"] <= seq:
            if self._next["seq"] == seq:
                found.append(self._next)
            self._next = next(self._rows, None)
        return found

    def one(self, seq: int) -> sqlite3.Row | None:
        return next(iter(self.of(seq)), None)


def _select(connection: sqlite3.Connection, table: str, order: str = "seq") -> sqlite3.Cursor:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor.execute(f"SELECT * FROM {table} ORDER BY {order}")


def _reports(connection: sqlite3.Connection) -> Iterator[tuple[int, StoredMessage]]:
    faces = _Side(connection, "faces", "seq, rowid")
    vectors = _Side(connection, "embeddings")
    for row in _select(connection, "face_reports"):
        seq = row["seq"]
        yield seq, rows.row_to_report(row, faces.of(seq), vectors.one(seq))


def _hypotheses(connection: sqlite3.Connection) -> Iterator[tuple[int, StoredMessage]]:
    words = _Side(connection, "words", "seq, position")
    vectors = _Side(connection, "embeddings")
    for row in _select(connection, "hypotheses"):
        seq = row["seq"]
        yield seq, rows.row_to_transcribed(row, words.of(seq), vectors.one(seq))


def _voices(connection: sqlite3.Connection) -> Iterator[tuple[int, StoredMessage]]:
    for row in _select(connection, "embeddings"):
        if row["modality"] == "audio":
            yield row["seq"], rows.row_to_embedding(row)


def read_estimates(connection: sqlite3.Connection) -> Iterator[tuple[int, Estimate]]:
    """``seq`` and estimate, in order. The connection's thread."""
    contributions = _Side(connection, "contributions", "seq, rowid")
    windows = _Side(connection, "windows")
    for row in _select(connection, "estimates"):
        seq = row["seq"]
        yield seq, rows.row_to_estimate(row, contributions.of(seq), windows.one(seq))


def _plain(
    connection: sqlite3.Connection, table: str, make: Callable[[rows.Row], StoredMessage]
) -> Iterator[tuple[int, StoredMessage]]:
    for row in _select(connection, table):
        yield row["seq"], make(row)


def messages_in_order(connection: sqlite3.Connection) -> Iterator[tuple[int, StoredMessage]]:
    """Everything that the fusion thread took in and made, with its ``seq``, in that order.

    Reads as it goes: memory does not grow with the session. The connection's thread.

    Raises:
        sqlite3.Error: the database is damaged.
    """
    streams: list[Iterator[tuple[int, StoredMessage]]] = [
        _reports(connection),
        _hypotheses(connection),
        _voices(connection),
        iter(read_estimates(connection)),
        _plain(connection, "checkpoint", lambda row: StoredCheckpoint(row["state"])),
        _plain(connection, "speech", rows.row_to_speech),
        _plain(connection, "watermarks", rows.row_to_watermark),
        _plain(connection, "events", rows.row_to_event),
        _plain(connection, "gaps", rows.row_to_gap),
    ]
    return heapq.merge(*streams, key=lambda item: item[0])
