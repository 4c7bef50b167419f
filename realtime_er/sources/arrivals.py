"""Telling sound that came late from sound that never came, by when its blocks arrive.

A sound system that stalls for a moment hands over what it kept, late, and then is in time again; or it
has lost some, and then every later block stays as late as that. PortAudio often does not say which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from realtime_er.clock import Clock
from realtime_er.messages import FloatArray
from realtime_er.runtime import Mailbox, MailboxClosed

_MOST = 8.0
"""Full scale is 1. Filters and converters overshoot a little; what is larger is no sound."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One callback: ``first`` counts the device's samples, those dropped after it included.

    Attributes:
        first: Index of the first sample at the device's rate.
        samples: float32, shape (n, channels).
        arrival_s: Session time of the callback.
        overflow: PortAudio says that something was lost before it.
    """

    first: int
    samples: FloatArray
    arrival_s: float
    overflow: bool

    @property
    def whole(self) -> bool:
        """Whether these are numbers that a microphone can deliver."""
        # A comparison with a value that is no number is False as well.
        return bool(np.abs(self.samples).max(initial=0.0) <= _MOST)


def capture_into(mailbox: Mailbox[Captured], clock: Clock) -> Callable[..., None]:
    """PortAudio's callback for one opening of a device."""
    first = 0

    def callback(indata: FloatArray, frames: int, _time: object, status: Any) -> None:  # noqa: ANN401
        # On PortAudio's thread: copy, hand over, nothing else.
        nonlocal first
        overflow = bool(status and status.input_overflow)
        item = Captured(first, np.array(indata), clock.now_s(), overflow)
        first += frames
        try:
            mailbox.put(item)
        except MailboxClosed:
            return  # the stream is being closed

    return callback


class Arrivals:
    """Holds late blocks back until it is clear whether sound is missing before them.

    Owned by one thread.
    """

    LATE_S = 0.06
    """Blocks that are less late than this go on at once: such losses cannot be told from a busy
    machine, and the sample clock follows them."""

    OVERFLOW_LATE_S = 0.01
    """The same where PortAudio says that there was a loss."""

    _JUDGE_S = 0.3
    _LONGEST_S = 2.0
    _BETTER_S = 0.01

    def __init__(self) -> None:
        self._held: list[Captured] = []
        self._limit_s = self.LATE_S
        self._least_s = 0.0
        self._anchor: tuple[float, float] = (0.0, 0.0)  # how late, and when

    def take(self, block: Captured, late_s: float) -> list[tuple[Captured, float]]:
        """Take the next block; returns those that may go on, and the seconds lost before each.

        Args:
            block: In the order of the device.
            late_s: How much later it came than expected, as if nothing had been lost.
        """
        if not self._held:
            self._limit_s = self.OVERFLOW_LATE_S if block.overflow else self.LATE_S
            if late_s < self._limit_s:
                return [(block, 0.0)]
            self._held, self._least_s = [block], late_s
            self._anchor = (late_s, block.arrival_s)
            return []
        self._held.append(block)
        self._least_s = min(self._least_s, late_s)
        if late_s < self._limit_s:
            return self._release(0.0)
        if late_s < self._anchor[0] - self._BETTER_S:
            self._anchor = (late_s, block.arrival_s)  # it is catching up
        settled = block.arrival_s - self._anchor[1] >= self._JUDGE_S
        if settled or block.arrival_s - self._held[0].arrival_s >= self._LONGEST_S:
            return self._release(self._least_s)
        return []

    def flush(self) -> list[tuple[Captured, float]]:
        """What is held back, as nothing more comes to judge it by."""
        return self._release(self._least_s)

    def _release(self, lost_s: float) -> list[tuple[Captured, float]]:
        held, self._held = self._held, []
        return [(block, 0.0 if place else lost_s) for place, block in enumerate(held)]
