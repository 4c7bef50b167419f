"""What senses: frames to face reports, sound to voice embeddings and to speech.

Each stage reads a mailbox, calls its one perception and encoder, and hands on to the fusion thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.encoders.protocols import AudioModel, BatchFaceModel, FaceModel
from realtime_er.feature_cache import EPSILON_S
from realtime_er.held_faces import HeldFaces, with_embedding
from realtime_er.ladder import Ladder, Step
from realtime_er.messages import (
    SAMPLE_RATE_HZ,
    AudioBlock,
    Embedding,
    FaceReport,
    FloatArray,
    SpeechActivity,
    SpeechSegment,
    VideoFrame,
)
from realtime_er.perception.face import FacePerception
from realtime_er.perception.vad import SpeechDetector
from realtime_er.runtime import Mailbox, MailboxClosed
from realtime_er.stages import JUST_BEFORE_S, Finals, Inbox, LastSound, Tally
from realtime_er.windows import Announced, Watermark

# Sound that may wait for the encoder, unless its windows are longer: one second.
_MOST_BEHIND = SAMPLE_RATE_HZ
# An encoder that takes a smaller share of a step's time has soon caught up after a halt.
_CATCHES_UP = 0.5


class FaceStage:
    """Frames to face reports. Thread "face".

    With a ladder (live) the freshest frame is looked at, and none that would be too old when done.
    Without one, an encoder that takes several faces at a time gets them so.
    """

    def __init__(
        self,
        frames: Mailbox[VideoFrame],
        inbox: Inbox,
        perception: FacePerception,
        encoder: FaceModel,
        shown: Callable[[FaceReport], None],
        config: Config,
        ladder: Ladder | None,
    ) -> None:
        self.tally = Tally()
        self._config = config
        self._ladder = ladder
        self._meter = ladder.meter("face") if ladder is not None else None
        self._frames = frames
        self._inbox = inbox
        self._perception = perception
        self._encoder = encoder
        self._shown = shown
        self._newest_s = 0.0
        self._held: HeldFaces | None = None
        if ladder is None and isinstance(encoder, BatchFaceModel) and encoder.batch_size > 1:
            self._held = HeldFaces(encoder)

    def run(self) -> None:
        """Until the mailbox closes."""
        held = self._held
        while True:
            try:
                frame = self._frames.get(worth_waking=self._concerns)
            except MailboxClosed:
                self._hand_on(held.release() if held is not None else [])
                raise
            if frame is None:
                continue
            frame, due = self._freshest(frame)
            self._newest_s = frame.time_s
            if due and self._too_late(frame):
                self.tally.stale += 1
                due = False
            reports = self._look(frame) if due else []
            if held is not None and held.is_full(frame.time_s):
                reports = held.release()
            self._hand_on(reports)
            if not held:
                self._inbox.put(Watermark("face", frame.time_s))

    def _look(self, frame: VideoFrame) -> list[FaceReport]:
        """What is in a frame; nothing yet where faces are held to be encoded together."""
        if self._meter is not None:
            self._meter.begin(frame.time_s)
        report, picture = self._perception.observe(frame)
        if self._held is not None:
            self._held.add(report, picture)
            return []
        if picture is not None and report.target_id is not None:
            vector, _logits = self._encoder.encode(picture)
            report = with_embedding(report, vector, self._encoder.encoder_id)
        if self._meter is not None:
            self._meter.end(typical=picture is not None)
        return [report]

    def _hand_on(self, reports: list[FaceReport]) -> None:
        for report in reports:
            self.tally.processed += 1
            self._shown(report)
            self._inbox.put(report)

    def _concerns(self, frame: VideoFrame) -> bool:
        """Whether to look at it, or to tell a tick that there is nothing before it to wait for."""
        if self._perception.would_be_due(frame, self._share()):
            return True
        hop_s, newest_s = self._config.tick.hop_s, self._newest_s + EPSILON_S
        return int((frame.time_s + EPSILON_S) / hop_s) != int(newest_s / hop_s)

    def _freshest(self, frame: VideoFrame) -> tuple[VideoFrame, bool]:
        """The newest frame that is there, and whether one is to be looked at by now."""
        due = False
        while True:
            if self._perception.due(frame, self._share()) or due:
                self.tally.overtaken += due  # the one before it
                due = True
            else:
                self.tally.skipped += 1
            if self._ladder is None or self._frames.empty:
                return frame, due
            frame = self._frames.get() or frame

    def _share(self) -> float:
        fewer = self._ladder is not None and self._ladder.gives_up(Step.FEWER_FACES)
        return self._config.ladder.face_share if fewer else 1.0

    def _too_late(self, frame: VideoFrame) -> bool:
        """Whether the last tick that may use it will have been made when it is done."""
        limit_s = self._config.face.max_age_s + self._config.tick.deadline_s
        return self._meter is not None and self._meter.too_late(frame.time_s, limit_s)


class AudioStage:
    """Sound to one voice embedding per encoder step. Thread "audio"."""

    def __init__(
        self,
        blocks: Mailbox[AudioBlock],
        inbox: Inbox,
        encoder: AudioModel,
        ladder: Ladder | None = None,
    ) -> None:
        self.tally = Tally()
        self._meter = ladder.meter("voice") if ladder is not None else None
        self._blocks = blocks
        self._inbox = inbox
        self._encoder = encoder
        self._first_sample = 0  # of the unbroken run of sound that is being read
        self._newest: AudioBlock | None = None
        self._announced_sample: int | None = None

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
                described = self._describe(block, due_sample)
                if not described and due_sample is not None and block.first_sample < due_sample:
                    skipped += self._encoder.next_end_sample == due_sample + step
                for end_sample, vector in described:
                    steps += 1
                    start_sample = max(end_sample - window, self._first_sample)
                    self._inbox.put(self._embedding(block, start_sample, end_sample, vector))
                next_sample = self._encoder.next_end_sample
                if next_sample is not None and next_sample != self._announced_sample:
                    self._announced_sample = next_sample
                    next_s = block.start_s + (next_sample - block.first_sample) / SAMPLE_RATE_HZ
                    self._inbox.put(Watermark("audio", next_s - JUST_BEFORE_S))
        finally:
            # What never filled a step: at most one step at the end and one before each loss.
            self.tally.processed, self.tally.skipped = steps * step, skipped * step
            self.tally.tail = taken - (steps + skipped) * step

    def _describe(self, block: AudioBlock, due_sample: int | None) -> list[tuple[int, FloatArray]]:
        end_sample = block.first_sample + len(block.samples)
        if self._meter is None or due_sample is None or end_sample < due_sample:
            return self._encoder.push(block.first_sample, block.samples)
        self._meter.begin(block.end_s)
        described = self._encoder.push(block.first_sample, block.samples)
        self._meter.end()
        return described

    def _late(self) -> bool:
        """Live, whether more than one step waits: the next one would be old when it is described."""
        live = self._blocks.policy != "block"
        return live and self._blocks.waiting > self._encoder.step_samples

    def _next(self) -> AudioBlock | None:
        newest = self._newest
        try:
            block = self._blocks.get(worth_waking=self._completes_step)
        except MailboxClosed:
            last = self._encoder.finish()
            if last is not None and newest is not None:
                self._inbox.put(LastSound(self._embedding(newest, *last)))
            raise
        if block is not None:
            block = self._freshest(block)
            if newest is None or block.first_sample != newest.end_sample:
                self._first_sample = block.first_sample
            self._newest = block
        return block

    def _completes_step(self, block: AudioBlock) -> bool:
        """Whether there will be something to describe once it has come; or it is out of order."""
        newest, next_end = self._newest, self._encoder.next_end_sample
        if newest is None or next_end is None or block.first_sample < newest.end_sample:
            return True
        return block.end_sample >= next_end

    def _freshest(self, block: AudioBlock) -> AudioBlock:
        """Live and too slow to catch up, the newest block: what is old is left out in one piece.

        Otherwise a block here and there would be dropped, and no step would be whole.
        """
        step_s = self._encoder.step_samples / SAMPLE_RATE_HZ
        cost_s = self._meter.cost_s if self._meter is not None else None
        if cost_s is None or cost_s < _CATCHES_UP * step_s:
            return block
        if self._blocks.waiting > max(_MOST_BEHIND, self._encoder.window_samples):
            while not self._blocks.empty:
                self.tally.overtaken += len(block.samples)
                block = self._blocks.get() or block
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
        finals: Finals,
        detector: SpeechDetector,
        clock: Clock,
        end_of_audio_s: float | None,
    ) -> None:
        self.tally = Tally()
        self._blocks = blocks
        self._inbox = inbox
        self._segments = segments
        self._finals = finals
        self._detector = detector
        self._clock = clock
        self._end_of_audio_s = end_of_audio_s
        self._end_sample: int | None = None  # of the sound that was read last
        self._heard_end_s: float | None = None  # likewise; None once it stayed away

    def run(self) -> None:
        """Until the mailbox closes; then the open segment is flushed."""
        resumed_s = announced_s = -math.inf
        while True:
            try:
                block = self._blocks.get(self._patience_s(), self._completes_step)
            except MailboxClosed:
                self._hand_on(self._detector.flush())
                raise
            if block is None:
                self._heard_end_s = None
                self._hand_on(self._detector.end_of_audio(self._clock.now_s()))
                continue
            if block.first_sample != self._end_sample:
                resumed_s = block.start_s
            self._end_sample, self._heard_end_s = block.end_sample, block.end_s
            decided = self._detector.push(block)
            self.tally.processed += len(block.samples)
            self._hand_on(decided)
            # The next decision ends no sooner than one detector step after the last, or after the
            # sound resumed.
            next_s = max(self._detector.position_s, resumed_s) + self._detector.step_s
            if next_s != announced_s:
                announced_s = next_s
                self._inbox.put(Watermark("speech", next_s - JUST_BEFORE_S))

    def _completes_step(self, block: AudioBlock) -> bool:
        """Whether there will be something to decide once it has come; or it is out of order."""
        end_sample = self._end_sample
        if end_sample is None or block.first_sample < end_sample:
            return True
        return block.end_sample - end_sample >= self._detector.n_missing

    def _patience_s(self) -> float | None:
        """Live, how long sound may stay away; less where some of it lay unread meanwhile."""
        limit_s, heard_end_s = self._end_of_audio_s, self._heard_end_s
        if limit_s is None or heard_end_s is None:
            return limit_s
        left_s = heard_end_s + limit_s - self._clock.now_s()
        return min(limit_s, max(self._detector.step_s, left_s))

    def _hand_on(self, items: list[SpeechActivity | SpeechSegment]) -> None:
        for item in items:
            if isinstance(item, SpeechActivity):
                self._inbox.put(item)
            elif self._segments is not None:
                announced = Announced(item.segment_id, item.revision, item.trigger_s)
                self._inbox.put(announced)
                self._finals.put += item.is_final
                self._segments.put(item)
