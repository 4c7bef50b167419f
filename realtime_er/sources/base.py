"""What a source is, and how it is paced.

A *source* (webcam and microphone, a media file, ...) offers one or two *streams*. Each stream is run
by one producer thread of the session, which calls ``open``, ``run`` and ``close`` in that thread's
owner's order: ``open`` on the thread that opens the session, so that a missing device is an error
at start; ``run`` in the producer thread; ``close`` on the thread that closes the session.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.messages import AudioBlock, Event, Gap, VideoFrame

LONGEST_S = 60 * 24 * 3600.0
"""No session lasts this long (60 days): a later time is damaged, and its ticks would never end."""

SourceMessage = AudioBlock | VideoFrame | Gap | Event

Emit = Callable[[SourceMessage], None]
"""Hands a message to the session; may block (files) or drop and count (devices) downstream."""


class Pacer(Protocol):
    """Decides when data with media time ``time_s`` may be emitted by a stream that has a choice."""

    def wait(self, time_s: float, stop: threading.Event) -> bool:
        """Block until it is time; False when ``stop`` was set first. Producer threads."""
        ...


class Stream(Protocol):
    """One producer of audio or of video."""

    @property
    def kind(self) -> Literal["audio", "video"]:
        """What it emits."""
        ...

    @property
    def name(self) -> str:
        """Name of its thread and edges: "microphone" or "camera", whatever it reads from."""
        ...

    def open(self) -> None:
        """Open the device or file.

        Raises:
            SourceError: it cannot be read; the message is one clear line.
        """
        ...

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Emit messages until the end of the data or until ``stop`` is set. Producer thread.

        ``AudioBlock`` times and ``VideoFrame`` times strictly increase. Lost data are a ``Gap``.
        """
        ...

    def close(self) -> None:
        """Release everything; idempotent, and unblocks a ``run`` that is stuck in a read."""
        ...

    def info(self) -> dict[str, Any]:
        """What was requested and what was granted (device, rate, size), for the manifest."""
        ...


@runtime_checkable
class Switchable(Protocol):
    """A stream that can change to another device while it runs."""

    def use(self, wanted: str) -> None:
        """Change to another device: index, name or address, as in the configuration. Any thread.

        Returns at once; a ``Gap`` and events "lost" and "back" come with the change.

        Raises:
            SourceError: there is no such device; nothing has changed.
        """
        ...


class Source(Protocol):
    """Where a session's sound and pictures come from."""

    @property
    def realtime(self) -> bool:
        """True: real clock, late data are dropped and counted. False: virtual clock, nothing is."""
        ...

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        """The streams that exist and that ``config`` enables, not yet opened.

        Raises:
            SourceError: there is nothing to read.
        """
        ...


class RealTimePacer:
    """Lets data through when the session clock reaches their time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def wait(self, time_s: float, stop: threading.Event) -> bool:
        """Wait to the target time, so that jitter does not add up."""
        while (delay_s := time_s - self._clock.now_s()) > 0:
            if stop.wait(delay_s):
                return False
        return not stop.is_set()


class Lockstep:
    """How far the ticks of a file run as fast as possible have come; shared by its streams.

    It bounds what such a run keeps in memory. The session calls ``advance`` as ticks finish.
    """

    def __init__(self, ahead_s: float) -> None:
        self.ahead_s = ahead_s
        self._done_s = 0.0
        self._condition = threading.Condition()
        self._open = False

    def advance(self, done_s: float) -> None:
        """A tick up to ``done_s`` is finished. Fusion thread."""
        with self._condition:
            self._done_s = max(self._done_s, done_s)
            self._condition.notify_all()

    def release(self) -> None:
        """Let everybody through (the session is closing)."""
        with self._condition:
            self._open = True
            self._condition.notify_all()

    def wait_for(self, time_s: float) -> None:
        """Wait until a tick at ``time_s`` or later is finished, or ``release`` is called."""
        with self._condition:
            self._condition.wait_for(lambda: self._open or time_s <= self._done_s)


class LockstepPacer:
    """Lets one stream run at most ``Lockstep.ahead_s`` ahead of the finished ticks.

    What counts is what the stream has handed over already, not what comes next: ticks wait for the
    stream's next message, however long the hole before it.
    """

    def __init__(self, lockstep: Lockstep) -> None:
        self._lockstep = lockstep
        self._handed_over_s = 0.0  # the stream's own thread only

    def wait(self, time_s: float, stop: threading.Event) -> bool:
        """Wait until the ticks have come near what was handed over before."""
        self._lockstep.wait_for(self._handed_over_s - self._lockstep.ahead_s)
        self._handed_over_s = max(self._handed_over_s, time_s)
        return not stop.is_set()
