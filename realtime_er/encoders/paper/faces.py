"""From a frame to what the face encoder reads: when, where and how a face is cut out.

Numpy only. Pure functions and one small state machine; one owning thread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from realtime_er.messages import FloatArray, ImageArray

SIDE_PX = 224
RATE_HZ = 5.0
"""Faces per second that the encoder is meant to see."""
MEANS_BGR = (91.4953, 103.8827, 131.0912)
"""VGGFace2's means, subtracted from levels 0..255; nothing is divided."""


def cut_face(frame: ImageArray, box_px: Sequence[float]) -> ImageArray | None:
    """Cuts the detector's box out of a frame: no margin, no alignment.

    Args:
        frame: uint8 [H, W, 3].
        box_px: left, top, width, height, as the detectors give it; parts outside the frame are
            cut off.

    Returns:
        uint8 [h, w, 3], a view; None where nothing of the box lies inside the frame.

    Raises:
        ValueError: the frame is not [H, W, 3], or the box does not hold four finite numbers.
    """
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame must be [H, W, 3], got {list(frame.shape)}")
    if len(box_px) != 4 or not all(math.isfinite(edge) for edge in box_px):
        raise ValueError(f"box must be four finite numbers, got {list(box_px)}")
    height, width = frame.shape[:2]
    x, y, wide, high = box_px
    left, right = (min(max(int(edge), 0), width - 1) for edge in (x, x + wide))
    top, bottom = (min(max(int(edge), 0), height - 1) for edge in (y, y + high))
    if right <= left or bottom <= top:
        return None
    return frame[top:bottom, left:right]


def prepare_face(face: ImageArray, side_px: int = SIDE_PX) -> FloatArray:
    """Scales a face to a square, nearest pixel, and normalises it as the encoder was trained.

    The aspect ratio is not kept, as published.

    Args:
        face: uint8 [h, w, 3], BGR as everywhere here (the encoder wants that order too).
        side_px: side of the square.

    Returns:
        float32 [3, side, side], channels blue, green, red, levels minus ``MEANS_BGR``.

    Raises:
        ValueError: the face has no pixel or has not three channels.
    """
    if face.ndim != 3 or face.shape[2] != 3 or 0 in face.shape:
        raise ValueError(f"face must be [h, w, 3] with at least one pixel, got {list(face.shape)}")
    rows, columns = (_nearest(length, side_px) for length in face.shape[:2])
    square = face[rows[:, None], columns[None, :]].astype(np.float32)
    return np.ascontiguousarray((square - np.array(MEANS_BGR, np.float32)).transpose(2, 0, 1))


def _nearest(length: int, side_px: int) -> npt.NDArray[np.intp]:
    # Pixel centres are matched, as Pillow does; OpenCV's INTER_NEAREST matches corners.
    return ((np.arange(side_px) + 0.5) * (length / side_px)).astype(np.intp)


class FrameSampler:
    """Chooses frames by their time: at most one per period, on a grid that starts at the first.

    At 24, 25, 29.97 or 1000 frames a second this gives ``rate_hz`` (the published rule, every
    floor(fps / 5)-th frame, gives 6 Hz at 24 and fails below 5); a slower stream passes whole.

    Args:
        rate_hz: frames per second to take.
    """

    def __init__(self, rate_hz: float = RATE_HZ) -> None:
        if not rate_hz > 0.0:
            raise ValueError(f"rate_hz must be positive, got {rate_hz}")
        self._rate_hz = rate_hz
        self._start_s: float | None = None
        self._next = 0

    def reset(self) -> None:
        """Forgets the grid; the next frame starts a new one."""
        self._start_s = None

    def take(self, time_s: float) -> bool:
        """Whether the frame of this time is one to look at. Times must not go back."""
        if self._start_s is None:
            self._start_s, self._next = time_s, 0
        # A frame that misses its place by rounding alone still has it.
        place = math.floor((time_s - self._start_s) * self._rate_hz + 1e-6)
        if place < self._next:
            return False
        self._next = place + 1
        return True


def sample_frames(times_s: Sequence[float], rate_hz: float = RATE_HZ) -> list[int]:
    """Indices of the frames to look at, of frames in order of time (see ``FrameSampler``)."""
    sampler = FrameSampler(rate_hz)
    return [index for index, time_s in enumerate(times_s) if sampler.take(time_s)]
