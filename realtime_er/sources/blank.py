"""Whether there is anything in what a device delivers.

A microphone that is muted by its own switch delivers the same value over and over, a covered camera
one dark colour, and a driver that has lost its camera the last picture again and again: all of them
look alive to whoever only counts what comes.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from realtime_er.messages import FloatArray, ImageArray

# One step of 16 bits, and a little.
_SAME_VALUE = 1.5 / 32768


class BlankSound:
    """Sound that does not change at all. Owned by one thread."""

    AFTER_S = 3.0
    """Microphones that suppress noise deliver zeros too, between two words."""

    def __init__(self) -> None:
        self._level: float | None = None
        self._since_s = 0.0
        self.blank = False

    def look(self, samples: FloatArray, end_s: float) -> Literal["silent", "sounding"] | None:
        """Take the next sound; says what has changed.

        Args:
            samples: float32, one row per moment, not empty.
            end_s: Session time at its end.
        """
        lowest, highest = float(samples.min()), float(samples.max())
        level = self._level
        if highest - lowest > _SAME_VALUE or (
            level is not None and abs(lowest - level) > _SAME_VALUE
        ):
            self._level = None
            was_blank, self.blank = self.blank, False
            return "sounding" if was_blank else None
        if level is None:
            self._level, self._since_s = lowest, end_s
        elif not self.blank and end_s - self._since_s >= self.AFTER_S:
            self.blank = True
            return "silent"
        return None

    def interrupted(self) -> None:
        """Nothing came for a while: that time does not count."""
        self._level = None


class Sight:
    """Pictures that do not change, or have nothing in them. Owned by one thread.

    Attributes:
        covered: Whether the newest pictures are dark and have no shapes in them.
        picture: The newest one.
        same_since_s: Time of the first of the newest pictures that are all equal.
    """

    COVERED_AFTER_S = 1.0
    _LOOK_EVERY_S = 0.2
    _DARK = 40.0
    _FLAT = 12.0

    def __init__(self) -> None:
        self.covered = False
        self.picture: ImageArray | None = None
        self.same_since_s = 0.0
        self._looked_s = float("-inf")
        self._dark_since_s: float | None = None

    def look(self, image: ImageArray, time_s: float) -> Literal["covered", "uncovered"] | None:
        """Take the next picture, uint8 BGR, at its session time; says what has changed."""
        if self.picture is None or not same_picture(self.picture, image):
            self.same_since_s = time_s
        self.picture = image
        if time_s - self._looked_s < self._LOOK_EVERY_S:
            return None
        self._looked_s = time_s
        # Averages of large parts, so that the noise of a camera in the dark does not count.
        few = np.ascontiguousarray(image[::4, ::4])
        parts = cv2.resize(few, (12, 9), interpolation=cv2.INTER_AREA).mean(axis=2)
        flat = float(parts.max() - parts.min()) <= self._FLAT
        if not (flat and float(parts.mean()) <= self._DARK):
            self._dark_since_s = None
            was_covered, self.covered = self.covered, False
            return "uncovered" if was_covered else None
        if self._dark_since_s is None:
            self._dark_since_s = time_s
        if not self.covered and time_s - self._dark_since_s >= self.COVERED_AFTER_S:
            self.covered = True
            return "covered"
        return None


def same_picture(one: ImageArray, other: ImageArray) -> bool:
    """Whether two pictures are equal to the last bit, which those of a working camera never are."""
    if one.shape != other.shape:
        return False
    # A few points first: they nearly always differ, and the whole takes a hundred times as long.
    return np.array_equal(one[::16, ::16], other[::16, ::16]) and np.array_equal(one, other)
