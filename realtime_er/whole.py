"""A whole recording as one input of the fusion head, in bounded memory."""

from __future__ import annotations

import numpy as np

from realtime_er.fusion.head import FusionInput
from realtime_er.messages import Embedding, FloatArray


class RunningStatistics:
    """Mean and population standard deviation of a stream of vectors, in bounded memory."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None
        self._m2: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None

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


class WholeRecording:
    """Statistics over a whole recording, as MER scores a file: every face of the person seen most,
    every spoken step.
    """  # noqa: D205 - one sentence on two lines

    _MAX_TRACKS = 64

    def __init__(self) -> None:
        self._faces: dict[int, RunningStatistics] = {}
        self._voice = RunningStatistics()
        self._last_voice_s = -np.inf

    def add_face(self, embedding: Embedding) -> None:
        """Add the target's embedding."""
        if embedding.source_id not in self._faces and len(self._faces) >= self._MAX_TRACKS:
            rarest = min(self._faces, key=lambda track: self._faces[track].count)
            del self._faces[rarest]
        self._faces.setdefault(embedding.source_id, RunningStatistics()).add(embedding.vector)

    def add_voice(self, embedding: Embedding) -> None:
        """Add a spoken step."""
        self._voice.add(embedding.vector)

    def fusion_input(self, text: FloatArray | None) -> FusionInput:
        """The whole recording as one input; ``text`` is the embedding of the final transcript."""
        most = max(self._faces.values(), key=lambda stats: stats.count, default=None)
        return FusionInput(
            face=most.value() if most is not None else None, audio=self._voice.value(), text=text
        )
