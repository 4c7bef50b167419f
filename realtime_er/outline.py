"""Sound as the eye sees it: the lowest and the highest sample of each short part."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray

OUTLINE_SAMPLES = SAMPLE_RATE_HZ // 50
"""One part is this much sound: 20 ms."""


def outline_of(start_s: float, samples: FloatArray) -> Iterator[tuple[float, float, float]]:
    """Time, lowest and highest sample of each part of a piece of sound. Any thread.

    Args:
        start_s: Session time of the first sample.
        samples: float32 (n,), at 16 kHz.
    """
    for first in range(0, len(samples), OUTLINE_SAMPLES):
        part = samples[first : first + OUTLINE_SAMPLES]
        yield start_s + first / SAMPLE_RATE_HZ, float(part.min()), float(part.max())
