"""What a decoder reports, put in order.

Images are turned upright, picture times strictly increase, and sound is cut into blocks whose
sample index tells the time.

Nothing here opens, reads or waits; ``media_file`` and ``network_camera`` do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from realtime_er.messages import (
    SAMPLE_RATE_HZ,
    AudioBlock,
    FloatArray,
    Gap,
    ImageArray,
    VideoFrame,
)
from realtime_er.sources.resample import StreamingResampler, to_16_bit

BLOCK_SAMPLES = 640
"""Samples in each block of a file: 40 ms, whatever frames its codec has."""

HOLE_S = 0.05
"""Sound whose timestamp is further than this from where counting puts it is not contiguous."""


MOST_HOLE_S = 6 * 3600.0
"""A time stamp that jumps further ahead is damaged: there would be no end of empty ticks before it."""

MAX_PIXELS = 8192 * 8192
"""Larger pictures are not decoded: nobody films them, and a few bytes can ask for gigabytes."""


def upright(frame: av.VideoFrame) -> ImageArray:
    """Pixels of a decoded frame as they are meant to be seen (phones store portrait lying down).

    Returns:
        uint8 BGR, shape (height, width, 3), read-only.
    """
    image = frame.to_ndarray(format="bgr24")
    quarters = round(frame.rotation / 90) % 4  # the display matrix turns anticlockwise, as rot90
    image = np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
    image.setflags(write=False)
    return image


class DecodedFrame(VideoFrame):
    """A picture of a file, converted when somebody first looks at it, and only once.

    Most are never looked at: a recogniser reads ten pictures a second of twenty-five. Any thread.

    Args:
        index: See ``VideoFrame``, as is
        time_s: its time.
        image: What the decoder made; or a picture, as ``dataclasses.replace`` hands one over.
    """

    __slots__ = ("_decoded", "_image", "_lock")

    _decoded: av.VideoFrame | None
    _image: ImageArray | None
    _lock: threading.Lock

    def __init__(self, index: int, time_s: float, image: av.VideoFrame | ImageArray) -> None:
        decoded = isinstance(image, av.VideoFrame)
        # The base is frozen, so that its fields can only be set like this.
        for name, value in (
            ("index", index),
            ("time_s", time_s),
            ("_decoded", image if decoded else None),
            ("_image", None if decoded else image),
            ("_lock", threading.Lock()),
        ):
            object.__setattr__(self, name, value)

    @property
    def image(self) -> ImageArray:
        """See ``upright``."""
        with self._lock:  # two threads must not use one frame's converter at a time
            image = self._image
            if image is None:
                assert self._decoded is not None  # one of the two is always there
                image = upright(self._decoded)
                object.__setattr__(self, "_image", image)
                object.__setattr__(self, "_decoded", None)  # give the decoder its buffer back
        return image


def samples_of(frame: av.AudioFrame) -> npt.NDArray[Any]:
    """Samples of a decoded frame in its own type, shape (n, channels)."""
    block: npt.NDArray[Any] = frame.to_ndarray()
    channels = frame.layout.nb_channels
    return block.T if frame.format.is_planar else block.reshape(-1, channels)


class FrameTimes:
    """Makes picture times strictly increase.

    Args:
        interval_s: Nominal frame interval, for frames without a time.
    """

    _STEP_S = 1e-3
    _JUMP_S = 0.5

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._last_s: float | None = None
        self._shift_s = 0.0
        self.repaired = 0

    def next_s(self, time_s: float | None) -> float:
        """The time to use for a frame that says ``time_s``; repairs are counted."""
        last_s = self._last_s
        if last_s is None:
            result_s = max(time_s or 0.0, 0.0)
            if result_s > MOST_HOLE_S:
                self.repaired += 1
                self._shift_s, result_s = -result_s, 0.0
        elif time_s is None:
            self.repaired += 1
            result_s = last_s + self._interval_s
        else:
            result_s = time_s + self._shift_s
            if result_s <= last_s - self._JUMP_S:
                # The clock was set back (joined recordings): go on from here, at its new pace.
                self.repaired += 1
                self._shift_s = last_s + self._interval_s - time_s
                result_s = last_s + self._interval_s
            elif result_s <= last_s:
                self.repaired += 1
                result_s = last_s + self._STEP_S
            elif result_s > last_s + MOST_HOLE_S:
                self.repaired += 1
                self._shift_s = last_s + self._interval_s - time_s
                result_s = last_s + self._interval_s
        self._last_s = result_s
        return result_s


class BlockCutter:
    """Resamples decoded sound to mono 16 kHz and cuts it into blocks of ``BLOCK_SAMPLES``.

    Times follow from counting samples, so that they do not jitter with the container's coarse
    timestamps. A timestamp more than ``HOLE_S`` ahead of the count is a hole: a ``Gap`` and a jump
    of the index. One that far behind is repaired (counted) by going on from here.

    Args:
        stream: Name for gaps.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._start_s: float | None = None
        self._resampler: StreamingResampler | None = None
        self._format = (0, 0)
        self._expected_s = 0.0
        self._shift_s = 0.0
        self._held: FloatArray = np.zeros(0, dtype=np.float32)
        self._index = 0  # of the first held sample
        self.repaired = 0
        self.holes = 0

    @property
    def end_s(self) -> float:
        """Time just after the last sample that was pushed."""
        return self._expected_s

    def push(
        self,
        samples: npt.NDArray[Any],
        rate_hz: int,
        time_s: float | None,
        reason: str = "no sound in the file",
    ) -> Iterator[AudioBlock | Gap]:
        """Add the sound of one decoded frame.

        Args:
            samples: Shape (n, channels), any PCM type.
            rate_hz: Its rate; may change from frame to frame.
            time_s: Its time, or None to let it follow the last one.
            reason: What to say of a hole just before it.
        """
        if self._start_s is None:
            start_s = max(time_s or 0.0, 0.0)
            # Both streams count from the first of them: the other cannot begin days later.
            self._start_s = self._expected_s = start_s if start_s <= MOST_HOLE_S else 0.0
        ahead_s = 0.0 if time_s is None else time_s + self._shift_s - self._expected_s
        if HOLE_S < ahead_s <= MOST_HOLE_S:
            gap_from_s = self._expected_s
            yield from self.flush()
            self.holes += 1
            self._expected_s = gap_from_s + ahead_s
            jump = round((self._expected_s - self._start_s) * SAMPLE_RATE_HZ)
            self._index = max(self._index, jump)
            yield Gap(self._stream, gap_from_s, self._expected_s, reason)
        elif ahead_s < -HOLE_S or ahead_s > MOST_HOLE_S:
            self.repaired += 1
            self._shift_s -= ahead_s
        channels = samples.shape[1]
        if self._resampler is None or self._format != (rate_hz, channels):
            self._drain()
            self._resampler = StreamingResampler(rate_hz, channels)
            self._format = (rate_hz, channels)
        self._held = np.concatenate([self._held, self._resampler.push(samples)])
        self._expected_s += len(samples) / rate_hz
        while len(self._held) >= BLOCK_SAMPLES:
            yield self._cut(BLOCK_SAMPLES)

    def flush(self) -> Iterator[AudioBlock]:
        """What is left; the sound pushed next need not follow on."""
        self._drain()
        while len(self._held):
            yield self._cut(min(BLOCK_SAMPLES, len(self._held)))

    def _drain(self) -> None:
        if self._resampler is not None:
            self._held = np.concatenate([self._held, self._resampler.flush()])
            self._resampler = None

    def _cut(self, count: int) -> AudioBlock:
        samples = to_16_bit(self._held[:count])
        samples.setflags(write=False)
        self._held = self._held[count:]
        first = self._index
        self._index += count
        return AudioBlock(first, (self._start_s or 0.0) + first / SAMPLE_RATE_HZ, samples)
