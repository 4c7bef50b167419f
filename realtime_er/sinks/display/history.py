"""What the window remembers: about ten minutes of scores, contributions, sound and speech.

Fed from snapshots, which hold the last 30 s; so nothing is missed as long as the window looks more
often than that. Main thread only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realtime_er.messages import LABELS, MODALITIES, Estimate, Snapshot

MEMORY_S = 600.0
_ESTIMATES_HZ = 10.0
_BLOCKS_HZ = 50.0
_PERIODS = 50
_HOLE_BLOCKS = 2.5  # a pause of more blocks than this is a hole in the sound


class Ring:
    """The newest ``capacity`` rows of ``width`` float64 columns, always contiguous.

    Twice the room is kept, and the newer half moves to the front when it is full: a row is copied
    once in its life, and a slice is never in two pieces.
    """

    def __init__(self, capacity: int, width: int) -> None:
        self._capacity = capacity
        self._rows = np.empty((2 * capacity, width), np.float64)
        self._end = 0

    def __len__(self) -> int:
        return min(self._end, self._capacity)

    def append(self, rows: npt.NDArray[np.float64]) -> None:
        """Add rows, shape (n, width), oldest first."""
        rows = rows[-self._capacity :]
        if self._end + len(rows) > len(self._rows):
            kept = min(self._end, self._capacity)
            self._rows[:kept] = self._rows[self._end - kept : self._end].copy()
            self._end = kept
        self._rows[self._end : self._end + len(rows)] = rows
        self._end += len(rows)

    def clear(self) -> None:
        """Forget everything."""
        self._end = 0

    @property
    def rows(self) -> npt.NDArray[np.float64]:
        """float64 (n, width), oldest first; a view that the next ``append`` may overwrite."""
        return self._rows[max(0, self._end - self._capacity) : self._end]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a span, oldest first; a row of NaN is a gap.

    Attributes:
        times_s: float64 (n,).
        scores: float64 (n, 7).
        contributions: float64 (n, 3, 7): modality by label; NaN where it took no part.
    """

    times_s: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    contributions: npt.NDArray[np.float64]


def thinned(values: npt.NDArray[np.float64], group: int) -> npt.NDArray[np.float64]:
    """Means of ``group`` rows each; a group with a NaN is NaN there, so that gaps stay gaps."""
    if group <= 1:
        return values
    whole = len(values) // group * group
    return np.asarray(values[:whole].reshape(-1, group, *values.shape[1:]).mean(axis=1))


def _row(estimate: Estimate) -> npt.NDArray[np.float64]:
    row = np.full(1 + 7 + 3 * 7, np.nan)
    row[0] = estimate.time_s
    row[1:8] = estimate.probabilities
    for place, modality in enumerate(MODALITIES):
        vector = estimate.contributions.get(modality)
        if vector is None:
            continue
        values = np.asarray(vector, np.float64)
        if modality in estimate.absent:  # what it said fades; faded is not a contribution of zero
            values = np.where(np.abs(values) < 0.005, np.nan, values)
        row[8 + 7 * place : 15 + 7 * place] = values
    return row


