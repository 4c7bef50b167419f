"""The numbers behind a report: what hours of estimates come down to on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from realtime_er.errors import RecordingError
from realtime_er.messages import LABELS, MODALITIES
from realtime_er.recording.columns import ESTIMATES
from realtime_er.recording.reader import RecordedSession
from realtime_er.sources.base import LONGEST_S

FloatArray = npt.NDArray[np.float64]

_MOST_POINTS = 900
_HOLE_STEPS = 1.5
_PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Estimates:
    """All estimates of a session as arrays.

    Attributes:
        times_s: float64 (n,), from the recording's start.
        scores: float64 (n, 7), NaN where there is none.
        labels: What it reads as; None where it abstains.
        contributions: float64 (n, 3, 7): face, audio, text; NaN where they take no part.
        states: Modality -> "present" or why not, per estimate.
        ages_s: float64 (n,): how old each was when it was shown; NaN when not live.
        step_s: Usual distance.
    """

    times_s: FloatArray
    scores: FloatArray
    labels: list[str | None]
    contributions: FloatArray
    states: dict[str, list[str]]
    ages_s: FloatArray
    step_s: float

    def runs(self) -> Iterator[slice]:
        """Spans of estimates without a hole between them."""
        holes = np.flatnonzero(np.diff(self.times_s) > _HOLE_STEPS * self.step_s) + 1
        edges = [0, *holes.tolist(), len(self.times_s)]
        for first, last in pairwise(edges):
            if last > first:
                yield slice(first, last)

    def thinned(self, values: FloatArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Times and means of ``values`` (n, k), few enough to draw, one pair per run."""
        group = max(1, -(-len(self.times_s) // _MOST_POINTS))
        for run in self.runs():
            starts = np.arange(0, run.stop - run.start, group)
            part = values[run]
            known = ~np.isnan(part)
            sums = np.add.reduceat(np.where(known, part, 0.0), starts, axis=0)
            counts = np.add.reduceat(known, starts, axis=0, dtype=np.int64)
            means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
            lengths = np.diff([*starts, run.stop - run.start])
            times_s = np.add.reduceat(self.times_s[run], starts) / lengths
            yield times_s, means

    def leading(self) -> FloatArray:
        """Contributions (n, 3) to the label it reads as; NaN where it abstains."""
        result = np.full((len(self.labels), len(MODALITIES)), np.nan)
        lead = np.array([LABELS.index(x) if x in LABELS else -1 for x in self.labels], np.int64)
        rows = np.flatnonzero(lead >= 0)
        result[rows] = self.contributions[rows, :, lead[rows]]
        return result

    def shares(self) -> dict[str | None, float]:
        """Label (None: it abstains) -> share of the estimates."""
        counts = Counter(self.labels)
        n = max(1, len(self.labels))
        return {label: counts.get(label, 0) / n for label in (*LABELS, None)}

    def mean_contributions(self) -> dict[str, FloatArray]:
        """Label -> mean contributions (3,) to it while it is the label; absent ones count as 0."""
        leading = np.nan_to_num(self.leading())
        labels = np.array([label or "" for label in self.labels])
        return {
            label: leading[labels == label].mean(axis=0)
            for label in LABELS
            if np.any(labels == label)
        }

    def state_shares(self, modality: str) -> list[tuple[str, float]]:
        """States of a modality and their shares, "present" first, then the most frequent."""
        counts = Counter(self.states[modality])
        ordered = sorted(counts.items(), key=lambda item: (item[0] != _PRESENT, -item[1]))
        return [(state, count / len(self.labels)) for state, count in ordered]

    def state_runs(self, modality: str) -> list[tuple[float, float, str]]:
        """(start_s, end_s, state), as fine as can be drawn."""
        states = self.states[modality]
        group = max(1, -(-len(states) // _MOST_POINTS))
        found: list[tuple[float, float, str]] = []
        for run in self.runs():
            fresh = True
            for first in range(run.start, run.stop, group):
                last = min(first + group, run.stop)
                state = Counter(states[first:last]).most_common(1)[0][0]
                end_s = float(self.times_s[last - 1])
                if found and not fresh and found[-1][2] == state:
                    found[-1] = (found[-1][0], end_s, state)
                else:
                    start_s = (
                        found[-1][1] if not fresh else float(self.times_s[first]) - self.step_s
                    )
                    found.append((start_s, end_s, state))
                fresh = False
        return found


def read_estimates(session: RecordedSession) -> Estimates:
    """All estimates of a session.

    Raises:
        RecordingError: the session is damaged.
    """
    names = ESTIMATES.names
    wanted = [
        names.index(name)
        for name in (
            "time_s",
            *LABELS,
            *(f"contribution_{modality}_{label}" for modality in MODALITIES for label in LABELS),
            "age_s",
        )
    ]
    numbers: list[FloatArray] = []
    labels: list[str | None] = []
    states: dict[str, list[str]] = {modality: [] for modality in MODALITIES}
    for cells in session.cells("estimates"):
        # None becomes NaN.
        numbers.append(np.array([cells[index] for index in wanted], np.float64).T)
        labels.extend(cells[names.index("label")])
        for modality in MODALITIES:
            states[modality].extend(cells[names.index(f"state_{modality}")])
    table = np.concatenate(numbers)
    table[np.abs(table) >= LONGEST_S] = np.nan  # no time, score or share: a damaged file
    times_s = table[:, 0]
    if np.isnan(times_s).any():
        raise RecordingError(f"{session.path}: holds estimates without a time that can be")
    n_scores = len(LABELS)
    shares = table[:, 1 + n_scores : -1].reshape(-1, len(MODALITIES), n_scores)
    return Estimates(
        times_s=times_s,
        scores=table[:, 1 : 1 + n_scores],
        labels=labels,
        contributions=shares,
        states=states,
        ages_s=table[:, -1],
        step_s=float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.1,
    )
