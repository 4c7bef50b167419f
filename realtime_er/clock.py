"""Time: one session clock, sample counts turned into seconds, and a clock that files drive.

Everything is in seconds on the session clock, zero at the session's start. Wall-clock time is read
once, for the manifest.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol

import numpy as np


class Clock(Protocol):
    """What tells the session's time."""

    def now_s(self) -> float:
        """Seconds since the session started; never goes back. Any thread."""
        ...


class SessionClock:
    """Monotonic clock of a live session, zero at construction. Any thread may read it."""

    def __init__(self) -> None:
        self._zero_s = time.perf_counter()

    def now_s(self) -> float:
        """Seconds since construction."""
        return time.perf_counter() - self._zero_s


class VirtualClock:
    """Clock that moves only when told to; for files run as fast as possible, and for tests."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._now_s = start_s

    def now_s(self) -> float:
        """The time last advanced to."""
        with self._lock:
            return self._now_s

    def advance_to(self, time_s: float) -> None:
        """Move to ``time_s``; an earlier time is ignored, so several streams may drive it."""
        with self._lock:
            self._now_s = max(self._now_s, time_s)


class SampleClock:
    """Maps a sound card's sample index to session seconds, and estimates its drift.

    A block can be handed over late but never early, so the smallest ``arrival - index / rate`` of
    each second is a delay-free reading of the offset; a line through the last two minutes of those
    minima gives the drift. The sound card's own ADC time is not used: several hosts report zero.
    Owned by one thread.
    """

    _BIN_S = 1.0
    _HISTORY_BINS = 120
    _MIN_BINS_FOR_DRIFT = 20
    _MAX_DRIFT = 500e-6
    # Corrections reach the output over this long, so block starts move by microseconds, not jumps.
    _SLEW_PER_S = 2e-3

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._minima: deque[tuple[float, float]] = deque(maxlen=self._HISTORY_BINS)
        self._bin_start_s: float | None = None
        self._bin_best: tuple[float, float] | None = None
        self._offset_s: float | None = None
        self._applied_s = 0.0
        self._applied_at_s = 0.0
        self._slope = 0.0

    @property
    def drift_ppm(self) -> float:
        """How much longer a second of samples lasts on the session clock, in parts per million."""
        return self._slope * 1e6

    def observe(self, end_sample: int, arrival_s: float) -> None:
        """Note that samples up to ``end_sample`` had arrived at session time ``arrival_s``."""
        media_s = end_sample / self._rate_hz
        offset_s = arrival_s - media_s
        if self._offset_s is None:
            self._offset_s = self._applied_s = offset_s
            self._applied_at_s = media_s
        if self._bin_start_s is None:
            self._bin_start_s = media_s
        if self._bin_best is None or offset_s < self._bin_best[1]:
            self._bin_best = (media_s, offset_s)
        if not self._minima and offset_s < self._offset_s:
            # The first blocks are often late (device start-up): follow the earliest at once.
            self._offset_s = offset_s
        if media_s - self._bin_start_s >= self._BIN_S:
            self._minima.append(self._bin_best)
            self._bin_best = None
            self._bin_start_s = media_s
            self._fit()

    def _fit(self) -> None:
        points = np.asarray(self._minima, dtype=np.float64)
        if len(points) < self._MIN_BINS_FOR_DRIFT:
            self._slope = 0.0
            self._offset_s = float(points[:, 1].min())
            return
        x, y = points[:, 0], points[:, 1]
        slope, level = np.polyfit(x - x[-1], y, 1)
        self._slope = float(np.clip(slope, -self._MAX_DRIFT, self._MAX_DRIFT))
        # The lower envelope, not the mean: delays only ever add.
        residual = y - self._slope * (x - x[-1])
        level = float(np.quantile(residual, 0.1))
        self._offset_s = level - self._slope * x[-1]

    def time_s(self, sample: int) -> float:
        """Session time of ``sample``; call with non-decreasing samples."""
        media_s = sample / self._rate_hz
        if self._offset_s is None:
            return media_s
        wanted_s = self._offset_s + self._slope * media_s
        step_s = max(0.0, media_s - self._applied_at_s) * self._SLEW_PER_S
        early = not self._minima
        if early:
            self._applied_s = wanted_s
        else:
            self._applied_s += float(np.clip(wanted_s - self._applied_s, -step_s, step_s))
        self._applied_at_s = max(self._applied_at_s, media_s)
        return media_s + self._applied_s
