"""Any sound to mono float32 at 16 kHz, block by block, without losing a sample at a seam."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray


def to_float(block: npt.NDArray[Any]) -> FloatArray:
    """Samples of any PCM type as float32 in [-1, 1].

    Args:
        block: Signed integers of any width, uint8 centred on 128, or floats. Any shape.

    Raises:
        TypeError: neither.
    """
    if block.dtype == np.float32:
        return block
    if block.dtype.kind == "f":
        return block.astype(np.float32)
    if block.dtype == np.uint8:
        return (block.astype(np.float32) - np.float32(128.0)) / np.float32(128.0)
    if block.dtype.kind == "i":
        full_scale = -float(np.iinfo(block.dtype).min)
        return (block.astype(np.float64) / full_scale).astype(np.float32)
    raise TypeError(f"samples of type {block.dtype} are not sound")


def to_16_bit(samples: FloatArray) -> FloatArray:
    """Samples rounded to what 16 bits can say, so that a recording keeps exactly what was read.

    Args:
        samples: float32 in [-1, 1]; what lies outside is clipped.

    Returns:
        float32 of the same shape; times 32768 it is whole.
    """
    scaled: FloatArray = np.clip(np.rint(samples * np.float32(32768.0)), -32768.0, 32767.0)
    return scaled / np.float32(32768.0)


class StreamingResampler:
    """Turns blocks of one sound stream into mono 16 kHz.

    The output's sample ``k`` is the sound at ``k / 16000`` s after the first input sample: the
    filter's delay is compensated. After ``flush`` exactly ``round(n * 16000 / rate_hz)`` samples
    (give or take one) have come out for ``n`` that went in, however they were split. Owned by one
    thread.

    Args:
        rate_hz: Rate of the input, above zero.
        channels: Number of channels of the input, at least one; they are averaged.

    Raises:
        ValueError: a rate or a number of channels that cannot be.
    """

    def __init__(self, rate_hz: float, channels: int) -> None:
        if not rate_hz > 0 or channels < 1:
            raise ValueError(f"cannot resample {channels} channels at {rate_hz} Hz")
        self._rate_hz = float(rate_hz)
        self._channels = channels
        self._stream = self._new_stream()

    def _new_stream(self) -> soxr.ResampleStream | None:
        if self._rate_hz == SAMPLE_RATE_HZ:
            return None  # bit-exact and without delay
        return soxr.ResampleStream(self._rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")

    def push(self, block: npt.NDArray[Any]) -> FloatArray:
        """Resample one more block.

        Args:
            block: Shape (n, channels), or (n * channels,) interleaved; int16, int32, uint8 or
                float. Not changed, and not referred to by the result.

        Returns:
            float32, shape (m,): what is finished; the filter holds some samples back.

        Raises:
            ValueError: the block does not hold whole frames of ``channels`` samples.
            TypeError: samples of a type that is not sound.
        """
        if block.ndim > 2 or (block.ndim == 2 and block.shape[1] != self._channels):
            raise ValueError(f"block of shape {block.shape}, expected (n, {self._channels})")
        if block.ndim == 1 and block.size % self._channels:
            raise ValueError(f"{block.size} samples are not whole frames of {self._channels}")
        frames = to_float(block).reshape(-1, self._channels)
        if self._channels == 1:
            mono = np.array(frames[:, 0], dtype=np.float32)
        else:
            mono = frames.mean(axis=1, dtype=np.float32)
        if self._stream is None:
            return mono
        out: FloatArray = self._stream.resample_chunk(mono, last=False)
        return out

    def flush(self) -> FloatArray:
        """The samples still held back; afterwards a new stream may be pushed.

        Returns:
            float32, shape (m,).
        """
        if self._stream is None:
            return np.zeros(0, dtype=np.float32)
        out: FloatArray = self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        self._stream = self._new_stream()
        return out
