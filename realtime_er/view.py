"""What displays and summaries see of a session: written by its threads, read at once by anyone."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from realtime_er.messages import (
    LABELS,
    MODALITIES,
    Absence,
    Estimate,
    Event,
    FaceReport,
    FloatArray,
    Gap,
    Health,
    Hypothesis,
    Snapshot,
    SpeechActivity,
    VideoFrame,
)
from realtime_er.stages import Evidence
from realtime_er.windows import Transcribed

_HISTORY_S = 30.0


@dataclass(frozen=True)
class Summary:
    """A session in numbers.

    ``mean`` is float32 (7,): mean scores over the estimates that had evidence, NaN without any.
    """

    n_estimates: int
    duration_s: float
    mean: FloatArray
    labels: dict[str, int]
    transcript: str
    score_age_p50_s: float | None
    score_age_p95_s: float | None


class View:
    """The newest of everything, under one lock that is held for microseconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._history: deque[Estimate] = deque()
        self._ages: deque[float] = deque(maxlen=300)
        self._all_ages = Counter[int]()
        self._finals: list[Hypothesis] = []
        self._current: Hypothesis | None = None
        self._shown: tuple[VideoFrame, FaceReport] | None = None
        self._activity: SpeechActivity | None = None
        self._events: deque[Event] = deque(maxlen=100)
        self._gaps: deque[Gap] = deque(maxlen=1000)
        self._report_times: deque[float] = deque(maxlen=50)
        # Written by the camera's producer only; a deque's append and copy are atomic.
        self._frame_times: deque[float] = deque(maxlen=90)
        self._n_estimates = 0
        self._n_with_evidence = 0
        self._sum = np.zeros(len(LABELS), np.float64)
        self._label_counts = Counter[str]()
        self._last_s = 0.0

    def show(self, frame: VideoFrame, report: FaceReport) -> None:
        """Keep the newest encoded frame. Face thread."""
        with self._lock:
            self._shown = (frame, report)
            self._report_times.append(report.time_s)

    def observe(self, message: Evidence | Estimate) -> None:
        """Keep what snapshots and the summary need. Fusion thread."""
        with self._lock:
            match message:
                case Estimate():
                    self._note_estimate(message)
                case SpeechActivity():
                    self._activity = message
                case Transcribed():
                    hypothesis = message.hypothesis
                    self._current = None if hypothesis.is_final else hypothesis
                    if hypothesis.is_final and hypothesis.text:
                        self._finals.append(hypothesis)
                case Event():
                    self._events.append(message)
                case Gap():
                    self._gaps.append(message)
                case _:
                    pass

    def _note_estimate(self, estimate: Estimate) -> None:
        self._history.append(estimate)
        while self._history[0].time_s < estimate.time_s - _HISTORY_S:
            self._history.popleft()
        self._n_estimates += 1
        self._last_s = estimate.time_s
        if estimate.timing.age_s is not None:
            self._ages.append(estimate.timing.age_s)
            self._all_ages[min(round(estimate.timing.age_s * 1000), 60_000)] += 1
        if not np.isnan(estimate.probabilities).all():
            self._n_with_evidence += 1
            self._sum += np.nan_to_num(estimate.probabilities)
            self._label_counts[estimate.label or "not sure"] += 1
        else:
            self._label_counts["nothing to read"] += 1

    def frame_captured(self, time_s: float) -> None:
        """Count a frame towards the camera's rate. Camera thread."""
        self._frame_times.append(time_s)

    def finals(self) -> tuple[Hypothesis, ...]:
        """Final hypotheses with text, in order."""
        with self._lock:
            return tuple(self._finals)

    def text(self) -> str:
        """Everything that was said, finals only."""
        return " ".join(hypothesis.text for hypothesis in self.finals())

    def gaps(self) -> tuple[Gap, ...]:
        """Known spans without data."""
        with self._lock:
            return tuple(self._gaps)

    def snapshot(
        self, now_s: float, notices: tuple[str, ...], dropped_frames: int, dropped_samples: int
    ) -> Snapshot:
        """Everything a display shows."""
        with self._lock:
            history = tuple(self._history)
            newest = history[-1] if history else None
            ages = sorted(self._ages)
            health = Health(
                score_age_s=self._ages[-1] if self._ages else None,
                score_age_p95_s=ages[int(0.95 * (len(ages) - 1))] if ages else None,
                estimates_hz=_rate([e.time_s for e in history[-50:]]),
                video_fps=_rate(list(self._frame_times)),
                encoded_faces_hz=_rate(list(self._report_times)),
                level_dbfs=self._activity.level_dbfs if self._activity else -120.0,
                speaking=self._activity.speaking if self._activity else False,
                dropped_frames=dropped_frames,
                dropped_samples=dropped_samples,
            )
            return Snapshot(
                now_s=now_s,
                estimate=newest,
                history=history,
                states={m: newest.absent.get(m) if newest else Absence.WAITING for m in MODALITIES},
                finals=tuple(self._finals[-20:]),
                current=self._current,
                faces=self._shown[1] if self._shown else None,
                frame=self._shown[0] if self._shown else None,
                health=health,
                notices=notices,
                events=tuple(self._events),
            )

    def summary(self) -> Summary:
        """The session so far in numbers."""
        text = self.text()
        with self._lock:
            n = self._n_with_evidence
            mean = self._sum / n if n else np.full(len(LABELS), np.nan)
            return Summary(
                n_estimates=self._n_estimates,
                duration_s=self._last_s,
                mean=mean.astype(np.float32),
                labels=dict(self._label_counts.most_common()),
                transcript=text,
                score_age_p50_s=_quantile(self._all_ages, 0.5),
                score_age_p95_s=_quantile(self._all_ages, 0.95),
            )


def _rate(times_s: list[float]) -> float:
    """Events per second from N times: N - 1 intervals."""
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        return 0.0
    return (len(times_s) - 1) / (times_s[-1] - times_s[0])


def _quantile(histogram_ms: Counter[int], share: float) -> float | None:
    """Quantile of a histogram in milliseconds, in seconds; None when it is empty."""
    seen, total = 0, histogram_ms.total()
    for value_ms, count in sorted(histogram_ms.items()):
        seen += count
        if seen >= share * total:
            return value_ms / 1000
    return None
