"""A session as segments of whole milliseconds: what tiers and subtitles are made of.

Milliseconds count from the recording's start. Every segment lasts at least one of them.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from realtime_er.messages import LABELS
from realtime_er.recording.marks import MarkKind
from realtime_er.recording.reader import RecordedSession

POINT_MS = 40
"""How long a point or a note lasts where the format has no points: a picture at 25 a second."""

LEVELS = ("low", "medium", "high")
_LEVEL_FROM = (1 / 3, 2 / 3)
_HOLE_STEPS = 1.5


class Segment(NamedTuple):
    """``text`` from ``start_ms`` to ``end_ms``."""

    start_ms: int
    end_ms: int
    text: str


class Lane(NamedTuple):
    """Marks of one rater and tier that do not overlap; ``number`` counts from 1."""

    rater: str
    tier: str
    kind: MarkKind
    number: int
    segments: list[Segment]


def to_ms(time_s: float) -> int:
    """Milliseconds from the recording's start; what came before it counts as its start."""
    return max(0, round(time_s * 1000.0))


def level(score: float) -> str:
    """Name of a score's third: "low", "medium" or "high"."""
    return LEVELS[sum(score >= limit for limit in _LEVEL_FROM)]


def utterances(session: RecordedSession) -> list[Segment]:
    """Final transcripts, one after the other."""
    return _in_a_row(session.rows("transcript"))


def words(session: RecordedSession) -> list[Segment]:
    """Words, one after the other: a recogniser lets neighbours overlap by a little."""
    return _in_a_row(session.rows("words"))


def gaps(session: RecordedSession) -> dict[str, list[Segment]]:
    """Stream -> its spans without data, with their reasons."""
    found: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for stream, start_s, end_s, reason, *_ in session.rows("gaps"):
        found[stream].append((start_s, end_s, reason))
    return {stream: _in_a_row(rows) for stream, rows in found.items()}


def estimate_step_s(session: RecordedSession) -> float:
    """Usual distance of estimates."""
    times_s = np.array([row[0] for row in session.rows("estimates")])
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.1


def readings(session: RecordedSession) -> tuple[list[Segment], dict[str, list[Segment]]]:
    """What the person reads as, and label -> levels of its score.

    An estimate counts for the step before it, as on the timeline. Where it abstains, where a score
    is missing, and where estimates are missing, there is no segment.
    """
    step_s = estimate_step_s(session)
    runs = {name: _Runs(step_s) for name in ("", *LABELS)}
    for row in session.rows("estimates"):
        time_s, scores, label = row[0], row[1:8], row[8]
        runs[""].add(time_s, label)
        for name, score in zip(LABELS, scores, strict=True):
            runs[name].add(time_s, None if score is None else level(score))
    return runs[""].segments(), {name: runs[name].segments() for name in LABELS}


def lanes(session: RecordedSession) -> Iterator[Lane]:
    """Everybody's marks, those that overlap in lanes of their own; notes and points apart."""
    for rater in session.raters:
        groups: dict[tuple[str, MarkKind], list[Segment]] = defaultdict(list)
        for mark, end_s in session.intervals(rater):
            start_ms = to_ms(mark.start_s - session.start_s)
            end_ms = start_ms + POINT_MS
            if mark.kind == "interval":
                end_ms = max(start_ms + 1, to_ms(end_s - session.start_s))
            text = mark.text if mark.kind == "note" else mark.label
            groups[mark.tier, mark.kind].append(Segment(start_ms, end_ms, text))
        for (tier, kind), segments in sorted(groups.items()):
            for number, lane in enumerate(_without_overlap(segments), 1):
                yield Lane(rater, tier, kind, number, lane)


class _Runs:
    """Joins equal values of neighbouring estimates."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._runs: list[tuple[float, float, str]] = []

    def add(self, time_s: float, value: str | None) -> None:
        if value is None:
            return
        start_s = time_s - self._step_s
        if self._runs:
            first_s, last_s, text = self._runs[-1]
            if start_s - last_s < (_HOLE_STEPS - 1.0) * self._step_s:
                start_s = last_s
                if text == value:
                    self._runs[-1] = (first_s, time_s, text)
                    return
        self._runs.append((start_s, time_s, value))

    def segments(self) -> list[Segment]:
        return _in_a_row(self._runs)


def _in_a_row(rows: Iterable[tuple[object, ...]]) -> list[Segment]:
    """Segments of (start_s, end_s, text, ...) in order of time, each from the end of the last."""
    found: list[Segment] = []
    newest_ms = 0
    for start_s, end_s, text, *_ in rows:
        start_ms = max(newest_ms, to_ms(start_s))  # type: ignore[arg-type]
        newest_ms = max(start_ms + 1, to_ms(end_s))  # type: ignore[arg-type]
        found.append(Segment(start_ms, newest_ms, str(text)))
    return found


def _without_overlap(segments: Iterable[Segment]) -> list[list[Segment]]:
    """Spread over as few lanes as there are segments at one time."""
    result: list[list[Segment]] = []
    in_use: list[tuple[int, int]] = []  # end and lane
    free: list[int] = []
    for segment in sorted(segments):
        while in_use and in_use[0][0] <= segment.start_ms:
            heapq.heappush(free, heapq.heappop(in_use)[1])
        if not free:
            free.append(len(result))
            result.append([])
        lane = heapq.heappop(free)
        result[lane].append(segment)
        heapq.heappush(in_use, (segment.end_ms, lane))
    return result
