"""The composition root: builds everything in flow order, owns every thread, closes in reverse.

    source ─> microphone ─┬─> speech ─> asr ─┐
              (producer)  └─> audio ─────────┤
              camera ────────> face ─────────┴─> fuse ─> estimates()

Only this module starts or joins a thread.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from realtime_er.accounting import Accounting, EdgeAccount, StreamTally
from realtime_er.clock import Clock, SessionClock, VirtualClock
from realtime_er.config import Config
from realtime_er.decision import DecisionMaker, attribute
from realtime_er.errors import ClosedError, ConfigError, SessionError, WorkerFault
from realtime_er.messages import (
    LABELS,
    MODALITIES,
    Absence,
    AudioBlock,
    Estimate,
    Event,
    FloatArray,
    Gap,
    Hypothesis,
    Snapshot,
    SpeechSegment,
    VideoFrame,
)
from realtime_er.models import Models
from realtime_er.perception.face import FacePerception
from realtime_er.runtime import EdgeCounts, Mailbox, MailboxClosed, Worker
from realtime_er.sources.base import (
    Lockstep,
    LockstepPacer,
    Pacer,
    RealTimePacer,
    Source,
    SourceMessage,
    Stream,
)
from realtime_er.stages import (
    AsrStage,
    AudioStage,
    FaceStage,
    FuseStage,
    Inbox,
    SpeechStage,
    Tally,
)
from realtime_er.view import Summary, View
from realtime_er.windows import Watermark, WholeRecording, WindowBuilder

# How far a file may run ahead of its estimates: bounds memory, hides the jitter of the stages.
_AHEAD_S = 4.0
_JOIN_S = 10.0
_STUCK_S = 0.3


class _State(enum.Enum):
    UNOPENED = "not opened yet"
    OPEN = "open"
    CLOSED = "closed"


class Session:
    """A running recogniser.

    Use as a context manager; ``estimates()`` yields until the source ends or ``stop()`` is called.
    Opening is all-or-nothing, closing is idempotent.

    Args:
        config: What ``load_config`` returned.
        source: Where sound and pictures come from; the webcam and microphone by default.
        models: Loaded models, to share between sessions that run one after another.
    """

    def __init__(
        self, config: Config, *, source: Source | None = None, models: Models | None = None
    ) -> None:
        if source is None:
            from realtime_er.sources.live import LiveDevices

            source = LiveDevices()
        self.config = config
        self._source = source
        self._models = models
        self._state = _State.UNOPENED
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._streams: list[Stream] = []
        self._tallies: list[StreamTally] = []
        self._edges: list[tuple[Mailbox[Any], Tally | None, StreamTally | None]] = []
        self._fault: tuple[str, BaseException] | None = None
        self._clock: Clock = VirtualClock()
        self._lockstep: Lockstep | None = None
        self._estimates: Mailbox[Estimate] = Mailbox("fuse>reader", 1, "block")
        self._inbox: Inbox = Mailbox("encoders>fuse", 4096, "block")
        self._feeders = 0
        self._sources_ended = False  # reader's thread only
        self._whole = WholeRecording()
        self._perception: FacePerception | None = None
        self.notices: tuple[str, ...] = ()
        self._view = View()

    # --- life ---------------------------------------------------------------------------------

    def __enter__(self) -> Session:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Load the models, open the devices, start the threads. All or nothing.

        Raises:
            ClosedError: it has been opened before.
            SourceError, ModelError, ConfigError: something is missing; nothing is left open.
        """
        if self._state is not _State.UNOPENED:
            raise ClosedError(f"the session is {self._state.value}; make a new Session")
        cv2.setNumThreads(1)  # frames are small: OpenCV's thread pool costs more than it saves
        # Our own errors say what is wrong with a camera, in one line.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._build()
        except BaseException:
            self._state = _State.CLOSED
            self._close_streams()
            raise
        self._state = _State.OPEN
        try:
            for worker in self._workers:
                worker.start()
        except BaseException:
            self.close()
            raise

    def stop(self) -> None:
        """Ask for the end; ``estimates()`` then ends once everything is drained. Any thread."""
        self._stop.set()
        if self._lockstep is not None:
            self._lockstep.release()

    def close(self) -> None:
        """Stop and join everything, sources first. Idempotent.

        Raises:
            SessionError: a thread did not end in time.
        """
        if self._state is not _State.OPEN:
            self._state = _State.CLOSED
            return
        self._state = _State.CLOSED
        self.stop()
        # Nobody reads estimates any more: what still comes is counted as dropped, and the
        # fusion thread is not left waiting for a reader.
        self._estimates.discard()
        self._end_sources()
        # Once more: a second Ctrl-C may have cut the first time short.
        self._close_streams()
        hung = [worker.name for worker in self._workers if not worker.join(_JOIN_S)]
        if hung:
            raise SessionError(f"thread {', '.join(hung)} did not end within {_JOIN_S:.0f} s")

    def _end_sources(self) -> None:
        """After ``stop``: let producers end by themselves, then release those stuck in a read."""
        if not self._sources_ended:
            self._sources_ended = True
            for producer in self._workers[: len(self._streams)]:
                producer.join(_STUCK_S)
            self._close_streams()

    def _close_streams(self) -> None:
        for stream in self._streams:
            stream.close()

    # --- building, in flow order ----------------------------------------------------------------

    def _build(self) -> None:
        config, realtime = self.config, self._source.realtime
        if not (config.camera.enabled or config.microphone.enabled):
            raise ConfigError("camera and microphone are both off; there is nothing to read")
        self._models = models = self._models or Models(config)
        models.load(
            video=config.camera.enabled,
            audio=config.microphone.enabled,
            text=config.microphone.enabled and config.asr.enabled,
        )
        self.notices = models.notices
        self._clock = SessionClock() if realtime else VirtualClock()
        streams = list(self._source.streams(config, self._clock))
        for stream in streams:
            self._streams.append(stream)  # before open(): a failed open is closed as well
            stream.open()
        kinds = {stream.kind for stream in streams}
        enabled, reasons = self._enabled(kinds, models)
        if not enabled:
            raise ConfigError("nothing is left to read: every modality is off")
        builder = WindowBuilder(config, enabled, reasons, live=realtime)
        if not realtime:
            self._lockstep = Lockstep(max(_AHEAD_S, 2 * config.tick.hop_s + 1))
        self._estimates = Mailbox("fuse>reader", 2400, "drop_oldest" if realtime else "block")
        sinks: dict[str, list[Mailbox[Any]]] = {}
        consumers: list[Worker] = []
        if "face" in enabled:
            sinks["video"] = [self._build_face(models, consumers)]
        if kinds & {"audio"}:
            sinks["audio"] = self._build_sound(models, enabled, consumers)
        for stream in streams:
            self._workers.append(self._producer(stream, sinks.get(stream.kind, [])))
        self._workers += consumers
        fuse = FuseStage(
            config,
            self._inbox,
            self._estimates,
            builder,
            DecisionMaker(config.decision, models.head, config.tick.hop_s),
            self._whole,
            self._clock,
            realtime=realtime,
            observe=self._view.observe,
            finished=self._tick_finished,
        )
        self._workers.append(Worker("fuse", fuse.run, self._ender("fuse", self._inbox)))

    def _enabled(
        self, kinds: set[Any], models: Models
    ) -> tuple[frozenset[str], dict[str, Absence]]:
        reasons: dict[str, Absence] = {}
        if "video" not in kinds:
            reasons["face"] = Absence.OFF
        if "audio" not in kinds:
            reasons["audio"] = reasons["text"] = Absence.OFF
        elif not self.config.asr.enabled:
            reasons["text"] = Absence.OFF
        elif models.recognizer is None:
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
        if self._source.realtime:
            return Mailbox(name, live, "drop_oldest", unit=unit, size=size)
        return Mailbox(name, offline, "block", unit=unit, size=size)

    def _build_face(self, models: Models, consumers: list[Worker]) -> Mailbox[VideoFrame]:
        frames: Mailbox[VideoFrame] = self._mailbox("camera>face", 4, 4, "frames")
        perception = self._perception = models.face_perception()
        stage = FaceStage(frames, self._inbox, perception, models.face, self._view.show)
        self._edges.append((frames, stage.tally, None))
        consumers.append(self._feeder("face", stage.run, frames, ["face"]))
        return frames

    def _build_sound(
        self, models: Models, enabled: frozenset[str], consumers: list[Worker]
    ) -> list[Mailbox[Any]]:
        def n_samples(block: AudioBlock) -> int:
            return len(block.samples)

        # Two seconds of 20 ms blocks live; files hand over longer blocks.
        for_speech = self._mailbox("microphone>speech", 100, 16, "samples", n_samples)
        for_audio = self._mailbox("microphone>audio", 100, 16, "samples", n_samples)
        realtime = self._source.realtime
        segments = self._build_asr(models, consumers) if "text" in enabled else None
        end_of_audio_s = self.config.vad.end_of_audio_s if realtime else None
        speech = SpeechStage(
            for_speech,
            self._inbox,
            segments,
            models.speech_detector(),
            self._clock,
            end_of_audio_s,
        )
        audio = AudioStage(for_audio, self._inbox, models.audio)
        self._edges.append((for_speech, speech.tally, None))
        self._edges.append((for_audio, audio.tally, None))
        consumers.append(self._feeder("speech", speech.run, for_speech, ["speech"], segments))
        consumers.append(self._feeder("audio", audio.run, for_audio, ["audio"]))
        return [for_speech, for_audio]

    def _build_asr(self, models: Models, consumers: list[Worker]) -> Mailbox[SpeechSegment] | None:
        if models.recognizer is None:
            return None
        realtime = self._source.realtime
        segments: Mailbox[SpeechSegment] = Mailbox(
            "speech>asr",
            8,
            "drop_oldest" if realtime else "block",
            unit="segments",
            # Live, a partial that has not been started is stale once a newer one is there.
            supersedes=_supersedes if realtime else None,
            droppable=lambda segment: not segment.is_final,
        )
        clock = self._clock if realtime else None
        asr = AsrStage(segments, self._inbox, models.recognizer, models.text, clock)
        self._edges.append((segments, asr.tally, None))
        consumers.append(self._feeder("asr", asr.run, segments, []))
        return segments

    def _producer(self, stream: Stream, sinks: list[Mailbox[Any]]) -> Worker:
        pacer: Pacer
        if self._lockstep is None:
            pacer = RealTimePacer(self._clock)
        else:
            pacer = LockstepPacer(self._lockstep)
        unit = "samples" if stream.kind == "audio" else "frames"
        tally = StreamTally(stream.name, unit)
        self._tallies.append(tally)
        self._edges = [
            (box, stage, tally if box in sinks else owner) for box, stage, owner in self._edges
        ]

        def emit(message: SourceMessage) -> None:
            if isinstance(message, Gap | Event):
                self._inbox.put(message)
                return
            if isinstance(message, AudioBlock):
                first, count = message.first_sample, len(message.samples)
            else:
                first, count = message.index, 1
                self._view.frame_captured(message.time_s)
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
            self._fail(name, error)
        with self._lock:
            self._feeders -= 1
            last = self._feeders == 0
        if last:
            self._inbox.close()

    def _ender(self, name: str, mailbox: Mailbox[Any]) -> Callable[[BaseException | None], None]:
        def ended(error: BaseException | None) -> None:
            mailbox.discard()
            if error is not None:
                self._fail(name, error)
            self._estimates.close()
            if self._lockstep is not None:
                self._lockstep.release()

        return ended

    def _fail(self, name: str, error: BaseException) -> None:
        with self._lock:
            if self._fault is None:
                self._fault = (name, error)
        self.stop()

    def _tick_finished(self, time_s: float) -> None:
        if self._lockstep is not None:
            self._lockstep.advance(time_s)
            if isinstance(self._clock, VirtualClock):
                self._clock.advance_to(time_s)

    # --- reading --------------------------------------------------------------------------------

    def estimates(self) -> Iterator[Estimate]:
        """Yield estimates in order, waiting for the next; ends with the source or ``stop()``.

        Raises:
            ClosedError: the session is not open.
            WorkerFault: a worker died; its exception is the cause.
        """
        if self._state is not _State.OPEN:
            raise ClosedError(f"the session is {self._state.value}; use it inside 'with Session'")
        while True:
            if self._stop.is_set():
                self._end_sources()
            try:
                # The timeout lets a signal handler run while nothing comes.
                estimate = self._estimates.get(0.1)
            except MailboxClosed:
                break
            if estimate is not None:
                yield estimate
        if self._fault is not None:
            name, error = self._fault
            raise WorkerFault(f"the {name} thread failed: {error}") from error

    def select_target(self, track_id: int) -> None:
        """Follow this face from the next encoded frame on. Any thread."""
        if self._perception is not None:
            self._perception.select(track_id)
            with contextlib.suppress(MailboxClosed):  # the session has ended
                self._inbox.put(Event(self._clock.now_s(), "target selected", str(track_id)))

    # --- accounts -------------------------------------------------------------------------------

    def edges(self) -> tuple[EdgeCounts, ...]:
        """Counters of every edge. Any thread."""
        boxes: list[Mailbox[Any]] = [box for box, _, _ in self._edges]
        return tuple(box.counts() for box in [*boxes, self._inbox, self._estimates])

    def accounting(self) -> Accounting:
        """Where every frame and sample went; exact once the session has ended."""
        edges = []
        for box, tally, owner in self._edges:
            counts = box.counts()
            done = tally or Tally(processed=counts.taken)
            captured = owner.captured if owner is not None else counts.offered
            edges.append(EdgeAccount(counts, captured, done.processed, done.skipped, done.tail))
        return Accounting(tuple(self._tallies), tuple(edges))

    def snapshot(self) -> Snapshot:
        """What a display shows, read at once. Any thread; never delays the pipeline."""
        dropped: Counter[str] = Counter()
        for box, _tally, owner in self._edges:
            if owner is not None:
                dropped[owner.unit] = max(dropped[owner.unit], box.counts().dropped)
        return self._view.snapshot(
            self._clock.now_s(), self.notices, dropped["frames"], dropped["samples"]
        )

    @property
    def finals(self) -> tuple[Hypothesis, ...]:
        """Final hypotheses with text so far, in order. Any thread."""
        return self._view.finals()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Known spans without data so far. Any thread."""
        return self._view.gaps()

    def text(self) -> str:
        """Everything that was said so far, finals only."""
        return " ".join(hypothesis.text for hypothesis in self.finals)

    def summary(self) -> Summary:
        """The session so far in numbers. Any thread."""
        return self._view.summary()

    def whole(self) -> dict[str, Any]:
        """One score for the whole recording, with its final text; call after the last estimate.

        The statistics run over every face of the person seen most and every spoken step, as MER
        scores a file. Values are None where there was nothing to read.
        """
        if self._models is None:
            raise ClosedError("the session was never opened")
        transcript = self.text()
        vector = self._models.encode_text(transcript)
        result = attribute(self._models.head, self._whole.fusion_input(vector), 1.0)
        record: dict[str, Any] = {"label": None, "confidence": None}
        if result is None:
            record |= dict.fromkeys(LABELS)
            contributions: dict[str, FloatArray] = {}
        else:
            scores, contributions = result
            record["label"] = LABELS[int(np.argmax(scores))]
            record["confidence"] = float(scores.max())
            record |= {name: float(score) for name, score in zip(LABELS, scores, strict=True)}
        for modality in MODALITIES:
            contribution = contributions.get(modality)
            leading = LABELS.index(record["label"]) if record["label"] else 0
            record[f"contribution_{modality}"] = (
                float(contribution[leading]) if contribution is not None else None
            )
        return record | {"transcript": transcript}


def _supersedes(new: SpeechSegment, old: SpeechSegment) -> bool:
    return not old.is_final and old.segment_id <= new.segment_id
