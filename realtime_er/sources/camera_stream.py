"""A camera that may stall or vanish: frames with their times, and a word when they stop coming.

Drivers and network libraries can block for longer than anybody wants to wait, so a reader thread
does the blocking calls and the producer thread waits on a mailbox, which ``close`` can close.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from realtime_er.clock import Clock
from realtime_er.errors import DeviceLost, DeviceNotFound, SourceError
from realtime_er.messages import Event, Gap, ImageArray, VideoFrame
from realtime_er.runtime import Mailbox, MailboxClosed, Worker
from realtime_er.sources.base import Emit, Pacer

FIRST_FRAME_S = 3.0
"""A camera that has not delivered for this long after it was opened does not work."""

_STEP_S = 1e-4
_BACK_OFF_S = (0.25, 0.5, 1.0)
_JOIN_S = 2.0


class Capture(Protocol):
    """A camera as its driver shows it. Only its reader thread calls it."""

    def open(self) -> dict[str, Any]:
        """Open it and return what was granted.

        Raises:
            SourceError: it cannot be opened.
        """
        ...

    def read(self, stop: threading.Event) -> tuple[float, ImageArray]:
        """Wait for a frame: its session time, and uint8 BGR (height, width, 3), read-only.

        Raises:
            SourceError: no more frames come, or ``stop`` was set.
        """
        ...

    def close(self) -> None:
        """Release it. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera that can be opened.

    Attributes:
        make: Makes a capture that is not yet open; called again for each reconnection.
        where: What the camera is called in messages.
        hint: Added to the error when it cannot be opened, such as a list of cameras.
    """

    make: Callable[[], Capture]
    where: str
    hint: Callable[[], str] = str


class _Reader:
    """One attempt to read a capture: a thread, its frames, and why it ended."""

    def __init__(self, capture: Capture) -> None:
        self.frames: Mailbox[tuple[float, ImageArray]] = Mailbox(
            "camera reader>camera", 2, "drop_oldest", unit="frames"
        )
        self.granted: dict[str, Any] = {}
        self.failure: SourceError | None = None
        self._capture = capture
        self._missed = 0  # written by the camera's producer only
        self._stop = threading.Event()
        self._worker = Worker("camera-reader", self._read, self._ended)
        self._worker.start()

    def _read(self) -> None:
        try:
            self.granted = self._capture.open()
            while not self._stop.is_set():
                self.frames.put(self._capture.read(self._stop))
        except SourceError as error:
            self.failure = error
        finally:
            self._capture.close()

    def _ended(self, fault: BaseException | None) -> None:
        if fault is not None:
            self.failure = DeviceLost(f"camera reader failed: {fault!r}")
            self.failure.__cause__ = fault
        self.frames.close()

    @property
    def alive(self) -> bool:
        return self._worker.alive

    def missed(self) -> int:
        """Frames that were dropped before they could be taken, since the last call."""
        dropped = self.frames.counts().dropped
        missed, self._missed = dropped - self._missed, dropped
        return missed

    def end(self) -> None:
        """Tell the thread to end; does not wait."""
        self._stop.set()
        self.frames.discard()

    def join(self, timeout_s: float) -> bool:
        return self._worker.join(timeout_s)

    def next(self, timeout_s: float) -> tuple[float, ImageArray] | None:
        """The next frame; None when none comes in time or the reader ended."""
        try:
            return self.frames.get(timeout_s)
        except MailboxClosed:
            return None


class CameraStream:
    """Frames of a live camera, at the times they arrived.

    Args:
        find: Finds a camera by what people call it.
        source: The camera to begin with.
        clock: The session's clock.
        timeout_s: No frame for this long and the camera counts as lost.
        requested: What is asked of it besides, for the manifest.

    Raises:
        SourceError: there is no such camera.
    """

    def __init__(
        self,
        find: Callable[[str], FoundCamera],
        source: str,
        clock: Clock,
        timeout_s: float,
        requested: dict[str, Any],
    ) -> None:
        self._find = find
        self._camera = find(source)
        self._clock = clock
        self._timeout_s = timeout_s
        self._requested = requested
        # Read and cleared by the producer, set by use(): a plain reference, swapped at once.
        self._changed_to: FoundCamera | None = None
        self._reader: _Reader | None = None
        self._first: tuple[float, ImageArray] | None = None
        self._granted: dict[str, Any] = {}
        self._closed = threading.Event()
        self._lost = 0

    @property
    def kind(self) -> Literal["video"]:
        """What it emits."""
        return "video"

    @property
    def name(self) -> str:
        """Always "camera"."""
        return "camera"

    def open(self) -> None:
        """Open the camera and see a first frame.

        Raises:
            DeviceNotFound: it cannot be opened, or shows nothing within ``FIRST_FRAME_S``.
        """
        reader = self._reader = _Reader(self._camera.make())
        self._first = reader.next(FIRST_FRAME_S)
        if self._first is None:
            why = str(reader.failure or f"no picture within {FIRST_FRAME_S:g} s")
            cause = reader.failure
            self.close()
            hint = self._camera.hint()
            raise DeviceNotFound(
                f"camera {self._camera.where}: {why}" + (f"; {hint}" if hint else "")
            ) from cause
        self._granted = reader.granted

    def use(self, wanted: str) -> None:
        """Change to another camera while this one runs. Any thread.

        Raises:
            SourceError: there is no such camera; nothing has changed.
        """
        self._changed_to = self._find(wanted)
        reader = self._reader
        if reader is not None:
            reader.end()

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Emit frames; when they stop, say so, and reconnect until ``stop``."""
        index, last_s = 0, float("-inf")
        reader = self._reader
        frame, self._first = self._first, None
        while reader is not None and not self._ended(stop):
            if frame is None:
                frame = reader.next(self._timeout_s)
            if self._ended(stop):
                return
            if self._changed_to is not None:
                frame = None  # use() may have met a reader that was just being replaced
            if frame is None:
                why = str(reader.failure or f"no picture for {self._timeout_s:g} s")
                if self._changed_to is not None:
                    why = f"changed to {self._changed_to.where}"
                lost_s = last_s if index else self._clock.now_s()
                self._lost += 1
                emit(Event(self._clock.now_s(), "camera lost", why))
                reader, frame = self._reconnect(reader, stop)
                if frame is not None:
                    emit(Event(self._clock.now_s(), "camera back", self._camera.where))
                    emit(Gap(self.name, lost_s, max(frame[0], lost_s), why))
                continue
            time_s = max(frame[0], last_s + _STEP_S)
            missed = reader.missed()
            if missed and index:
                emit(Gap(self.name, last_s, time_s, f"{missed} frames came faster than they went"))
                index += missed
            emit(VideoFrame(index, time_s, frame[1]))
            index, last_s, frame = index + 1, time_s, None

    def _reconnect(
        self, reader: _Reader, stop: threading.Event
    ) -> tuple[_Reader | None, tuple[float, ImageArray] | None]:
        """A reader that delivers and its first frame, or None twice when stopped."""
        reader.end()
        attempt = 0
        while not stop.wait(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]):
            attempt += 1
            if self._closed.is_set():
                break
            if reader.alive:
                continue  # still stuck in the driver, which lets only one open the device
            if self._changed_to is not None:
                self._camera, self._changed_to = self._changed_to, None
            reader = self._reader = _Reader(self._camera.make())
            if self._closed.is_set():
                break  # close() may have looked before the new reader was there
            frame = reader.next(max(FIRST_FRAME_S, self._timeout_s))
            if frame is not None:
                self._granted = reader.granted
                return reader, frame
            reader.end()
        reader.end()
        return None, None

    def _ended(self, stop: threading.Event) -> bool:
        return stop.is_set() or self._closed.is_set()

    def close(self) -> None:
        """Release the camera; a ``run`` that waits for a frame returns at once."""
        self._closed.set()
        reader = self._reader
        if reader is not None:
            reader.end()
            reader.join(_JOIN_S)

    def info(self) -> dict[str, Any]:
        """What was requested and granted, and how often the camera was lost."""
        requested = {"source": self._camera.where, **self._requested}
        return {"requested": requested, "granted": self._granted, "lost": self._lost}
