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
from realtime_er.errors import DeviceBusy, DeviceNotFound, SourceError
from realtime_er.messages import Event, Gap, ImageArray, VideoFrame
from realtime_er.runtime import Mailbox, MailboxClosed, Worker
from realtime_er.sources.base import Emit, Pacer
from realtime_er.sources.blank import Sight, same_picture

FIRST_FRAME_S = 3.0
"""A camera that has not delivered for this long after it was opened does not work."""

_STEP_S = 1e-4
_LEAST_PERIOD_S = 0.002
"""A driver that has lost its camera may hand over pictures as fast as it is asked."""
_BACK_OFF_S = (0.25, 0.5)
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
        self.fault: BaseException | None = None
        self._capture = capture
        self._missed = 0  # written by the camera's producer only
        self._stop = threading.Event()
        self._worker = Worker("camera-reader", self._read, self._ended)
        self._worker.start()

    def _read(self) -> None:
        try:
            self.granted = self._capture.open()
            last_s = float("-inf")
            while not self._stop.is_set():
                frame = self._capture.read(self._stop)
                self.frames.put(frame)
                if frame[0] - last_s < _LEAST_PERIOD_S:
                    self._stop.wait(_LEAST_PERIOD_S)
                last_s = frame[0]
        except SourceError as error:
            self.failure = error
        finally:
            self._capture.close()

    def _ended(self, fault: BaseException | None) -> None:
        self.fault = fault
        self.frames.close()

    @property
    def alive(self) -> bool:
        return self._worker.alive

    def missed(self) -> int:
        """Frames that were dropped before they could be taken, since the last call."""
        dropped = self.frames.counts().dropped
        missed, self._missed = dropped - self._missed, dropped
        return missed

    def finish(self) -> None:
        """Let no more frames in; those that wait can still be taken. Does not wait."""
        self._stop.set()
        self.frames.close()

    def end(self) -> None:
        """Tell the thread to end, and drop what waits; does not wait."""
        self._stop.set()
        self.frames.discard()

    def join(self, timeout_s: float) -> bool:
        return self._worker.join(timeout_s)

    def next(self, timeout_s: float) -> tuple[float, ImageArray] | None:
        """The next frame; None when none comes in time or the reader ended.

        Raises:
            Exception: what nobody expected in the reader's thread.
        """
        try:
            return self.frames.get(timeout_s)
        except MailboxClosed:
            if self.fault is not None:
                raise self.fault from None
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
            DeviceBusy: another program has it.
        """
        reader = self._reader = _Reader(self._camera.make())
        self._first = reader.next(FIRST_FRAME_S)
        if self._first is None:
            why = str(reader.failure or f"no picture within {FIRST_FRAME_S:g} s")
            cause = reader.failure
            self.close()
            error = DeviceBusy if isinstance(cause, DeviceBusy) else DeviceNotFound
            hint = self._camera.hint() if error is DeviceNotFound else ""
            raise error(
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
        sight = Sight()
        while reader is not None:
            if self._ended(stop):
                reader.finish()  # what it has read before counts
            if frame is None:
                frame = reader.next(self._timeout_s)
            if (frame is None or self._changed_to is not None) and self._ended(stop):
                break
            if frame is not None and self._changed_to is None:
                time_s = max(frame[0], last_s + _STEP_S)
                change = sight.look(frame[1], time_s)
                if change is not None:
                    emit(Event(time_s, f"camera {change}", self._camera.where))
                if sight.covered or time_s - sight.same_since_s < self._timeout_s:
                    index = self._skip_missed(reader, index, last_s, time_s, emit)
                    emit(VideoFrame(index, time_s, frame[1]))
                    index, last_s, frame = index + 1, time_s, None
                    continue
            # The frame that tells of the loss, and what waits after it, are part of the loss.
            kind, why = self._loss(reader, frozen=frame is not None)
            lost_s = last_s if index else self._clock.now_s()
            self._lost += 1
            emit(Event(self._clock.now_s(), f"camera {kind}", why))
            reader.end()
            index += reader.missed() + (frame is not None)
            reader, frame = self._reconnect(
                reader, sight.picture if kind == "frozen" else None, emit, stop
            )
            if frame is not None:
                emit(Event(self._clock.now_s(), "camera back", self._camera.where))
                emit(Gap(self.name, lost_s, max(frame[0], lost_s), why))
                last_s = max(lost_s, frame[0] - _STEP_S)
            elif index:  # it never came back
                emit(Gap(self.name, lost_s, max(self._clock.now_s(), lost_s), why))

    def _loss(self, reader: _Reader, *, frozen: bool) -> tuple[str, str]:
        """What has happened, as the event says it, and in words."""
        if self._changed_to is not None:
            return "lost", f"changed to {self._changed_to.where}"
        if frozen:
            return "frozen", f"the same picture for {self._timeout_s:g} s"
        return "lost", str(reader.failure or f"no picture for {self._timeout_s:g} s")

    def _skip_missed(
        self, reader: _Reader, index: int, last_s: float, time_s: float, emit: Emit
    ) -> int:
        """The index of the frame at ``time_s``; frames that are missing before it are a gap."""
        missed = reader.missed()
        if index and missed:
            emit(Gap(self.name, last_s, time_s, f"{missed} frames came faster than they went"))
        elif index and time_s - last_s > self._timeout_s:
            emit(Gap(self.name, last_s, time_s, "no picture"))
        return index + missed if index else 0

    def _reconnect(
        self,
        reader: _Reader,
        frozen: ImageArray | None,
        emit: Emit,
        stop: threading.Event,
    ) -> tuple[_Reader | None, tuple[float, ImageArray] | None]:
        """A reader that delivers and its first frame, or None twice when stopped."""
        attempt = 0
        said = ""
        while not stop.wait(_BACK_OFF_S[min(attempt, len(_BACK_OFF_S) - 1)]):
            attempt += 1
            if self._closed.is_set():
                break
            if reader.alive:
                continue  # still stuck in the driver, which lets only one open the device
            if self._changed_to is not None:
                self._camera, self._changed_to = self._changed_to, None
                frozen = None
            reader = self._reader = _Reader(self._camera.make())
            if self._closed.is_set():
                break  # close() may have looked before the new reader was there
            frame = self._first_new(reader, frozen, stop)
            if frame is not None:
                self._granted = reader.granted
                reader.missed()  # from before the first frame
                return reader, frame
            reader.end()
            kind = "busy" if isinstance(reader.failure, DeviceBusy) else "away"
            if reader.failure is not None and kind != said and not self._ended(stop):
                emit(Event(self._clock.now_s(), f"camera {kind}", str(reader.failure)))
                said = kind
        reader.end()
        return None, None

    def _first_new(
        self, reader: _Reader, frozen: ImageArray | None, stop: threading.Event
    ) -> tuple[float, ImageArray] | None:
        """Its first frame that is not ``frozen``; None when none comes in time."""
        patience_s = max(FIRST_FRAME_S, self._timeout_s)
        give_up_s = self._clock.now_s() + patience_s
        while (frame := reader.next(patience_s)) is not None:
            if frozen is None or not same_picture(frame[1], frozen):
                return frame
            if self._clock.now_s() >= give_up_s or self._ended(stop):
                return None
        return None

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
