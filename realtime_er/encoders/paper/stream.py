"""The speech encoder over a stream: every two seconds, the last four are described once.

It has the shape of the compact ``StreamingAudioEncoder``, so the same audio stage drives either.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray


class WindowEncoder(Protocol):
    """What describes windows of sound; ``Wav2Vec2Encoder`` is one."""

    encoder_id: str
    dim: int

    def encode(self, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Features [N, dim] and logits [N, classes] of float32 [N, samples]."""
        ...


class StreamingWindowEncoder:
    """Cuts a stream into overlapping windows and encodes each. Pure; one owning thread.

    Until a whole window has been heard, what there is is tiled to its length, as short clips are.

    Args:
        encoder: describes one window.
        window_samples: length of a window.
        hop_samples: from one window's end to the next; divides the window's length.
        sample_rate_hz: rate that ``push`` expects.

    Raises:
        ValueError: the hop does not divide the window.
    """

    def __init__(
        self,
        encoder: WindowEncoder,
        *,
        window_samples: int = 4 * SAMPLE_RATE_HZ,
        hop_samples: int = 2 * SAMPLE_RATE_HZ,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
    ) -> None:
        if hop_samples < 1 or window_samples % hop_samples:
            raise ValueError(f"hop {hop_samples} must divide the window {window_samples}")
        self._encoder = encoder
        self._window_samples = window_samples
        self._hop_samples = hop_samples
        self._sample_rate_hz = sample_rate_hz
        self.logits: FloatArray | None = None
        """Logits of the newest window, float32 [classes]; None before the first."""
        self.reset()

    @property
    def encoder_id(self) -> str:
        """Identity that fusion heads are bound to."""
        return self._encoder.encoder_id

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._encoder.dim

    @property
    def step_samples(self) -> int:
        """Samples per embedding."""
        return self._hop_samples

    @property
    def sample_rate_hz(self) -> int:
        """Rate that ``push`` expects."""
        return self._sample_rate_hz

    @property
    def next_end_sample(self) -> int | None:
        """Where the next window will end (stream index); None before the first push."""
        return None if self._next_sample is None else self._next_sample + self._missing()

    def reset(self) -> None:
        """Forgets everything, as after a gap; the next push may start at any index."""
        self._heard = np.zeros(0, np.float32)
        self._next_sample: int | None = None
        self._since_hop = 0
        self._skip = False

    def skip(self) -> None:
        """Leaves the next window out; its sound still counts for the one after it."""
        self._skip = True

    def push(self, first_sample: int, samples: FloatArray) -> list[tuple[int, FloatArray]]:
        """Takes the next samples of the stream and encodes the windows they complete.

        Samples that do not continue the stream reset it first: a window never spans a gap.

        Args:
            first_sample: stream index of ``samples[0]``.
            samples: float32 [any length], mono in [-1, 1].

        Returns:
            Pairs of end index (exclusive) and embedding, float32 [dim], in order.

        Raises:
            ValueError: ``samples`` is not one-dimensional, or holds a value that is not finite.
        """
        if samples.ndim != 1:
            raise ValueError(f"samples must be [N], got {samples.shape}")
        if len(samples) == 0:
            return []
        if first_sample != self._next_sample:
            self.reset()
            self._next_sample = first_sample
        done: list[tuple[int, FloatArray]] = []
        place = 0
        while place < len(samples):
            part = samples[place : place + self._missing()]
            place += len(part)
            self._heard = np.concatenate([self._heard, part])[-self._window_samples :]
            self._since_hop += len(part)
            self._next_sample = first_sample + place
            if self._missing() == 0:
                self._since_hop = 0
                if not self._skip:
                    done.append((self._next_sample, self._encode()))
                self._skip = False
        return done

    def _missing(self) -> int:
        return self._hop_samples - self._since_hop

    def _encode(self) -> FloatArray:
        window = np.resize(self._heard, self._window_samples).astype(np.float32)
        features, logits = self._encoder.encode(window[None])
        self.logits = logits[0]
        feature: FloatArray = features[0]
        return feature