class History:
    """About ten minutes of what was shown."""

    def __init__(self) -> None:
        self._scores = Ring(int(MEMORY_S * _ESTIMATES_HZ), 1 + 7 + 3 * 7)
        self._sound = Ring(int(MEMORY_S * _BLOCKS_HZ), 3)
        self._speech: list[tuple[float, float]] = []
        self._last_index: int | None = None

    def feed(self, snapshot: Snapshot) -> bool:
        """Take what is new; a time that goes back (somebody seeks in a replay) starts anew: True."""
        went_back = self._went_back(snapshot)
        if went_back:
            self.clear()
        self._feed_scores(snapshot)
        self._feed_sound(snapshot)
        return went_back

    def _went_back(self, snapshot: Snapshot) -> bool:
        last, newest_s = self._last_index, self.newest_s
        if last is None or newest_s is None:
            return False
        if snapshot.history:
            return snapshot.history[-1].index < last
        return snapshot.now_s < newest_s

    def _feed_scores(self, snapshot: Snapshot) -> None:
        history, last = snapshot.history, self._last_index
        first = len(history)
        while first and (last is None or history[first - 1].index > last):
            first -= 1
        rows: list[npt.NDArray[np.float64]] = []
        for estimate in history[first:]:
            if last is not None and estimate.index > last + 1:
                gap = np.full(1 + 7 + 3 * 7, np.nan)
                gap[0] = estimate.time_s - 1e-3
                rows.append(gap)
            rows.append(_row(estimate))
            last = estimate.index
        if rows:
            self._scores.append(np.stack(rows))
            self._last_index = last

    def _feed_sound(self, snapshot: Snapshot) -> None:
        blocks = snapshot.waveform
        if (
            len(self._sound)
            and (blocks[-1, 0] if len(blocks) else snapshot.now_s) < self._sound.rows[-1, 0] - 1e-6
        ):
            self._sound.clear()
            self._speech.clear()
        if len(blocks):
            newest_s = self._sound.rows[-1, 0] if len(self._sound) else -np.inf
            first = int(np.searchsorted(blocks[:, 0], newest_s + 1e-6))
            if first < len(blocks):
                self._sound.append(blocks[first:])
        for start_s, end_s in snapshot.speech:
            if self._speech and start_s <= self._speech[-1][1]:
                before_s, until_s = self._speech[-1]
                self._speech[-1] = (before_s, max(until_s, end_s))
            else:
                self._speech.append((start_s, end_s))
        while self._speech and self._speech[0][1] < snapshot.now_s - MEMORY_S:
            self._speech.pop(0)

    def clear(self) -> None:
        """Forget everything."""
        self._scores.clear()
        self._sound.clear()
        self._speech.clear()
        self._last_index = None

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def oldest_s(self) -> float | None:
        """Session time of the oldest estimate that is remembered."""
        return float(self._scores.rows[0, 0]) if len(self._scores) else None

    @property
    def newest_s(self) -> float | None:
        """Session time of the newest estimate."""
        return float(self._scores.rows[-1, 0]) if len(self._scores) else None

    @property
    def period_s(self) -> float:
        """Time between two estimates, from the newest of them."""
        times_s = self._scores.rows[-_PERIODS:, 0]
        return float(np.median(np.diff(times_s))) if len(times_s) > 2 else 1 / _ESTIMATES_HZ

    def scores(self, start_s: float, end_s: float, group: int = 1) -> Scores:
        """What is remembered of [start_s, end_s], ``group`` estimates taken together."""
        rows = self._scores.rows
        first, last = np.searchsorted(rows[:, 0], (start_s, end_s + 1e-6))
        # One more on the left, so that a line comes in from outside; groups keep their borders
        # while time goes on, or the thinned line would flicker.
        first = max(0, int(first) - 1)
        if group > 1 and first < len(rows):
            first -= round(rows[first, 0] / self.period_s) % group
            first = max(0, first)
        part = thinned(rows[first:last], group)
        return Scores(part[:, 0], part[:, 1:8], part[:, 8:].reshape(-1, 3, len(LABELS)))

    def n_estimates(self, start_s: float, end_s: float) -> int:
        """How many estimates there are in a span."""
        first, last = np.searchsorted(self._scores.rows[:, 0], (start_s, end_s))
        return int(last - first)

    def peaks(self, start_s: float, end_s: float, n_columns: int) -> npt.NDArray[np.float64]:
        """Loudest |sample| of each of ``n_columns`` equal parts of a span; NaN where none is known."""
        peaks = np.full(n_columns, np.nan)
        rows = self._sound.rows
        if len(rows) < 2:
            return peaks
        rows = rows[slice(*np.searchsorted(rows[:, 0], (start_s - 1.0, end_s + 1.0)))]
        if len(rows) < 2:
            return peaks
        times_s = rows[:, 0]
        loud = np.append(np.maximum(np.abs(rows[:, 1]), np.abs(rows[:, 2])), 0.0)
        edges_s = np.linspace(start_s, end_s, n_columns + 1)
        begin = np.maximum(np.searchsorted(times_s, edges_s[:-1], side="right") - 1, 0)
        until = np.maximum(np.searchsorted(times_s, edges_s[1:]), begin + 1)
        found = np.maximum.reduceat(loud, np.stack([begin, until], axis=1).ravel())[::2]
        block_s = float(np.median(np.diff(times_s)))
        known = (edges_s[1:] > times_s[0]) & (
            edges_s[:-1] - times_s[until - 1] < _HOLE_BLOCKS * block_s
        )
        peaks[known] = found[known]
        return peaks

    def speech(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Spans of speech within a span, clipped to it."""
        return [
            (max(a, start_s), min(b, end_s)) for a, b in self._speech if b > start_s and a < end_s
        ]
