"""A whole recording as one input of the fusion head, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Protocol

import numpy as np

from realtime_er.config import Config
from realtime_er.fusion.aggregation import HOP_S, WINDOW_S
from realtime_er.fusion.head import FusionInput
from realtime_er.messages import Embedding, FloatArray

_Exact = np.ndarray[tuple[int], np.dtype[np.float64]]


class RunningStatistics:
    """Mean and population standard deviation of a stream of vectors, in bounded memory."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: _Exact | None = None
        self._m2: _Exact | None = None

    def add(self, vector: FloatArray) -> None:
        """Add one vector, float32 (D,). Welford's update, in float64."""
        value = vector.astype(np.float64)
        self.count += 1
        if self._mean is None or self._m2 is None:
            self._mean, self._m2 = value, np.zeros_like(value)
            return
        delta = value - self._mean
        self._mean = self._mean + delta / self.count
        self._m2 = self._m2 + delta * (value - self._mean)

    def value(self) -> FloatArray | None:
        """float32 (2 * D,): mean, then standard deviation; None before the first vector."""
        if self._mean is None or self._m2 is None:
            return None
        std = np.sqrt(self._m2 / self.count)
        return np.concatenate([self._mean, std]).astype(np.float32)


class Summary(Protocol):
    """What a recording holds of one person's face, or of the voice."""

    @property
    def count(self) -> int:
        """How many embeddings were added."""
        ...

    def add(self, embedding: Embedding) -> None:
        """Add the next one, in order of time."""
        ...

    def value(self, end_s: float | None) -> FloatArray | None:
        """float32 (2 * D,) if this was all; None before the first embedding.

        Args:
            end_s: Where the recording's sound ends; None without any.
        """
        ...


class Everything:
    """Mean and spread over every embedding (compact)."""

    def __init__(self) -> None:
        self._statistics = RunningStatistics()

    @property
    def count(self) -> int:
        """How many embeddings were added."""
        return self._statistics.count

    def add(self, embedding: Embedding) -> None:
        """Add the next one."""
        self._statistics.add(embedding.vector)

    def value(self, end_s: float | None) -> FloatArray | None:
        """float32 (2 * D,)."""
        return self._statistics.value()


class WindowsOfFaces:
    """Mean of the faces in each window of 4 s, every 2 s from 0 on; mean and spread of these (MER).

    The same as ``fusion.aggregation.face_windows_by_time``, one face at a time: only the sums of the
    last two hops are kept. ``alone_s`` is how long a face lasts where there is no sound.
    """

    def __init__(self, alone_s: float) -> None:
        self.count = 0
        self._alone_s = alone_s
        self._windows = RunningStatistics()
        self._hop = 0
        self._sums: list[tuple[int, _Exact | float]] = [(0, 0.0), (0, 0.0)]  # hop before, this hop
        self._last_s = 0.0

    def add(self, embedding: Embedding) -> None:
        """Add the next face."""
        self.count += 1
        self._last_s = embedding.end_s
        hop = int((embedding.end_s + 1e-6) / HOP_S)
        while self._hop < hop:
            self._close(self._sums[0], self._sums[1])
            self._hop += 1
            self._sums = [self._sums[1], (0, 0.0)]
            if not self._sums[0][0]:
                self._hop = hop  # windows without a face have no mean
        faces, total = self._sums[1]
        self._sums[1] = (faces + 1, total + embedding.vector.astype(np.float64))

    def _close(self, *hops: tuple[int, _Exact | float]) -> None:
        """Count the window that consists of these hops; the one before hop 0 has none of its own."""
        faces = sum(number for number, _ in hops)
        if faces and self._hop > 0:
            mean = np.asarray(sum(total for _, total in hops) / faces, np.float32)
            self._windows.add(mean)

    def value(self, end_s: float | None) -> FloatArray | None:
        """float32 (2 * D,)."""
        end_s = max(self._last_s + self._alone_s if end_s is None else end_s, self._last_s)
        done = deepcopy(self)
        done._close(*done._sums)
        # A window begins with the last hop only where 2 s are left for it, or nothing came before.
        if done._hop == 0 or end_s - done._hop * HOP_S >= HOP_S - 1e-6:
            done._hop += 1
            done._close(done._sums[1])
        return done._windows.value()


class WindowsOfSound:
    """Mean and spread over the windows of a recording's sound (MER).

    A stream is described before its first window is full, too; a later window that begins where such
    a short one did takes its place. The last one, which may be short as well, counts.
    """

    def __init__(self) -> None:
        self.count = 0
        self._windows = RunningStatistics()
        self._short: Embedding | None = None

    def add(self, embedding: Embedding) -> None:
        """Add the next window."""
        self.count += 1
        short = self._short
        if short is not None and embedding.start_s - short.start_s > HOP_S / 2:
            self._windows.add(short.vector)
        self._short = None
        if embedding.end_s - embedding.start_s < WINDOW_S - 1e-6:
            self._short = embedding
        else:
            self._windows.add(embedding.vector)

    def value(self, end_s: float | None) -> FloatArray | None:
        """float32 (2 * D,)."""
        windows = deepcopy(self._windows)
        if self._short is not None:
            windows.add(self._short.vector)
        return windows.value()


class WholeRecording:
    """Statistics over a whole recording, as MER scores a file: the person seen most, and all that
    was spoken. Bounded memory; the fusion thread's, until the workers have ended.

    Args:
        face: Makes the summary of one person.
        voice: Makes that of the voice.
    """  # noqa: D205 - one sentence on two lines

    _MAX_TRACKS = 64

    def __init__(
        self, face: Callable[[], Summary] = Everything, voice: Callable[[], Summary] = Everything
    ) -> None:
        self._make_face = face
        self._faces: dict[int, Summary] = {}
        self._voice = voice()
        self._sound_end_s: float | None = None

    def add_face(self, embedding: Embedding) -> None:
        """Add the target's embedding."""
        track = embedding.source_id
        if track not in self._faces:
            if len(self._faces) >= self._MAX_TRACKS:
                del self._faces[min(self._faces, key=lambda other: self._faces[other].count)]
            self._faces[track] = self._make_face()
        self._faces[track].add(embedding)

    def add_voice(self, embedding: Embedding) -> None:
        """Add an embedding of speech."""
        self._voice.add(embedding)

    def end_sound(self, end_s: float) -> None:
        """Note where the sound ends."""
        self._sound_end_s = end_s

    def fusion_input(self, text: FloatArray | None) -> FusionInput:
        """The whole recording as one input.

        Args:
            text: Embedding of the final transcript.
        """
        most = max(self._faces.values(), key=lambda faces: faces.count, default=None)
        return FusionInput(
            face=most.value(self._sound_end_s) if most is not None else None,
            audio=self._voice.value(self._sound_end_s),
            text=text,
        )


def whole_recording(config: Config) -> WholeRecording:
    """The one whose vectors the bundle's fusion heads are trained on."""
    if config.models.bundle == "paper":
        period_s = 1.0 / config.face.rate_hz
        return WholeRecording(lambda: WindowsOfFaces(period_s), WindowsOfSound)
    return WholeRecording()
