"""What is connected to what: the stages, the mailboxes between them, and their accounts.

Built in flow order from a session's streams. It makes the workers and owns the mailboxes; the
session starts and joins them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from realtime_er.accounting import Accounting, EdgeAccount, StreamTally
from realtime_er.checkpoint import Checkpoint
from realtime_er.clock import Clock, VirtualClock
from realtime_er.config import Config
from realtime_er.decision import DecisionMaker
from realtime_er.errors import ConfigError
from realtime_er.ladder import Ladder, Step
from realtime_er.messages import (
    MODALITIES,
    Absence,
    AudioBlock,
    Estimate,
    Event,
    Gap,
    SpeechSegment,
    VideoFrame,
)
from realtime_er.models import Models
from realtime_er.muting import Muting
from realtime_er.perception.face import FacePerception
from realtime_er.recognition import AsrStage, LivePasses
from realtime_er.runtime import EdgeCounts, Mailbox, MailboxClosed, Worker
from realtime_er.sensing import AudioStage, FaceStage, SpeechStage
from realtime_er.sources.base import (
    Lockstep,
    LockstepPacer,
    Pacer,
    RealTimePacer,
    SourceMessage,
    Stream,
)
from realtime_er.stages import (
    Evidence,
    Finals,
    FuseStage,
    Inbox,
    TakeCheckpoint,
    Tally,
)
from realtime_er.view import View
from realtime_er.whole import whole_recording
from realtime_er.windows import Watermark, WindowBuilder

# Live, pictures that wait for the face thread; it takes the freshest.
_FRAMES_WAITING = 8
# Of a file: some pictures take long to decode and others to look at; neither thread waits for it.
_FRAMES_AHEAD = 16
# How far a file may run ahead of its estimates: bounds memory, hides the jitter of the stages.
_AHEAD_S = 4.0
# What a microphone hands over at a time.
_BLOCK_SAMPLES = 320


class Tap(Protocol):
    """Gets a copy of all that flows: a recorder.

    Its ``offer`` never waits in a live session; with a file, whose time waits too, it may.
    """

    def offer(self, message: SourceMessage | Evidence | Estimate | Checkpoint) -> None:
        """Take a message. Any thread; those of the fusion thread come in order."""
        ...


class Graph:
    """The stages of one session.

    Attributes:
        workers: In flow order, the producers of the streams first; not started.
        estimates: What the fusion thread publishes.
        fault: Name of the first worker that died, and what killed it.
        perception: The face thread's, when there is one.
        ladder: What the session gives up when the machine is too slow; None for files, unpaced.
        whole: Statistics over everything so far; read it once the workers have ended.
    """

    def __init__(
        self,
        config: Config,
        models: Models,
        clock: Clock,
        view: View,
        stop: threading.Event,
        *,
        realtime: bool,
    ) -> None:
        self._config = config
        self._models = models
        self._clock = clock
        self._view = view
        self._stop = stop
        self._realtime = realtime
        self._lock = threading.Lock()
        self._tallies: list[StreamTally] = []
        self._broken: set[str] = set()  # edges whose consumer died
        self._edges: list[tuple[Mailbox[Any], Tally | None, StreamTally | None]] = []
        self._feeders = 0
        self._inbox: Inbox = Mailbox("encoders>fuse", 4096, "block")
        self._lockstep = None if realtime else Lockstep(max(_AHEAD_S, 2 * config.tick.hop_s + 1))
        self.estimates: Mailbox[Estimate] = Mailbox(
            "fuse>reader", 2400, "drop_oldest" if realtime else "block"
        )
        self.workers: list[Worker] = []
        self.fault: tuple[str, BaseException] | None = None
        self.perception: FacePerception | None = None
        self.ladder: Ladder | None = None
        self.whole = whole_recording(config)
        self.muted = False  # written by set_muted, read by the microphone's producer
        # Read by the producers, and from what session time on; a plain reference, swapped at once.
        self._media_tap: tuple[Tap, float] | None = None
        self._evidence_tap: Tap | None = None  # of the fusion thread alone

    def build(self, streams: Sequence[Stream]) -> None:
        """Make all stages and their workers.

        Raises:
            ConfigError: every modality is off.
        """
        kinds = {stream.kind for stream in streams}
        config, models = self._config, self._models
        enabled, reasons = self._enabled(kinds)
        if not enabled:
            raise ConfigError("nothing is left to read: every modality is off")
        builder = WindowBuilder(config, enabled, reasons, live=self._realtime)
        if self._realtime:
            steps = self._steps(enabled)
            self.ladder = Ladder(config.ladder, steps, self._clock, config.tick.deadline_s)
        sinks: dict[str, list[Mailbox[Any]]] = {}
        consumers: list[Worker] = []
        if "face" in enabled:
            sinks["video"] = [self._build_face(consumers)]
        if kinds & {"audio"}:
            sinks["audio"] = self._build_sound(enabled, consumers)
        for stream in streams:
            self.workers.append(self._producer(stream, sinks.get(stream.kind, [])))
        self.workers += consumers
        fuse = FuseStage(
            config,
            self._inbox,
            self.estimates,
            builder,
            DecisionMaker(config.decision, models.head, config.tick.hop_s),
            self.whole,
            self._clock,
            realtime=self._realtime,
            observe=self._observe,
            finished=self._tick_finished,
            ladder=self.ladder,
        )
        self.workers.append(Worker("fuse", fuse.run, self._ender("fuse", self._inbox)))

    def _steps(self, enabled: frozenset[str]) -> list[Step]:
        """What this session can give up, in order."""
        recognizer = self._models.recognizer if "text" in enabled else None
        has = {
            Step.SLOW_PARTIALS: recognizer is not None,
            Step.FEWER_FACES: "face" in enabled,
            Step.NO_PARTIALS: recognizer is not None,
            Step.SMALL_ASR: recognizer is not None and recognizer.has_smaller,
        }
        return [step for step in Step if has.get(step)]

    def _enabled(self, kinds: set[Any]) -> tuple[frozenset[str], dict[str, Absence]]:
        reasons: dict[str, Absence] = {}
        if "video" not in kinds:
            reasons["face"] = Absence.OFF
        if "audio" not in kinds:
            reasons["audio"] = reasons["text"] = Absence.OFF
        elif not self._config.asr.enabled:
            reasons["text"] = Absence.OFF
        elif self._models.recognizer is None:
            reasons["text"] = Absence.UNAVAILABLE
        return frozenset(m for m in MODALITIES if m not in reasons), reasons

    def _mailbox(
        self,
        name: str,
        live: int,
        offline: int,
        unit: str,
        size: Callable[[Any], int] | None = None,
    ) -> Mailbox[Any]:
        if self._realtime:
            return Mailbox(name, live, "drop_oldest", unit=unit, size=size)
        return Mailbox(name, offline, "block", unit=unit, size=size)

    def _build_face(self, consumers: list[Worker]) -> Mailbox[VideoFrame]:
        frames: Mailbox[VideoFrame] = self._mailbox(
            "camera>face", _FRAMES_WAITING, _FRAMES_AHEAD, "frames"
        )
        perception = self.perception = self._models.face_perception()
        stage = FaceStage(
            frames,
            self._inbox,
            perception,
            self._models.face,
            self._view.show,
            self._config,
            self.ladder,
        )
        self._edges.append((frames, stage.tally, None))
        consumers.append(self._feeder("face", stage.run, frames, ["face"]))
        return frames

    def _build_sound(self, enabled: frozenset[str], consumers: list[Worker]) -> list[Mailbox[Any]]:
        def n_samples(block: AudioBlock) -> int:
            return len(block.samples)

        # Two seconds of 20 ms blocks live; files hand over longer blocks. An encoder of long windows
        # stops for each, so as much as it describes at a time may wait.
        long_window = self._models.audio.window_samples // _BLOCK_SAMPLES
        for_speech = self._mailbox("microphone>speech", 100, 16, "samples", n_samples)
        for_audio = self._mailbox(
            "microphone>audio", max(100, long_window), 16, "samples", n_samples
        )
        realtime = self._realtime
        finals = Finals()
        segments = self._build_asr(consumers, finals) if "text" in enabled else None
        end_of_audio_s = self._config.vad.end_of_audio_s if realtime else None
        detector = self._models.speech_detector()
        detector.hurried = realtime
        speech = SpeechStage(
            for_speech,
            self._inbox,
            segments,
            finals,
            detector,
            self._clock,
            end_of_audio_s,
        )
        audio = AudioStage(for_audio, self._inbox, self._models.audio, self.ladder)
        self._edges.append((for_speech, speech.tally, None))
        self._edges.append((for_audio, audio.tally, None))
        consumers.append(self._feeder("speech", speech.run, for_speech, ["speech"], segments))
        consumers.append(self._feeder("audio", audio.run, for_audio, ["audio"]))
        return [for_speech, for_audio]

    def _build_asr(self, consumers: list[Worker], finals: Finals) -> Mailbox[SpeechSegment] | None:
        models = self._models
        if models.recognizer is None:
            return None
        realtime = self._realtime
        segments: Mailbox[SpeechSegment] = Mailbox(
            "speech>asr",
            8,
            "drop_oldest" if realtime else "block",
            unit="segments",
            # Live, a partial that has not been started is stale once a newer one is there.
            supersedes=_supersedes if realtime else None,
            droppable=lambda segment: not segment.is_final,
        )
        live = None
        if self.ladder is not None:
            live = LivePasses(self._config, self.ladder, self._clock, finals)
        asr = AsrStage(segments, self._inbox, finals, models.recognizer, models.text, live)
        self._edges.append((segments, asr.tally, None))
        consumers.append(self._feeder("asr", asr.run, segments, []))
        return segments

    def _pacer(self) -> Pacer:
        if self._lockstep is None:
            return RealTimePacer(self._clock)
        return LockstepPacer(self._lockstep)

    def _producer(self, stream: Stream, sinks: list[Mailbox[Any]]) -> Worker:
        pacer = self._pacer()
        unit = "samples" if stream.kind == "audio" else "frames"
        tally = StreamTally(stream.name, unit)
        self._tallies.append(tally)
        self._edges = [
            (box, stage, tally if box in sinks else owner) for box, stage, owner in self._edges
        ]

        muting = Muting(lambda: self.muted)

        def emit(message: SourceMessage) -> None:
            if isinstance(message, AudioBlock | Gap):
                gap = muting.pass_on(message)
                if gap is not None:
                    self._inbox.put(gap)
                if muting.silent:
                    return  # what is not read is not kept either: it counts as a gap
            if isinstance(message, Gap | Event):
                self._inbox.put(message)
                return
            if isinstance(message, AudioBlock):
                first, count = message.first_sample, len(message.samples)
                self._view.sound_captured(message)
                self._offer(message, message.start_s)
            else:
                first, count = message.index, 1
                self._view.frame_captured(message)
                self._offer(message, message.time_s)
            tally.in_gaps += first - tally.end_index
            tally.captured += count
            tally.end_index = first + count
            for sink in sinks:
                try:
                    sink.put(message)
                except MailboxClosed:
                    if not self._stop.is_set():
                        raise

        self._feeders += 1

        def ended(error: BaseException | None) -> None:
            for sink in sinks:
                sink.close()
            self._feeder_ended(stream.name, error)

        return Worker(stream.name, lambda: stream.run(emit, pacer, self._stop), ended)

    def _feeder(
        self,
        name: str,
        run: Callable[[], None],
        mailbox: Mailbox[Any],
        tracks: list[str],
        downstream: Mailbox[Any] | None = None,
    ) -> Worker:
        """A worker that puts into the fusion inbox; the inbox closes when the last one ends."""
        self._feeders += 1

        def ended(error: BaseException | None) -> None:
            if error is not None:
                self._broken.add(mailbox.name)
                self.fail(name, error)  # before the mailbox closes: it then does so for the session
            mailbox.discard()
            if downstream is not None:
                downstream.close()
            if error is None:
                for track in tracks:
                    try:
                        self._inbox.put(Watermark(track, np.inf))
                    except MailboxClosed:
                        break  # fusion has ended first: the session is being closed
            self._feeder_ended(name, error)

        return Worker(name, run, ended)

    def _feeder_ended(self, name: str, error: BaseException | None) -> None:
        if error is not None:
            self.fail(name, error)
        with self._lock:
            self._feeders -= 1
            last = self._feeders == 0
        if last:
            self._inbox.close()

    def _ender(self, name: str, mailbox: Mailbox[Any]) -> Callable[[BaseException | None], None]:
        def ended(error: BaseException | None) -> None:
            mailbox.discard()
            if error is not None:
                self.fail(name, error)
            self.estimates.close()
            if self._lockstep is not None:
                self._lockstep.release()

        return ended

    def fail(self, name: str, error: BaseException) -> None:
        """A worker died: remember the first, say so in the record, and end. Any thread."""
        with self._lock:
            first = self.fault is None
            if self.fault is None:
                self.fault = (name, error)
        if first:
            what = f"the {name} thread: {type(error).__name__}"
            self.note(Event(self._clock.now_s(), "session failed", what))
        self.stop()

    def _tick_finished(self, time_s: float) -> None:
        if self._lockstep is not None:
            self._lockstep.advance(time_s)
            if isinstance(self._clock, VirtualClock):
                self._clock.advance_to(time_s)

    def stop(self) -> None:
        """Ask the producers to end. Any thread."""
        self._stop.set()
        if self._lockstep is not None:
            self._lockstep.release()

    def attach(self, tap: Tap, start_s: float) -> None:
        """Let ``tap`` have everything from now on. Any thread.

        Of what the fusion thread hands on, a checkpoint comes first: the state that all that follows
        builds upon.
        """

        def deliver(checkpoint: Checkpoint) -> None:
            tap.offer(checkpoint)
            standing = self.ladder and self.ladder.standing(self._clock.now_s())
            if standing:
                tap.offer(standing)
            self._evidence_tap = tap

        self._media_tap = (tap, start_s)
        self._inbox.put(TakeCheckpoint(deliver))

    def detach(self, done: Callable[[], None]) -> None:
        """End what ``attach`` began; ``done`` is called on the fusion thread. Any thread."""

        def deliver(_checkpoint: Checkpoint) -> None:
            self._evidence_tap = None
            done()

        self._media_tap = None

        try:
            self._inbox.put(TakeCheckpoint(deliver))
        except MailboxClosed:  # the fusion thread is ending: the session waits for it
            return

    def _offer(self, message: AudioBlock | VideoFrame, time_s: float) -> None:
        tap = self._media_tap
        if tap is not None and time_s >= tap[1]:
            tap[0].offer(message)

    def _observe(self, message: Evidence | Estimate) -> None:
        self._view.observe(message)
        if self._evidence_tap is not None:
            self._evidence_tap.offer(message)

    def set_muted(self, muted: bool) -> None:
        """Mute or unmute the microphone. Any thread."""
        if muted != self.muted:
            self.muted = muted
            kind = "microphone muted" if muted else "microphone unmuted"
            self.note(Event(self._clock.now_s(), kind))

    def note(self, event: Event) -> None:
        """Put an event of the session into the flow. Any thread."""
        with contextlib.suppress(MailboxClosed):  # the session has ended
            self._inbox.put(event)

    def edges(self) -> tuple[EdgeCounts, ...]:
        """Counters of every edge. Any thread."""
        boxes: list[Mailbox[Any]] = [box for box, _, _ in self._edges]
        return tuple(box.counts() for box in [*boxes, self._inbox, self.estimates])

    def accounting(self) -> Accounting:
        """Where every frame and sample went; exact once the session has ended."""
        edges = []
        for box, tally, owner in self._edges:
            counts = box.counts()
            done = tally or Tally(processed=counts.taken)
            captured = owner.captured if owner is not None else counts.offered
            edges.append(
                EdgeAccount(
                    counts,
                    captured,
                    done.processed,
                    done.skipped,
                    done.tail,
                    done.overtaken,
                    done.stale,
                    counts.taken - done.total if box.name in self._broken else 0,
                )
            )
        return Accounting(tuple(self._tallies), tuple(edges))

    def dropped(self, unit: str) -> int:
        """Most that any edge fed by a stream has lost, in "frames" or "samples". Any thread.

        Sound that is left out to catch up is lost; a frame that is left for a fresher one is not.
        """
        counts = []
        for box, tally, owner in self._edges:
            if owner is not None and owner.unit == unit:
                stale = tally.stale if tally is not None else 0
                overtaken = tally.overtaken if tally is not None and unit == "samples" else 0
                counts.append(box.counts().dropped + stale + overtaken)
        return max(counts, default=0)


def _supersedes(new: SpeechSegment, old: SpeechSegment) -> bool:
    return not old.is_final and old.segment_id <= new.segment_id
