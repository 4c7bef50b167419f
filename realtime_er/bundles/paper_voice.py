"""The published speech encoder over a stream, and over its end, which only a whole recording has."""

from __future__ import annotations

import numpy as np

from realtime_er.encoders.paper.stream import StreamingWindowEncoder, WindowEncoder
from realtime_er.encoders.protocols import LastWindow
from realtime_er.fusion.aggregation import HOP_S, WINDOW_S, tile
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray

_HOP = round(HOP_S * SAMPLE_RATE_HZ)
_WINDOW = round(WINDOW_S * SAMPLE_RATE_HZ)


class PaperVoice:
    """Windows of 4 s every 2 s, and at the end the rest that a file's last window holds (MER).

    One owning thread.

    Args:
        encoder: describes one window.
    """

    window_samples = _WINDOW

    def __init__(self, encoder: WindowEncoder) -> None:
        self._encoder = encoder
        self._windows = StreamingWindowEncoder(encoder, window_samples=_WINDOW, hop_samples=_HOP)
        self._first_sample = self._end_sample = -1
        self._recent = np.zeros(0, np.float32)

    @property
    def encoder_id(self) -> str:
        """Identity that fusion heads are bound to."""
        return self._encoder.encoder_id

    @property
    def step_samples(self) -> int:
        """Samples from one window's end to the next one's."""
        return self._windows.step_samples

    @property
    def next_end_sample(self) -> int | None:
        """Where the next window will end (stream index); None before the first push."""
        return self._windows.next_end_sample

    def push(self, first_sample: int, samples: FloatArray) -> list[tuple[int, FloatArray]]:
        """See ``StreamingWindowEncoder.push``."""
        if first_sample != self._end_sample:
            self._first_sample = first_sample
            self._recent = np.zeros(0, np.float32)
        self._end_sample = first_sample + len(samples)
        self._recent = np.concatenate([self._recent, samples])[-_WINDOW:]
        done = self._windows.push(first_sample, samples)
        for _end_sample, vector in done:
            vector.setflags(write=False)
        return done

    def skip(self) -> None:
        """Leave the next window out."""
        self._windows.skip()

    def finish(self) -> LastWindow | None:
        """The last window of a file, which is shorter than 4 s and repeated to fill it.

        A file's windows begin every 2 s as long as 2 s are left, so what is left after the last whole
        window and its second half are a window too; a file under 4 s is one window.
        """
        length = self._end_sample - self._first_sample
        if length <= 0:
            return None
        start = max(0, (length // _HOP - 1) * _HOP)
        window = tile(self._recent[-(length - start) :], _WINDOW)
        features, _logits = self._encoder.encode(window[None])
        features.setflags(write=False)
        return LastWindow(self._first_sample + start, self._end_sample, features[0])
