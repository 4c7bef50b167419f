"""A recorded session's media as a source: the same pictures and blocks of sound, as fast as allowed.

Each message carries the index and the time that it had when it was captured: they come from the
tables ``frames`` and ``sound``, not from the coarse stamps of the file. Filler is left out: where
nothing was captured there is a gap again.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from realtime_er.clock import Clock, VirtualClock
from realtime_er.config import Config
from realtime_er.errors import MediaError
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock, Gap, VideoFrame
from realtime_er.recording.database import open_database
from realtime_er.recording.manifest import read_manifest
from realtime_er.recording.media_stream import Kind, MediaStream, to_image, to_samples
from realtime_er.sources.base import LONGEST_S, Emit, Pacer, Stream

_NAMES: dict[Kind, str] = {"video": "camera", "audio": "microphone"}
_ROWS: dict[Kind, str] = {
    "video": "SELECT pts_ms, frame_index, time_s FROM frames ORDER BY pts_ms",
    "audio": "SELECT pts_ms, first_sample, start_s, n_samples FROM sound ORDER BY pts_ms",
}
_GAPS = (
    "SELECT start_s, end_s, reason FROM gaps WHERE stream = ? OR (? AND stream = 'recording')"
    " ORDER BY end_s"
)
_CUT_OFF = "the recording is damaged or cut off"
_CUT_OFF_S = 0.5


class RecordedMedia:
    """The pictures and the sound of a recorded session as a source.

    Not real time: every message is waited for, nothing is dropped. Devices that were lost, and a
    muted microphone, are gaps here; their events are part of the recording, not of the media.

    Args:
        folder: The session.

    Raises:
        RecordingError: it is none, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = read_manifest(folder)
        self._media = self._manifest.media_path(folder)
        database = self._manifest.database_path(folder)
        counts: dict[Kind, str] = {
            "video": "SELECT count(*) FROM frames",
            "audio": "SELECT count(*) FROM sound WHERE first_sample IS NOT NULL",
        }
        with closing(open_database(database)) as connection:
            self.kinds: tuple[Kind, ...] = tuple(
                kind for kind, query in counts.items() if connection.execute(query).fetchone()[0]
            )

    @property
    def realtime(self) -> bool:
        """Never."""
        return False

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        """The streams that were recorded and that ``config`` enables.

        A virtual clock is moved to the time at which the recording began.

        Raises:
            MediaError: there are none.
        """
        if self._media is None or not self._media.is_file():
            why = "kept numbers only" if self._media is None else f"has lost its {self._media.name}"
            raise MediaError(
                f"{self._folder}: the recording {why}; its media cannot be run again "
                "(replay --check recomputes from the numbers)"
            )
        enabled: dict[Kind, bool] = {
            "video": config.camera.enabled,
            "audio": config.microphone.enabled,
        }
        kinds = [kind for kind in self.kinds if enabled[kind]]
        if not kinds:
            raise MediaError(f"{self._folder}: nothing that was recorded is enabled")
        if isinstance(clock, VirtualClock):
            clock.advance_to(self._manifest.start_s)
        database = self._manifest.database_path(self._folder)
        return [_RecordedStream(self._media, database, kind) for kind in kinds]


