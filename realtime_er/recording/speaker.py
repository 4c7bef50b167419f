"""Plays recorded sound through the default output device, at normal speed only."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray

_AHEAD_S = 0.6
_PART_S = 0.3
_MAX_OFF_S = 0.15
# Less would crackle whenever the window is drawn; what is heard is ahead by as much.
_LATENCY_S = 0.2


class OutputStream(Protocol):
    """An open output of the sound system."""

    def start(self) -> None:
        """Begin to ask for samples."""
        ...

    def close(self) -> None:
        """End."""
        ...


class Speaker:
    """A queue of samples that an output device empties at its own pace.

    The main thread fills it; the sound system's thread takes from it and hears silence when it is
    empty. ``open_speaker`` makes one.
    """

    def __init__(self) -> None:
        self._latency_s = 0.0
        self._lock = threading.Lock()
        self._parts: deque[FloatArray] = deque()
        self._waiting = 0
        self._end_s: float | None = None  # session time at the end of the queue
        self._stream: OutputStream | None = None

    def start(self, stream: OutputStream, latency_s: float = 0.0) -> None:
        """Let a device take from it, until ``close``.

        Args:
            stream: The device.
            latency_s: How long it keeps what it took before it can be heard.
        """
        self._stream, self._latency_s = stream, latency_s
        stream.start()

    def clear(self) -> None:
        """Silence, at once."""
        with self._lock:
            self._parts.clear()
            self._waiting = 0
            self._end_s = None

    def wants(self, position_s: float, end_s: float) -> Iterator[tuple[float, float]]:
        """Spans of session time that should be added now.

        Args:
            position_s: What should be heard now; a queue that is elsewhere is dropped.
            end_s: There is nothing after this.
        """
        position_s += self._latency_s
        with self._lock:
            queued_s = self._waiting / SAMPLE_RATE_HZ
        if self._end_s is not None and abs(self._end_s - queued_s - position_s) > _MAX_OFF_S:
            self.clear()
        begin_s = position_s if self._end_s is None else self._end_s
        while begin_s < min(position_s + _AHEAD_S, end_s):
            yield begin_s, min(begin_s + _PART_S, end_s)
            begin_s += _PART_S

    def add(self, start_s: float, samples: FloatArray) -> None:
        """Queue samples float32 (n,) that begin at a session time."""
        with self._lock:
            self._parts.append(samples)
            self._waiting += len(samples)
            self._end_s = start_s + len(samples) / SAMPLE_RATE_HZ

    def take(self, out: FloatArray) -> None:
        """Fill ``out``, float32 (n,), with what comes next, then silence. The sound system's thread."""
        filled = 0
        with self._lock:
            while filled < len(out) and self._parts:
                part = self._parts.popleft()
                count = min(len(part), len(out) - filled)
                out[filled : filled + count] = part[:count]
                if count < len(part):
                    self._parts.appendleft(part[count:])
                filled += count
            self._waiting -= filled
        out[filled:] = 0.0

    def close(self) -> None:
        """Close the device; a second call does nothing."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def open_speaker() -> tuple[Speaker | None, str]:
    """A speaker on the default output device, or None and why there is none, in one line."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        return None, f"no sound: sounddevice cannot be used ({error})"
    speaker = Speaker()

    def callback(out: Any, _frames: int, _time: object, _status: object) -> None:  # noqa: ANN401
        speaker.take(out[:, 0])

    try:
        stream = sounddevice.OutputStream(
            samplerate=SAMPLE_RATE_HZ,
            channels=1,
            dtype=np.float32,
            latency=_LATENCY_S,
            callback=callback,
        )
        speaker.start(stream, stream.latency)
    except (sounddevice.PortAudioError, ValueError) as error:
        return None, f"no sound: there is no loudspeaker to use ({error})"
    return speaker, ""
