"""What each worker thread does: read a mailbox, call one single-owner component, hand on.

A stage never starts a thread and never waits for another stage; only the fusion stage waits, for
the watermark or, live, for a deadline. ``session.py`` gives each stage its thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from realtime_er.checkpoint import Checkpoint
from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.decision import Decision, DecisionMaker
from realtime_er.encoders.protocols import AudioModel, FaceModel, TextModel
from realtime_er.encoders.text import fold_words
from realtime_er.messages import (
    SAMPLE_RATE_HZ,
    Absence,
    AudioBlock,
    Embedding,
    Estimate,
    Event,
    FaceReport,
    FloatArray,
    Gap,
    Hypothesis,
    SpeechActivity,
    SpeechSegment,
    Timing,
    VideoFrame,
)
from realtime_er.perception.asr import Recognizer
from realtime_er.perception.face import FacePerception
from realtime_er.perception.vad import SpeechDetector
from realtime_er.runtime import Mailbox, MailboxClosed
from realtime_er.whole import WholeRecording
from realtime_er.windows import (
    Announced,
    Transcribed,
    Watermark,
    Window,
    WindowBuilder,
)


@dataclass(frozen=True, slots=True)
class TakeCheckpoint:
    """Asks the fusion thread for a checkpoint; ``deliver`` is called there, between two messages."""

    deliver: Callable[[Checkpoint], None]


@dataclass(frozen=True, slots=True)
class LastSound:
    """The sound has ended: the window that no tick has, for the score of the whole recording."""

    embedding: Embedding


Evidence = (
    FaceReport | Embedding | SpeechActivity | Announced | Transcribed | Watermark | Event | Gap
)
Inbox = Mailbox[Evidence | TakeCheckpoint | LastSound]

# Just before the next possible time: watermarks are inclusive, the next piece of evidence is not in.
_JUST_BEFORE_S = 1e-6


@dataclass(slots=True)
class Tally:
    """What a stage did with what it took, in the unit of its edge. One writer: its thread."""

    processed: int = 0
    skipped: int = 0
    tail: int = 0


class FaceStage:
    """Frames to face reports. Thread "face"."""

    def __init__(
        self,
        frames: Mailbox[VideoFrame],
        inbox: Inbox,
        perception: FacePerception,
        encoder: FaceModel,
        shown: Callable[[FaceReport], None],
    ) -> None:
        self.tally = Tally()
        self._frames = frames
        self._inbox = inbox
        self._perception = perception
        self._encoder = encoder
        self._shown = shown

    def run(self) -> None:
        """Until the mailbox closes."""
        while True:
            frame = self._frames.get()
            if frame is None:
                continue
            if not self._perception.due(frame):
                self.tally.skipped += 1
                self._inbox.put(Watermark("face", frame.time_s))
                continue
            report, picture = self._perception.observe(frame)
            if picture is not None and report.target_id is not None:
                vector, _logits = self._encoder.encode(picture)
                embedding = Embedding(
                    "face",
                    frame.time_s,
                    frame.time_s,
                    vector,
                    self._encoder.encoder_id,
                    report.target_id,
                )
                report = replace(report, embedding=embedding)
            self.tally.processed += 1
            self._shown(report)
            self._inbox.put(report)
            self._inbox.put(Watermark("face", frame.time_s))


class AudioStage:
    """Sound to one voice embedding per encoder step. Thread "audio"."""

    def __init__(self, blocks: Mailbox[AudioBlock], inbox: Inbox, encoder: AudioModel) -> None:
        self.tally = Tally()
        self._blocks = blocks
        self._inbox = inbox
        self._encoder = encoder
        self._first_sample = 0  # of the unbroken run of sound that is being read
        self._newest: AudioBlock | None = None

    def run(self) -> None:
        """Until the mailbox closes."""
        step, window = self._encoder.step_samples, self._encoder.window_samples
        steps = skipped = taken = 0
        try:
            while True:
                block = self._next()
                if block is None:
                    continue
                taken += len(block.samples)
                due_sample = self._encoder.next_end_sample
                if self._late():
                    self._encoder.skip()
                described = self._encoder.push(block.first_sample, block.samples)
                if not described and due_sample is not None and block.first_sample < due_sample:
                    skipped += self._encoder.next_end_sample == due_sample + step
                for end_sample, vector in described:
                    steps += 1
                    start_sample = max(end_sample - window, self._first_sample)
                    self._inbox.put(self._embedding(block, start_sample, end_sample, vector))
                next_sample = self._encoder.next_end_sample
                if next_sample is not None:
                    next_s = block.start_s + (next_sample - block.first_sample) / SAMPLE_RATE_HZ
                    self._inbox.put(Watermark("audio", next_s - _JUST_BEFORE_S))
        finally:
            # What never filled a step: at most one step at the end and one before each loss.
            self.tally.processed, self.tally.skipped = steps * step, skipped * step
            self.tally.tail = taken - (steps + skipped) * step

    def _late(self) -> bool:
        """Live, whether more than one step waits: the next one would be old when it is described."""
        live = self._blocks.policy != "block"
        return live and self._blocks.counts().in_flight > self._encoder.step_samples

    def _next(self) -> AudioBlock | None:
        newest = self._newest
        try:
            block = self._blocks.get()
        except MailboxClosed:
            last = self._encoder.finish()
            if last is not None and newest is not None:
                self._inbox.put(LastSound(self._embedding(newest, *last)))
            raise
        if block is not None:
            if newest is None or block.first_sample != newest.first_sample + len(newest.samples):
                self._first_sample = block.first_sample
            self._newest = block
        return block

    def _embedding(
        self, block: AudioBlock, start_sample: int, end_sample: int, vector: FloatArray
    ) -> Embedding:
        end_s = block.start_s + (end_sample - block.first_sample) / SAMPLE_RATE_HZ
        start_s = end_s - (end_sample - start_sample) / SAMPLE_RATE_HZ
        return Embedding("audio", start_s, end_s, vector, self._encoder.encoder_id)


class SpeechStage:
    """Sound to speech activity and to segments for recognition. Thread "speech"."""

    def __init__(
        self,
        blocks: Mailbox[AudioBlock],
        inbox: Inbox,
        segments: Mailbox[SpeechSegment] | None,
        detector: SpeechDetector,
        clock: Clock,
        end_of_audio_s: float | None,
    ) -> None:
        self.tally = Tally()
        self._blocks = blocks
        self._inbox = inbox
        self._segments = segments
        self._detector = detector
        self._clock = clock
        self._end_of_audio_s = end_of_audio_s

    def run(self) -> None:
        """Until the mailbox closes; then the open segment is flushed."""
        expected: int | None = None
        resumed_s = -math.inf
        while True:
            try:
                block = self._blocks.get(self._end_of_audio_s)
            except MailboxClosed:
                self._hand_on(self._detector.flush())
                raise
            if block is None:
                self._hand_on(self._detector.end_of_audio(self._clock.now_s()))
                continue
            if block.first_sample != expected:
                resumed_s = block.start_s
            expected = block.first_sample + len(block.samples)
            decided = self._detector.push(block)
            self.tally.processed += len(block.samples)
            self._hand_on(decided)
            # The next decision ends no sooner than one detector step after the last, or after the
            # sound resumed.
            next_s = max(self._detector.position_s, resumed_s) + self._detector.step_s
            self._inbox.put(Watermark("speech", next_s - _JUST_BEFORE_S))

    def _hand_on(self, items: list[SpeechActivity | SpeechSegment]) -> None:
        for item in items:
            if isinstance(item, SpeechActivity):
                self._inbox.put(item)
            elif self._segments is not None:
                announced = Announced(item.segment_id, item.revision, item.trigger_s)
                self._inbox.put(announced)
                self._segments.put(item)


class AsrStage:
    """Speech segments to hypotheses and text embeddings. Thread "asr"; owns both models."""

    def __init__(
        self,
        segments: Mailbox[SpeechSegment],
        inbox: Inbox,
        recognizer: Recognizer,
        encoder: TextModel,
        clock: Clock | None,
    ) -> None:
        self.tally = Tally()
        self._segments = segments
        self._inbox = inbox
        self._recognizer = recognizer
        self._encoder = encoder
        self._clock = clock
        self._encoded: tuple[str, Embedding] | None = None

    def run(self) -> None:
        """Until the mailbox closes; finals are never dropped."""
        while True:
            segment = self._segments.get()
            if segment is None:
                continue
            hypothesis = self._recognizer.transcribe(segment)
            embedding = self._encode(hypothesis)
            if self._clock is not None:
                hypothesis = replace(hypothesis, available_s=self._clock.now_s())
            self.tally.processed += 1
            self._inbox.put(Transcribed(hypothesis, embedding))

    def _encode(self, hypothesis: Hypothesis) -> Embedding | None:
        """Encode the committed text; only when it has changed within its segment."""
        text = hypothesis.committed
        if not fold_words(text):
            return None
        previous = self._encoded
        if previous and previous[0] == text and previous[1].source_id == hypothesis.segment_id:
            vector = previous[1].vector
        else:
            vector, _logits = self._encoder.encode(text)
        embedding = Embedding(
            "text",
            hypothesis.start_s,
            hypothesis.end_s,
            vector,
            self._encoder.encoder_id,
            hypothesis.segment_id,
        )
        self._encoded = (text, embedding)
        return embedding


def add_evidence(message: Evidence, builder: WindowBuilder) -> Evidence:
    """Hand one piece of evidence to a window builder; returns it with the availability it got."""
    match message:
        case FaceReport():
            return builder.add_face(message)
        case Embedding():
            return builder.add_voice(message)
        case Transcribed():
            return builder.add_text(message)
        case SpeechActivity():
            builder.add_speech(message)
        case Announced():
            builder.announce(message)
        case Watermark():
            builder.advance(message)
        case Event():
            _apply_event(message, builder)
        case Gap():
            pass  # already stamped and counted; only observers want it
    return message


def make_estimate(window: Window, decision: Decision, timing: Timing) -> Estimate:
    """What is published of a window and its decision."""
    return Estimate(
        index=window.index,
        time_s=window.end_s,
        label=decision.label,
        confidence=decision.confidence,
        probabilities=decision.probabilities,
        contributions=decision.contributions,
        absent=window.absent,
        transcript=window.transcript,
        partial=window.partial,
        timing=timing,
    )


def _apply_event(event: Event, builder: WindowBuilder) -> None:
    """Let a window builder know of a device that went, came back or was muted."""
    name, _, change = event.kind.partition(" ")
    modality = {"camera": "face", "microphone": "audio"}.get(name)
    if modality is None:
        return
    if change in ("lost", "back"):
        builder.set_lost(modality, Absence.LOST if change == "lost" else None, event.time_s)
    elif change in ("muted", "unmuted"):
        builder.set_muted(change == "muted", event.time_s)


class FuseStage:
    """Evidence to estimates: one per tick, when everything is there or the deadline has passed.

    Thread "fuse". It never blocks on anything but its inbox and, for files, the reader of the
    estimates.
    """

    def __init__(
        self,
        config: Config,
        inbox: Inbox,
        estimates: Mailbox[Estimate],
        builder: WindowBuilder,
        decider: DecisionMaker,
        whole: WholeRecording,
        clock: Clock,
        *,
        realtime: bool,
        observe: Callable[[Evidence | Estimate], None],
        finished: Callable[[float], None],
    ) -> None:
        self._config = config
        self._inbox = inbox
        self._estimates = estimates
        self._builder = builder
        self._decider = decider
        self._whole = whole
        self._clock = clock
        self._realtime = realtime
        self._observe = observe
        self._finished = finished
        self._last_sound: Embedding | None = None

    def run(self) -> None:
        """Until the inbox closes and every tick before the end of the evidence is made."""
        started_s = self._clock.now_s()
        self._builder.start_at(started_s)
        self._finished(started_s)  # a file begins at zero, recorded media where the recording did
        while True:
            try:
                message = self._inbox.get(self._patience_s())
            except MailboxClosed:
                break
            if isinstance(message, TakeCheckpoint):
                message.deliver(Checkpoint(self._builder.state(), self._decider.state()))
            elif isinstance(message, LastSound):
                self._last_sound = message.embedding
            elif message is not None:
                self._take(message)
            self._tick_while_ready()
        end_s = self._builder.evidence_end_s()
        while self._builder.next_time_s <= end_s + _JUST_BEFORE_S:
            self._tick("end")
        if self._last_sound is not None:
            self._whole.end_sound(self._last_sound.end_s)
            for embedding in self._builder.spoken_at_end(self._last_sound):
                self._whole.add_voice(embedding)

    def _patience_s(self) -> float | None:
        if not self._realtime or math.isinf(self._builder.horizon_s):
            return None  # nothing but a message can make the next tick
        due_s = self._builder.next_time_s + self._config.tick.deadline_s
        return max(0.0, due_s - self._clock.now_s())

    def _take(self, message: Evidence) -> None:
        message = add_evidence(message, self._builder)
        if isinstance(message, FaceReport) and message.embedding is not None:
            self._whole.add_face(message.embedding)
        self._observe(message)

    def _tick_while_ready(self) -> None:
        while True:
            if self._builder.ready():
                if math.isinf(self._builder.horizon_s):
                    return  # everything has ended: the last ticks are made by run()
                if self._realtime and self._clock.now_s() < self._builder.next_time_s:
                    return
                self._tick("watermark")
            elif self._realtime and self._patience_s() == 0.0:
                self._tick("deadline")
            else:
                return

    def _tick(self, closed_by: str) -> None:
        started_s = self._clock.now_s()
        window = self._builder.build()
        for embedding in window.newly_spoken:
            self._whole.add_voice(embedding)
        decision = self._decider.decide(window)
        now_s = self._clock.now_s()
        timing = Timing(
            age_s=now_s - window.end_s if self._realtime else None,
            fuse_s=now_s - started_s,
            evidence_age_s=window.evidence_age_s,
            closed_by=closed_by,
        )
        estimate = make_estimate(window, decision, timing)
        self._observe(estimate)
        self._finished(window.end_s)
        self._estimates.put(estimate)
