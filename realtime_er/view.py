"""What displays and summaries see of a session: written by its threads, read at once by anyone."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realtime_er.device_words import DeviceTroubles
from realtime_er.messages import (
    LABELS,
    MODALITIES,
    SAMPLE_RATE_HZ,
    Absence,
    AudioBlock,
    Embedding,
    Estimate,
    Event,
    FaceReport,
    FloatArray,
    Gap,
    Health,
    Hypothesis,
    RecordingStatus,
    Snapshot,
    SpeechActivity,
    VideoFrame,
)
from realtime_er.outline import OUTLINE_SAMPLES, outline_of
from realtime_er.stages import Evidence
from realtime_er.windows import Announced, Transcribed, Watermark

_HISTORY_S = 30.0
# Twice as many: blocks that are no multiple of it leave a short rest each.
_WAVEFORM_ROWS = 2 * round(_HISTORY_S * SAMPLE_RATE_HZ / OUTLINE_SAMPLES)
# Spans of speech closer than this are one.
_JOIN_S = 0.05
_UNSHOWN = (Watermark, Embedding, FaceReport, Announced)  # faces come on their own way, sooner


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


class _Outline:
    """Outline of the newest sound: time and lowest and highest sample of each part.

    Sound is only kept as it comes, and outlined when somebody looks: most sessions have no window.
    """

    def __init__(self) -> None:
        self._kept: deque[AudioBlock] = deque()  # since somebody last looked
        self._lock = threading.Lock()  # between those who look; the microphone never waits
        self._rows = np.zeros((_WAVEFORM_ROWS, 3), np.float64)
        self._count = 0

    def add(self, block: AudioBlock) -> None:
        """Keep a block. Microphone thread."""
        kept = self._kept
        kept.append(block)
        try:
            if kept[0].end_s < block.start_s - _HISTORY_S:
                kept.popleft()
        except IndexError:
            pass  # somebody who looks has just taken all of them

    def newest(self) -> npt.NDArray[np.float64]:
        """A copy, float64 (n, 3), oldest first. Any thread."""
        with self._lock:
            while self._kept:
                self._draw(self._kept.popleft())
            end = self._count
            return self._rows[np.arange(max(0, end - _WAVEFORM_ROWS), end) % _WAVEFORM_ROWS]

    def _draw(self, block: AudioBlock) -> None:
        for row in outline_of(block.start_s, block.samples):
            self._rows[self._count % _WAVEFORM_ROWS] = row
            self._count += 1


class View:
    """The newest of everything, under one lock that is held for microseconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._history: deque[Estimate] = deque()
        self._ages: deque[float] = deque(maxlen=300)
        self._all_ages = Counter[int]()
        self._finals: list[Hypothesis] = []
        self._current: Hypothesis | None = None
        self._report: FaceReport | None = None
        self._speech: deque[tuple[float, float]] = deque()
        self._activity: SpeechActivity | None = None
        self._events: deque[Event] = deque(maxlen=100)
        self._troubles = DeviceTroubles()
        self._gaps: deque[Gap] = deque(maxlen=1000)
        self._report_times: deque[float] = deque(maxlen=50)
        # Written by the camera's and the microphone's producers only, without the lock: the append
        # and the copy of a deque are atomic, and so is the change of a reference.
        self._frame_times: deque[float] = deque(maxlen=90)
        self._frame: VideoFrame | None = None
        self._outline = _Outline()
        self._n_estimates = 0
        self._n_with_evidence = 0
        self._sum = np.zeros(len(LABELS), np.float64)
        self._label_counts = Counter[str]()
        self._last_s = 0.0

    def show(self, report: FaceReport) -> None:
        """Keep the newest face report. Face thread."""
        with self._lock:
            self._report = report
            self._report_times.append(report.time_s)

    def observe(self, message: Evidence | Estimate) -> None:
        """Keep what snapshots and the summary need. Fusion thread."""
        if isinstance(message, _UNSHOWN):
            return
        with self._lock:
            match message:
                case Estimate():
                    self._note_estimate(message)
                case SpeechActivity():
                    self._note_activity(message)
                case Transcribed():
                    hypothesis = message.hypothesis
                    self._current = None if hypothesis.is_final else hypothesis
                    if hypothesis.is_final and hypothesis.text:
                        self._finals.append(hypothesis)
                case Event():
                    self._events.append(message)
                    self._troubles.note(message)
                case Gap():
                    self._gaps.append(message)
                    if message.stream == "text":
                        self._current = None  # no final will come

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

    def _note_activity(self, activity: SpeechActivity) -> None:
        self._activity = activity
        if activity.speaking:
            start_s = activity.start_s
            if self._speech and start_s - self._speech[-1][1] < _JOIN_S:
                start_s = self._speech.pop()[0]
            self._speech.append((start_s, activity.end_s))
        while self._speech and self._speech[0][1] < activity.end_s - _HISTORY_S:
            self._speech.popleft()

    def frame_captured(self, frame: VideoFrame) -> None:
        """Keep the newest frame and count it towards the camera's rate. Camera thread."""
        self._frame_times.append(frame.time_s)
        self._frame = frame

    def sound_captured(self, block: AudioBlock) -> None:
        """Keep the sound for its outline. Microphone thread."""
        self._outline.add(block)

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
        self,
        now_s: float,
        notices: tuple[str, ...],
        dropped_frames: int,
        dropped_samples: int,
        *,
        muted: bool = False,
        recording: RecordingStatus | None = None,
    ) -> Snapshot:
        """Everything a display shows."""
        waveform = self._outline.newest()
        with self._lock:
            history = tuple(self._history)
            newest = history[-1] if history else None
            ages = sorted(self._ages)
            trouble = self._troubles.line()
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
                faces=self._report,
                frame=self._frame,
                health=health,
                notices=(*notices, trouble) if trouble else notices,
                events=tuple(self._events),
                waveform=waveform[waveform[:, 0] >= now_s - _HISTORY_S],
                speech=tuple(self._speech),
                muted=muted,
                recording=recording,
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
