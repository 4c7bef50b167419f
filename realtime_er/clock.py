"""Time: one session clock, sample counts turned into seconds, and a clock that files drive.

Everything is in seconds on the session clock, zero at the session's start. Wall-clock time is read
once, for the manifest.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np

# Where perf_counter stands still while the computer sleeps, the clock that does not.
_CLOCK_WITH_SLEEP = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}


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


def seconds_with_sleep() -> float:
    """A monotonic clock that goes on while the computer sleeps, where there is one. Any thread."""
    name = _CLOCK_WITH_SLEEP.get(sys.platform)
    if name is None:
        return time.perf_counter()  # counts sleep itself
    return time.clock_gettime(getattr(time, name))


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


class Standstills:
    """Notices that the program, or the whole computer, stood still. Owned by one thread.

    While a process is stopped the session's clock goes on; while a computer sleeps it does so on some
    systems and on others not. Both are seen from how far two clocks have come since the last look.

    Args:
        clock: The session's.
        awake_and_asleep_s: Monotonic seconds in which sleep counts, where the system has such a clock.
    """

    LEAST_S = 2.0
    """Shorter ones are a busy machine; what was late then catches up by itself."""

    def __init__(
        self, clock: Clock, awake_and_asleep_s: Callable[[], float] = seconds_with_sleep
    ) -> None:
        self._clock = clock
        self._with_sleep_s = awake_and_asleep_s
        self._last: tuple[float, float] | None = None

    def look(self, waited_s: float = 0.0) -> tuple[float, float] | None:
        """How long nothing ran since the last look, None when it did.

        Args:
            waited_s: How long this thread meant to wait at most since the last look.

        Returns:
            Seconds that the session's clock counted, and seconds of sleep that it did not.
        """
        now = self._clock.now_s(), self._with_sleep_s()
        last, self._last = self._last, now
        if last is None:
            return None
        counted_s = now[0] - last[0]
        slept_s = now[1] - last[1] - counted_s
        stood_s = counted_s - waited_s
        if max(stood_s, slept_s) < self.LEAST_S:
            return None
        return (max(stood_s, 0.0), max(slept_s, 0.0) if slept_s >= self.LEAST_S else 0.0)


class SampleClock:
    """Maps a sound card's sample index to session seconds, and estimates its drift.

    A block can be handed over late but never early, so the smallest ``arrival - index / rate`` of
    each second is a delay-free reading of the offset; a line through the last two minutes of those
    minima gives the drift. When several minima in a row lie off that line, sound was lost, or takes
    another time to arrive than before: the line is moved there. The sound card's own ADC time is not
    used: several hosts report zero. Owned by one thread.
    """

    _BIN_S = 1.0
    _HISTORY_BINS = 120
    _MIN_BINS_FOR_DRIFT = 20
    _MAX_DRIFT = 500e-6
    # Corrections reach the output over this long, so block starts move by microseconds, not jumps.
    _SLEW_PER_S = 2e-3
    # What lies this far off for this long is a step, and is caught up with faster.
    _FAR_S = 0.015
    _STEP_BINS = 3
    _FAST_SLEW_PER_S = 1e-2

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._minima: deque[tuple[float, float]] = deque(maxlen=self._HISTORY_BINS)
        self._bin_start_s: float | None = None
        self._bin_best: tuple[float, float] | None = None
        self._offset_s: float | None = None
        self._applied_s = 0.0
        self._applied_at_s = 0.0
        self._slope = 0.0
        self._n_far = 0  # newest minima in a row that lie off the line

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
            if not self._follow_step():
                self._fit()

    def late_s(self, end_sample: int, arrival_s: float) -> float:
        """How much later than expected samples up to ``end_sample`` came; 0 before there is any."""
        if self._offset_s is None:
            return 0.0
        return arrival_s - self._expected_s(end_sample / self._rate_hz)

    def _expected_s(self, media_s: float) -> float:
        assert self._offset_s is not None
        return media_s + self._offset_s + self._slope * media_s

    def _follow_step(self) -> bool:
        """Move what was learnt before a step to where it would be now; the drift stays known.

        Returns:
            Whether the newest minimum may be the first of a step: the line must not bend to it yet.
        """
        if len(self._minima) <= self._STEP_BINS:
            return False
        newest = list(self._minima)[-self._STEP_BINS :]
        off_s = [offset_s - self._expected_s(x) + x for x, offset_s in newest]
        if min(off_s) > self._FAR_S or max(off_s) < -self._FAR_S:
            step_s = sorted(off_s)[len(off_s) // 2]
            before = list(self._minima)[: -self._STEP_BINS]
            moved = [(x, offset_s + step_s) for x, offset_s in before]
            self._minima = deque([*moved, *newest], maxlen=self._HISTORY_BINS)
            self._n_far = 0
            return False
        self._n_far = self._n_far + 1 if abs(off_s[-1]) > self._FAR_S else 0
        return 0 < self._n_far < self._STEP_BINS

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
        wanted_s = self._expected_s(media_s) - media_s
        far = abs(wanted_s - self._applied_s) > self._FAR_S
        slew = self._FAST_SLEW_PER_S if far else self._SLEW_PER_S
        step_s = max(0.0, media_s - self._applied_at_s) * slew
        early = not self._minima
        if early:
            self._applied_s = wanted_s
        else:
            self._applied_s += float(np.clip(wanted_s - self._applied_s, -step_s, step_s))
        self._applied_at_s = max(self._applied_at_s, media_s)
        return media_s + self._applied_s
