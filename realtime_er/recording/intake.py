"""What waits for the recorder: bounded, counted, and never in anybody's way."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock, VideoFrame
from realtime_er.recording.store import StoredMessage
from realtime_er.windows import Announced

Evidence = StoredMessage | Announced

_MAX_FRAMES_S = 2.0
_MAX_FRAME_BYTES = 200_000_000
_MAX_MESSAGES = 60_000
_MAX_SAMPLES = 120 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class IntakeCounts:
    """What was offered and what of it was dropped or still waits."""

    frames: int
    frames_dropped: int
    frames_waiting: int
    samples: int
    samples_waiting: int
    messages: int
    messages_waiting: int


class Intake:
    """Three queues under one lock that is held for microseconds.

    Pictures: two seconds or 200 MB, whichever is less; newer ones are dropped and counted. Sound:
    two minutes, everything else: 60,000 messages; beyond that ``failure`` says so and nothing more
    is taken.

    Args:
        start_s: Pictures and sound from before are not part of the recording and not counted.
        media: Whether pictures and sound are wanted at all.
        wait: Make whoever offers a picture wait for room instead of dropping it: for files, whose
            time waits too.
    """

    def __init__(self, start_s: float, *, media: bool, wait: bool = False) -> None:
        self._start_s = start_s
        self._media = media
        self._wait = wait
        self._lock = threading.Condition()
        self._evidence: deque[Evidence] = deque()
        self._sound: deque[AudioBlock] = deque()
        self._frames: deque[VideoFrame] = deque()
        self._frame_bytes = self._samples_waiting = 0
        self._n_frames = self._n_dropped = self._n_samples = self._n_messages = 0
        self._drops: list[tuple[float, float, int]] = []
        self._dropping = False
        self._closed = False
        self.failure = ""

    def offer(self, message: Evidence | AudioBlock | VideoFrame) -> bool:
        """Take a message; True when the recorder should be woken early. Any thread."""
        with self._lock:
            if self._closed:
                return False
            if isinstance(message, VideoFrame):
                return self._offer_frame(message)
            if isinstance(message, AudioBlock):
                return self._offer_sound(message)
            self._n_messages += 1
            self._evidence.append(message)
            return self._limit(len(self._evidence), _MAX_MESSAGES, "messages")

    def _offer_frame(self, frame: VideoFrame) -> bool:
        if not self._media or frame.time_s < self._start_s:
            return False
        if self._wait:
            self._lock.wait_for(lambda: self._closed or self._has_room(frame))
            if self._closed:
                return False
        self._n_frames += 1
        if not self._has_room(frame):
            self._n_dropped += 1
            if self._dropping:
                start_s, _, count = self._drops.pop()
            else:
                start_s, count = frame.time_s, 0
            self._drops.append((start_s, frame.time_s, count + 1))
            self._dropping = True
            return True
        self._dropping = False
        self._frame_bytes += frame.image.nbytes
        self._frames.append(frame)
        return False

    def _has_room(self, frame: VideoFrame) -> bool:
        frames = self._frames
        if frames and frame.time_s - frames[0].time_s > _MAX_FRAMES_S:
            return False
        return not frames or self._frame_bytes + frame.image.nbytes <= _MAX_FRAME_BYTES

    def _offer_sound(self, block: AudioBlock) -> bool:
        # Half a sample early is rounding, not the past.
        if not self._media or block.start_s < self._start_s - 0.5 / SAMPLE_RATE_HZ:
            return False
        self._n_samples += len(block.samples)
        self._samples_waiting += len(block.samples)
        self._sound.append(block)
        return self._limit(self._samples_waiting, _MAX_SAMPLES, "samples")

    def _limit(self, waiting: int, most: int, what: str) -> bool:
        if waiting > most:
            self.failure = (
                f"the recording ended: the disk does not keep up, {waiting:,} {what} were waiting"
            )
            self._closed = True
        return waiting > most // 2

    def take_evidence(self) -> list[Evidence]:
        """Everything of the fusion thread that waits, in order."""
        with self._lock:
            taken = list(self._evidence)
            self._evidence.clear()
        return taken

    def take_sound(self, until_s: float) -> list[AudioBlock]:
        """The sound that waits and begins no later than ``until_s``, in order."""
        taken = []
        with self._lock:
            while self._sound and self._sound[0].start_s <= until_s:
                taken.append(self._sound.popleft())
            self._samples_waiting -= sum(len(block.samples) for block in taken)
        return taken

    def pop_frame(self) -> VideoFrame | None:
        """The oldest picture that waits."""
        with self._lock:
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._frame_bytes -= frame.image.nbytes
            self._lock.notify_all()
            return frame

    def take_drops(self, *, last: bool) -> list[tuple[float, float, int]]:
        """Spans (first, last, number) in which pictures were dropped; ``last``: also an open one."""
        with self._lock:
            keep = 1 if self._dropping and not last else 0
            done = self._drops[: len(self._drops) - keep]
            self._drops = self._drops[len(self._drops) - keep :]
            if last:
                self._dropping = False
        return done

    def close(self) -> None:
        """Take nothing more; what waits can still be taken. Idempotent, any thread."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def counts(self) -> IntakeCounts:
        """A consistent reading of all counters. Any thread."""
        with self._lock:
            return IntakeCounts(
                frames=self._n_frames,
                frames_dropped=self._n_dropped,
                frames_waiting=len(self._frames),
                samples=self._n_samples,
                samples_waiting=self._samples_waiting,
                messages=self._n_messages,
                messages_waiting=len(self._evidence),
            )
