"""The recorded sound at any time: its outline for the eye, and its samples for the ear."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.clock import SessionClock
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray
from realtime_er.outline import outline_of
from realtime_er.recording.media_stream import MediaStream, to_samples
from realtime_er.recording.timeline_rows import TimeIndex

Outline = npt.NDArray[np.float64]

_CHUNK_S = 5.0
_MAX_CHUNKS = 4000  # five hours: 24 MB
_ON_MS = 1000
# Blocks this close together follow one another: a sound card's clock is not the session's.
_JOIN_SAMPLES = SAMPLE_RATE_HZ // 100
_ROWS = (
    "SELECT pts_ms, start_s FROM sound WHERE first_sample IS NOT NULL AND position > ? "
    "AND position <= ? ORDER BY position"
)


class SoundTrack:
    """Sound of a session's media; one thread.

    Args:
        reader: The audio stream; closed with ``close``.
        connection: The session's database.
    """

    def __init__(self, reader: MediaStream, connection: sqlite3.Connection) -> None:
        self._reader = reader
        self._connection = connection
        self._index = TimeIndex(connection, "sound", "position", "start_s")
        self._timer = SessionClock()
        self._decoded: Iterator[tuple[int, Any]] = iter(())
        self._reached_ms: float = math.inf
        self._chunks: dict[int, Outline] = {}
        self._loading: tuple[int, Iterator[Outline | None]] | None = None

    # --- for the eye ------------------------------------------------------------------------------

    def outline(self, start_s: float, end_s: float, budget_s: float) -> Outline:
        """Outline of ``[start_s, end_s]``, as far as it is known without a hole from the left.

        What is missing is read within the budget, and there the next time. Filler has no rows.

        Returns:
            float64 (n, 3): time_s, lowest and highest sample.
        """
        first, last = math.floor(start_s / _CHUNK_S), math.floor(end_s / _CHUNK_S)
        self._load(first, last, self._timer.now_s() + budget_s)
        known: list[Outline] = []
        for chunk in range(first, last + 1):
            if chunk not in self._chunks:
                break
            known.append(self._chunks[chunk])
        rows = np.concatenate(known) if known else np.zeros((0, 3))
        begin, until = np.searchsorted(rows[:, 0], (start_s, end_s + 1e-9))
        return rows[int(begin) : int(until)]

    def _load(self, first: int, last: int, deadline_s: float) -> None:
        while True:
            if self._loading is None or not first <= self._loading[0] <= last:
                missing = next((c for c in range(first, last + 1) if c not in self._chunks), None)
                if missing is None:
                    return
                self._loading = (missing, self._outline_of(missing))
            chunk, work = self._loading
            done = next(work)
            if done is not None:
                self._chunks[chunk] = done
                self._loading = None
                if len(self._chunks) > _MAX_CHUNKS:
                    self._chunks.pop(next(iter(self._chunks)))
            if self._timer.now_s() >= deadline_s:
                return

    def _outline_of(self, chunk: int) -> Iterator[Outline | None]:
        """Reads one chunk, block by block: None until it is whole."""
        found: list[tuple[float, float, float]] = []
        for start_s, samples in self._blocks(chunk * _CHUNK_S, (chunk + 1) * _CHUNK_S):
            found += outline_of(start_s, samples)
            yield None
        yield np.array(found, np.float64).reshape(-1, 3)

    # --- for the ear ------------------------------------------------------------------------------

    def samples(self, start_s: float, end_s: float) -> FloatArray:
        """Samples from one session time to another, float32; silence where nothing was recorded."""
        heard = np.zeros(max(0, round((end_s - start_s) * SAMPLE_RATE_HZ)), np.float32)
        after = None
        # A block that began before may reach in; one that begins just after may be due to drift.
        for block_s, samples in self._blocks(start_s - 0.5, end_s + 0.05):
            first = round((block_s - start_s) * SAMPLE_RATE_HZ)
            if after is not None and abs(first - after) < _JOIN_SAMPLES:
                first = after  # a hole of one sample would click
            after = first + len(samples)
            begin, until = max(first, 0), min(after, len(heard))
            if until > begin:
                heard[begin:until] = samples[begin - first : until - first]
        return heard

    # --- blocks -----------------------------------------------------------------------------------

    def _blocks(self, start_s: float, end_s: float) -> Iterator[tuple[float, FloatArray]]:
        """Start and samples of the recorded blocks that begin in ``[start_s, end_s)``."""
        after = self._index.last(np.nextafter(start_s, -math.inf))
        until = self._index.last(np.nextafter(end_s, -math.inf))
        if until is None:
            return
        span = (-1 if after is None else after, until)
        starts_s = dict(self._connection.execute(_ROWS, span).fetchall())
        if not starts_s:
            return
        first_ms, last_ms = min(starts_s), max(starts_s)
        if not first_ms - _ON_MS <= self._reached_ms < first_ms:
            self._reader.seek(first_ms)
            self._decoded = self._reader.frames()
        for pts_ms, block in self._decoded:
            self._reached_ms = pts_ms
            if pts_ms in starts_s:
                yield starts_s[pts_ms], to_samples(block)
            if pts_ms >= last_ms:
                return
        self._reached_ms = math.inf  # the end of the file

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
