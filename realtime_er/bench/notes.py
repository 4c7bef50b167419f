"""What is noted of a session: when messages pass, and what models cost. And a source that notes.

Each note has one writer, the thread that owns the model or stream; readers come after the session.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.messages import AudioBlock, VideoFrame
from realtime_er.sources.base import Emit, Pacer, Source, SourceMessage, Stream


@dataclass(frozen=True, slots=True)
class Step:
    """One message on its way: how far its track was known afterwards, and when, in session seconds."""

    known_s: float
    captured_s: float
    taken_s: float
    done_s: float


@dataclass(frozen=True, slots=True)
class Heard:
    """A piece of speech and when its words were there, in session seconds."""

    segment_id: int
    is_final: bool
    start_s: float
    end_s: float
    done_s: float


@dataclass(slots=True)
class Notes:
    """What was seen. ``forward_s`` is processor time within models, by model."""

    clock: Clock | None = None
    forward_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tracks: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))
    captured_s: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)

    def now_s(self) -> float:
        """Session time."""
        return 0.0 if self.clock is None else self.clock.now_s()

    def spend(self, model: str, since_s: float) -> None:
        """Count a forward pass that began at this thread time."""
        self.forward_s[model] += time.thread_time() - since_s
        self.calls[model] += 1

    def capture(self, stream: str, index: int, time_s: float) -> None:
        """A stream hands a message over."""
        self.captured_s[stream, index] = (time_s, self.now_s())

    def step(self, track: str, stream: str, index: int, known_s: float, taken_s: float) -> None:
        """A stage has done with a message."""
        _time_s, captured_s = self.captured_s.get((stream, index), (0.0, taken_s))
        self.tracks[track].append(Step(known_s, captured_s, taken_s, self.now_s()))

    def start_of(self, stream: str, index: int) -> float:
        """Session time of the message with this index."""
        return self.captured_s.get((stream, index), (0.0, 0.0))[0]


class ObservedSource:
    """Another source, whose messages are noted as they are handed over."""

    def __init__(self, source: Source, notes: Notes) -> None:
        self._source = source
        self._notes = notes

    @property
    def realtime(self) -> bool:
        """As the source is."""
        return self._source.realtime

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        """The source's streams."""
        self._notes.clock = clock
        return [
            _ObservedStream(stream, self._notes) for stream in self._source.streams(config, clock)
        ]


class _ObservedStream:
    def __init__(self, stream: Stream, notes: Notes) -> None:
        self._stream = stream
        self._notes = notes
        self.kind = stream.kind
        self.name = stream.name

    def open(self) -> None:
        self._stream.open()

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        def noted(message: SourceMessage) -> None:
            if isinstance(message, AudioBlock):
                self._notes.capture("audio", message.first_sample, message.start_s)
            elif isinstance(message, VideoFrame):
                self._notes.capture("video", message.index, message.time_s)
            emit(message)

        self._stream.run(noted, pacer, stop)

    def close(self) -> None:
        self._stream.close()

    def info(self) -> dict[str, Any]:
        return self._stream.info()
