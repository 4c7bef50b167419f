"""Words: which speech segments are transcribed when, and the embeddings of what was said.

Live, finals come first: no partial is begun, nor gone on with, while one waits. Partials leave the
recogniser time: after a pass of a second the next one waits until it has had as long a rest
(``asr.partial_share``). Offline every segment is transcribed.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.encoders.protocols import TextModel
from realtime_er.encoders.text import fold_words
from realtime_er.ladder import Ladder, Step
from realtime_er.messages import (
    SAMPLE_RATE_HZ,
    Embedding,
    Gap,
    Hypothesis,
    SpeechSegment,
)
from realtime_er.perception.asr import Recognizer
from realtime_er.perception.whisper import Abandoned
from realtime_er.runtime import Mailbox
from realtime_er.stages import Finals, Inbox, Tally
from realtime_er.windows import Transcribed

BEHIND = "speech recognition is behind"
"""Reason of a gap in the words: an utterance that was not transcribed, since it came too late."""

# A pass that takes a smaller share of ``asr.partial_every_s`` is quick.
_QUICK = 0.3
# Triggers count in steps of the voice activity detector, so that they may come this much early.
_STEP_S = 0.05


class LivePasses:
    """Live, which passes are worth their time. The asr thread's."""

    def __init__(self, config: Config, ladder: Ladder, clock: Clock, finals: Finals) -> None:
        self.meter = ladder.meter("words")
        self._config = config
        self._ladder = ladder
        self._clock = clock
        self._finals = finals
        self._newest: SpeechSegment | None = None  # of the partials that were begun
        self._began_s = -math.inf
        self._worded = -1  # the newest segment of which there are words
        self._known: SpeechSegment | None = None
        self._small = False

    def too_late(self, segment: SpeechSegment) -> bool:
        """Whether its words will have faded when they are known."""
        if self._repeats(segment):
            return False
        return self.meter.too_late(segment.end_s, self._config.text.fade_s)

    def too_soon(self, segment: SpeechSegment) -> bool:
        """Whether a partial comes too soon after the one before it, or is not made at all."""
        asr = self._config.asr
        if segment.is_final:
            return False
        if self._finals.waiting() or self._ladder.gives_up(Step.NO_PARTIALS):
            return True
        if segment.paused:
            return False
        cost_s = self.meter.cost_s or 0.0
        waited_s = self._clock.now_s() - self._began_s
        newest, spoken_s = self._newest, math.inf
        if newest is not None and newest.segment_id == segment.segment_id:
            spoken_s = segment.trigger_s - newest.trigger_s + _STEP_S
        if self._ladder.gives_up(Step.SLOW_PARTIALS):
            return min(waited_s, spoken_s) < max(
                self._config.ladder.partial_every_s, cost_s / asr.partial_share
            )
        resting = waited_s < cost_s / asr.partial_share
        if self._worded != segment.segment_id and cost_s < asr.partial_every_s:
            # Nothing of it is known: as soon as can be. What comes very early is refused more often
            # than not, so a slower machine waits for it to be worth its time.
            heard_s = len(segment.samples) / SAMPLE_RATE_HZ
            return cost_s > _QUICK * asr.partial_every_s and heard_s < asr.partial_every_s
        return resting or spoken_s < asr.partial_every_s

    def begin(self, recognizer: Recognizer, segment: SpeechSegment) -> None:
        """A pass begins. With the ladder at its end, the recogniser's smaller model makes it.

        Raises:
            ModelError: that model cannot be loaded.
        """
        small = self._ladder.gives_up(Step.SMALL_ASR)
        if small != self._small:
            self._small, self._known, self.meter.cost_s = small, None, None
            recognizer.use_smaller(small)
        self.meter.begin(segment.trigger_s if segment.is_final else None)
        if not segment.is_final:
            self._newest, self._began_s = segment, self._clock.now_s()

    def given_up(self) -> None:
        """It ended before there were words."""
        self.meter.end(typical=False)

    def end(self, segment: SpeechSegment, hypothesis: Hypothesis) -> float:
        """It is over; when the words were known, in session time."""
        self.meter.end(typical=not self._repeats(segment))
        self._known = segment
        if hypothesis.text:
            self._worded = segment.segment_id
        return self._clock.now_s()

    def _repeats(self, segment: SpeechSegment) -> bool:
        """Whether the newest pass had the same sound, whose words are known then."""
        known = self._known
        return known is not None and np.array_equal(known.samples, segment.samples)


class AsrStage:
    """Speech segments to hypotheses and text embeddings. Thread "asr"; owns both models.

    Args:
        segments: What to transcribe.
        inbox: Of the fusion thread.
        finals: How many finals have been handed on and taken.
        recognizer: Transcribes.
        encoder: Describes what was said.
        live: Chooses; None transcribes every segment.
    """

    def __init__(
        self,
        segments: Mailbox[SpeechSegment],
        inbox: Inbox,
        finals: Finals,
        recognizer: Recognizer,
        encoder: TextModel,
        live: LivePasses | None,
    ) -> None:
        self.tally = Tally()
        self._segments = segments
        self._inbox = inbox
        self._finals = finals
        self._recognizer = recognizer
        self._encoder = encoder
        self._live = live
        self._encoded: tuple[str, Embedding] | None = None

    def run(self) -> None:
        """Until the mailbox closes."""
        while True:
            segment = self._segments.get()
            if segment is None:
                continue
            self._finals.taken += segment.is_final
            if self._live is None:
                hypothesis = self._recognizer.transcribe(segment)
                self._hand_on(hypothesis, self._encode(hypothesis))
            elif self._wanted(segment, self._live):
                self._transcribe(segment, self._live)

    def _wanted(self, segment: SpeechSegment, live: LivePasses) -> bool:
        if live.too_soon(segment):
            self.tally.skipped += 1
            return False
        if live.too_late(segment):
            self.tally.stale += 1
            if segment.is_final:
                self._inbox.put(Gap("text", segment.start_s, segment.end_s, BEHIND))
            return False
        return True

    def _transcribe(self, segment: SpeechSegment, live: LivePasses) -> None:
        live.begin(self._recognizer, segment)
        # A final may well have the sound of this pause: its words are known then.
        hasty = not (segment.is_final or segment.paused)
        try:
            hypothesis = (
                self._recognizer.transcribe(segment, self._finals.waiting)
                if hasty
                else self._recognizer.transcribe(segment)
            )
        except Abandoned:
            live.given_up()
            self.tally.overtaken += 1
            return
        embedding = self._encode(hypothesis)
        hypothesis = replace(hypothesis, available_s=live.end(segment, hypothesis))
        self._hand_on(hypothesis, embedding)

    def _hand_on(self, hypothesis: Hypothesis, embedding: Embedding | None) -> None:
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
