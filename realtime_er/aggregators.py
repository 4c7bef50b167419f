"""From the embeddings that a tick may use to one vector: how each bundle reads its recent past.

Compact encoders give many short embeddings, which are pooled over a horizon. The published ones
describe windows of 4 s every 2 s, of which the K most recent count (MER). Chosen once, by the
configuration; pure, for the fusion thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from realtime_er.config import Config
from realtime_er.feature_cache import EPSILON_S
from realtime_er.fusion.aggregation import (
    HOP_S,
    WINDOW_S,
    face_windows_until,
    recording_vector,
)
from realtime_er.fusion.head import statistics
from realtime_er.messages import Absence, Embedding, FloatArray, SpeechActivity


@dataclass(frozen=True, slots=True)
class Heard:
    """What there is to hear in some voice embeddings.

    Attributes:
        spoken: Those that hold enough speech to count, each on its own.
        used: Those of which the tick's vector is made; empty when there is too little speech.
        some_speech: Whether anything was said at all.
    """

    spoken: Sequence[Embedding]
    used: Sequence[Embedding]
    some_speech: bool


class FaceAggregator(Protocol):
    """Recent faces of one person to one vector."""

    @property
    def horizon_s(self) -> float:
        """Faces older than this are not wanted."""
        ...

    def vector(self, faces: Sequence[Embedding], end_s: float) -> FloatArray:
        """float32 (2 * D,) of at least one face within the horizon before ``end_s``, in order."""
        ...


class VoiceAggregator(Protocol):
    """Chooses the voice embeddings whose statistics are a tick's vector."""

    @property
    def horizon_s(self) -> float:
        """Embeddings that ended longer ago are not wanted."""
        ...

    @property
    def speech_horizon_s(self) -> float:
        """Decisions on speech that ended longer ago are not wanted."""
        ...

    def listen(self, steps: Sequence[Embedding], speech: Iterable[SpeechActivity]) -> Heard:
        """Judge embeddings by the decisions on speech; both in order of time."""
        ...

    def nothing_yet(self, reached_s: float, sounding_s: float) -> Absence:
        """Why there is no embedding at a tick.

        Args:
            reached_s: Sound was encoded up to here; minus infinity when there was none yet.
            sounding_s: How long the sound has gone on unbroken at the tick.
        """
        ...


@dataclass(frozen=True, slots=True)
class Aggregation:
    """How each modality's recent past is read."""

    face: FaceAggregator
    voice: VoiceAggregator


def aggregation_of(config: Config) -> Aggregation:
    """The aggregation that the bundle's fusion heads are trained on."""
    if config.models.bundle == "paper":
        return Aggregation(FaceWindows(config), VoiceWindows(config))
    return Aggregation(PooledFaces(config), PooledVoice(config))


def stacked(embeddings: Sequence[Embedding]) -> FloatArray:
    """Vectors of one length as float32 (T, D); at every tick, so faster than numpy's ``stack``."""
    return np.concatenate([one.vector for one in embeddings]).reshape(len(embeddings), -1)


# --- compact --------------------------------------------------------------------------------------


class PooledFaces:
    """Mean and spread over every face of the horizon."""

    def __init__(self, config: Config) -> None:
        self.horizon_s = config.face.horizon_s

    def vector(self, faces: Sequence[Embedding], end_s: float) -> FloatArray:
        """float32 (2 * D,)."""
        return statistics(stacked(faces))


class PooledVoice:
    """Every step whose middle lies in speech, when they last long enough together."""

    def __init__(self, config: Config) -> None:
        self.horizon_s = self.speech_horizon_s = config.audio.horizon_s
        self._min_speech_s = config.audio.min_speech_s

    def listen(self, steps: Sequence[Embedding], speech: Iterable[SpeechActivity]) -> Heard:
        """One pass over both sequences."""
        spoken = []
        activities = iter(speech)
        current = next(activities, None)
        for step in steps:
            middle_s = (step.start_s + step.end_s) / 2
            while current is not None and current.end_s <= middle_s:
                current = next(activities, None)
            if current is not None and current.speaking and current.start_s <= middle_s:
                spoken.append(step)
        seconds = sum(step.end_s - step.start_s for step in spoken)
        enough = seconds >= self._min_speech_s - EPSILON_S
        return Heard(spoken, spoken if enough else [], bool(spoken))

    def nothing_yet(self, reached_s: float, sounding_s: float) -> Absence:
        """Steps are so short that sound without one means an encoder that is late."""
        return Absence.BEHIND if reached_s > -np.inf else Absence.WAITING


# --- paper ----------------------------------------------------------------------------------------


class FaceWindows:
    """Mean of each of the K newest windows of ``face.horizon_s``, then mean and spread of these.

    The newest ends with the tick, the others every 2 s before.
    """

    def __init__(self, config: Config) -> None:
        self._keep = config.paper.keep_windows
        self._window_s = config.face.horizon_s
        self.horizon_s = self._window_s + (self._keep - 1) * HOP_S

    def vector(self, faces: Sequence[Embedding], end_s: float) -> FloatArray:
        """float32 (2 * D,); the second half is zeros for K = 1."""
        return recording_vector(
            face_windows_until(
                [face.end_s for face in faces],
                stacked(faces),
                end_s,
                keep=self._keep,
                window_s=self._window_s,
            )
        )


class VoiceWindows:
    """The K newest windows of sound, without those that hold too little speech.

    The encoder's normalisation would blow the noise of a silent window up. A window counts until
    ``audio.horizon_s`` after its end; the next one comes 2 s after it, and a little later live.
    """

    def __init__(self, config: Config) -> None:
        self._keep = config.paper.keep_windows
        self._min_speech_s = config.audio.min_speech_s
        self.horizon_s = config.audio.horizon_s + (self._keep - 1) * HOP_S
        self.speech_horizon_s = self.horizon_s + WINDOW_S

    def listen(self, steps: Sequence[Embedding], speech: Iterable[SpeechActivity]) -> Heard:
        """The windows overlap, so each is judged by itself."""
        spans = [(a.start_s, a.end_s) for a in speech if a.speaking]
        seconds = [
            sum(max(0.0, min(end, step.end_s) - max(start, step.start_s)) for start, end in spans)
            for step in steps
        ]
        enough = [heard_s >= self._min_speech_s - EPSILON_S for heard_s in seconds]
        spoken = [step for step, counts in zip(steps, enough, strict=True) if counts]
        newest = list(zip(steps, enough, strict=True))[-self._keep :]
        used = [step for step, counts in newest if counts]
        return Heard(spoken, used, any(heard_s > 0.0 for heard_s in seconds[-self._keep :]))

    def nothing_yet(self, reached_s: float, sounding_s: float) -> Absence:
        """Until the first window is full there is nothing to be late with.

        ``reached_s`` does not count: recorded evidence tells of sound, not of what was encoded when.
        """
        return Absence.BEHIND if sounding_s > HOP_S - EPSILON_S else Absence.WAITING
