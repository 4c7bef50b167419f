"""The recorded picture at any time, within a budget: never more than a moment of decoding at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from realtime_er.clock import SessionClock
from realtime_er.messages import VideoFrame
from realtime_er.recording.media_stream import MediaStream, to_image
from realtime_er.recording.timeline_rows import TimeIndex

_AHEAD_MS = 1500
"""Further than this ahead, the key frame before it is reached sooner than by decoding on."""


class PictureTrack:
    """Pictures of a session's media; one thread.

    Going forward it decodes one picture after the other; otherwise, and when it cannot keep up, it
    goes on from the nearest key frame (there is one each second). What is shown until the wanted
    picture is reached is an older one, and says so by its own index and time.

    Args:
        reader: The video stream; closed with ``close``.
        connection: The session's database.
    """

    def __init__(self, reader: MediaStream, connection: sqlite3.Connection) -> None:
        self._reader = reader
        self._connection = connection
        self._by_time = TimeIndex(connection, "frames", "frame_index", "time_s")
        self._by_pts = TimeIndex(connection, "frames", "frame_index", "pts_ms")
        self._timer = SessionClock()
        self._decoded: Iterator[tuple[int, Any]] = iter(())
        self._pending: tuple[int, Any] | None = None
        self._current_ms = -1
        self._wanted_ms = -1
        self._shown: VideoFrame | None = None
        self._hurry = False
        self._ended = True  # nothing was read yet: the first picture is sought

    def at(self, time_s: float, budget_s: float, *, hurry: bool = False) -> VideoFrame | None:
        """The newest picture up to a session time that can be had within a budget.

        Args:
            time_s: Session time.
            budget_s: Time for decoding; one picture more is always finished.
            hurry: Key frames will do.

        Raises:
            MediaError: the file cannot be read there.
        """
        index = self._by_time.last(time_s)
        if index is None:
            return None
        wanted_ms = self._pts_ms(index)
        if wanted_ms != self._wanted_ms or hurry != self._hurry:
            self._aim(wanted_ms, hurry)
        if self._current_ms != wanted_ms:
            self._decode_towards(wanted_ms, self._timer.now_s() + budget_s)
        return self._shown

    def _pts_ms(self, index: int) -> int:
        query = "SELECT pts_ms FROM frames WHERE frame_index = ?"
        return int(self._connection.execute(query, (index,)).fetchone()[0])

    def _aim(self, wanted_ms: int, hurry: bool) -> None:
        reached_ms = self._current_ms
        far = not 0 <= wanted_ms - reached_ms <= _AHEAD_MS
        # At the end of the file there is nothing to decode on; but what lies before may be wanted.
        stuck = self._ended and (reached_ms < 0 or wanted_ms < reached_ms)
        if stuck or hurry != self._hurry or (far and not (self._ended and wanted_ms > reached_ms)):
            self._reader.key_frames_only(hurry)
            self._reader.seek(wanted_ms)
            self._decoded = self._reader.frames()
            self._pending, self._current_ms, self._ended = None, -1, False
        self._wanted_ms, self._hurry = wanted_ms, hurry

    def _decode_towards(self, wanted_ms: int, deadline_s: float) -> None:
        newest: Any = None
        while True:
            following = self._pending or next(self._decoded, None)
            self._pending = None
            if following is None:
                self._ended = True
                break
            if following[0] > wanted_ms:
                self._pending = following
                break
            self._current_ms, newest = following
            if self._current_ms == wanted_ms or self._timer.now_s() >= deadline_s:
                break
        if newest is not None:
            self._show(self._current_ms, newest)

    def _show(self, pts_ms: int, decoded: Any) -> None:  # noqa: ANN401 - PyAV
        index = self._by_pts.last(pts_ms)
        if index is None:
            return
        query = "SELECT time_s FROM frames WHERE frame_index = ?"
        time_s = float(self._connection.execute(query, (index,)).fetchone()[0])
        self._shown = VideoFrame(index, time_s, to_image(decoded))

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