class _RecordedStream:
    """One stream, read through its own container and its own connection."""

    def __init__(self, media: Path, database: Path, kind: Kind) -> None:
        self._media = media
        self._database = database
        self._kind: Kind = kind
        self._lock = threading.Lock()
        self._running = False
        self._closed = threading.Event()
        self._reader: MediaStream | None = None
        self._connection: sqlite3.Connection | None = None
        self._info: dict[str, Any] = {"path": str(media), "unlisted": 0, "missing": 0}

    @property
    def kind(self) -> Literal["audio", "video"]:
        """What it emits."""
        return self._kind

    @property
    def name(self) -> str:
        """Either "camera" or "microphone"."""
        return _NAMES[self._kind]

    def open(self) -> None:
        """Open media and database.

        Raises:
            MediaError, RecordingError: one of them cannot be read.
        """
        self._reader = MediaStream(self._media, self._kind)
        self._connection = open_database(self._database)
        self._info["codec"] = self._reader.codec
        if self._kind == "video":
            self._info["width_px"], self._info["height_px"] = self._reader.size_px

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Emit everything that was recorded."""
        with self._lock:
            reader, connection = self._reader, self._connection
            if reader is None or connection is None or self._closed.is_set():
                return
            self._running = True
        try:
            self._play(reader, connection, emit, pacer, stop)
        except sqlite3.Error as error:
            raise MediaError(f"{self._database}: cannot be read: {error}") from error
        finally:
            with self._lock:
                self._running = False
                if self._closed.is_set():
                    self._release()

    def _play(
        self,
        reader: MediaStream,
        connection: sqlite3.Connection,
        emit: Emit,
        pacer: Pacer,
        stop: threading.Event,
    ) -> None:
        last_s, gaps = float("-inf"), _Gaps(connection, self._kind)
        rows = _Rows(connection, self._kind)
        for pts_ms, frame in reader.frames():
            if stop.is_set() or self._closed.is_set():
                return
            row = rows.at(pts_ms)
            if row is None:
                self._info["unlisted"] += 1  # written, but the process was killed before its row
                continue
            index, time_s = row
            if index is None:
                continue  # filler
            if time_s <= last_s:
                raise MediaError(f"{self._database}: the times of the {self.name} go back")
            message = self._message(index, time_s, frame)
            end_s = message.end_s if isinstance(message, AudioBlock) else time_s
            if not pacer.wait(end_s, stop):
                return
            for gap in gaps.before(time_s):
                emit(gap)
            emit(message)
            last_s = end_s if isinstance(message, VideoFrame) else time_s
        for gap in gaps.before(math.inf):
            if gap.start_s > last_s + _CUT_OFF_S:
                break  # it lies in what was cut off
            emit(gap)  # a device that never came back
            last_s = max(last_s, gap.end_s)
        self._info["missing"] = rows.n_missing()
        if rows.last_s > last_s + _CUT_OFF_S:
            emit(Gap(self.name, max(last_s, 0.0), rows.last_s, _CUT_OFF))

    def _message(self, index: int, time_s: float, frame: Any) -> AudioBlock | VideoFrame:  # noqa: ANN401
        if self._kind == "video":
            return VideoFrame(index, time_s, to_image(frame))
        return AudioBlock(index, time_s, to_samples(frame))

    def close(self) -> None:
        """Close everything, or make a running ``run`` do so before its next message."""
        with self._lock:
            self._closed.set()
            # A container must not be closed under a decoder that works in another thread.
            if not self._running:
                self._release()

    def _release(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def info(self) -> dict[str, Any]:
        """Path and format; how many packets have no row, and how many rows no packet."""
        return dict(self._info)


class _Rows:
    """Rows of ``frames`` or ``sound`` in step with the packets of the file."""

    def __init__(self, connection: sqlite3.Connection, kind: Kind) -> None:
        self._rows: Iterator[tuple[Any, ...]] = map(_checked, connection.execute(_ROWS[kind]))
        self._next = next(self._rows, None)
        self._n_missing = 0
        self.last_s = float("-inf")

    def _advance(self) -> None:
        row = self._next
        if row is not None:
            n_samples = row[3] if len(row) > 3 else 0
            self.last_s = row[2] + n_samples / SAMPLE_RATE_HZ
        self._next = next(self._rows, None)

    def at(self, pts_ms: int) -> tuple[int | None, float] | None:
        """Index (None: filler) and time of the row of a packet; None without a row.

        Raises:
            MediaError: a row was not written by this program.
        """
        while self._next is not None and self._next[0] < pts_ms:
            self._n_missing += 1
            self._advance()
        row = self._next
        if row is None or row[0] != pts_ms:
            return None
        self._advance()
        return row[1], row[2]

    def n_missing(self) -> int:
        """Rows without a packet, after the last packet; reads the rest."""
        while self._next is not None:
            self._n_missing += 1
            self._advance()
        return self._n_missing


def _checked(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of ``frames`` or ``sound`` as it is, if this program can have written it."""
    pts_ms, index, time_s, *n_samples = row
    whole = isinstance(pts_ms, int) and isinstance(index, int | None)
    if not (whole and _is_time(time_s) and all(isinstance(n, int) for n in n_samples)):
        raise MediaError(f"row {row!r:.80} of the recorded media was not written by us")
    return row


def _checked_gap(row: tuple[Any, ...]) -> tuple[float, float, str]:
    start_s, end_s, reason = row
    if not (_is_time(start_s) and _is_time(end_s) and isinstance(reason, str)):
        raise MediaError(f"gap {row!r:.80} of the recording was not written by us")
    return start_s, end_s, reason


def _is_time(value: object) -> bool:
    return isinstance(value, float) and -LONGEST_S < value < LONGEST_S


class _Gaps:
    """Recorded gaps of one stream, handed out when the data go on."""

    def __init__(self, connection: sqlite3.Connection, kind: Kind) -> None:
        name = _NAMES[kind]
        rows = connection.execute(_GAPS, (name, kind == "video"))
        self._gaps = deque(Gap(name, *_checked_gap(row)) for row in rows)

    def before(self, time_s: float) -> Iterator[Gap]:
        """Gaps that have ended by then and were not handed out yet."""
        while self._gaps and self._gaps[0].end_s <= time_s:
            yield self._gaps.popleft()
