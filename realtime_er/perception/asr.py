"""Streaming speech recognition: partial and final hypotheses of speech segments.

Each partial transcribes its segment from the beginning, without any earlier text as a prompt: one
wrong hypothesis cannot spoil the next. A word is committed when two successive partials agree on
it and on everything before it (LocalAgreement-2). Guards refuse text that was not said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from realtime_er.config import AsrConfig
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray, Hypothesis, SpeechSegment, Word
from realtime_er.perception.whisper import MAX_SPEECH_S, Transcript

MAX_WORDS_PER_S = 8.0
"""Nobody speaks faster; text that does was made up."""

# Words allowed on top of the rate, so that a short shout is not refused for its rounding.
_SPARE_WORDS = 2
# A partial may be this much less probable: its words are shown as tentative, and count only when the
# next one agrees. Of the words between the two limits about as many are right as just above.
_TENTATIVE = 0.2
_REPEATS = 3
_LONGEST_REPEAT = 6
_NOT_A_WORD = re.compile(r"[^\w']+", re.UNICODE)


class WhisperLike(Protocol):
    """What turns samples into a transcript."""

    def transcribe(
        self,
        samples: FloatArray,
        *,
        words: bool = True,
        abandoned: Callable[[], bool] | None = None,
    ) -> Transcript:
        """Transcribe float32 (n,) at 16 kHz; word times are seconds from the first sample.

        Raises:
            Abandoned: ``abandoned``, asked on the way, said so.
        """
        ...


def normalised(word: str) -> str:
    """``word`` as it is compared: lower case, without punctuation."""
    return _NOT_A_WORD.sub("", word.casefold()).strip("'")


class Recognizer:
    """Turns speech segments into hypotheses. Owned by one thread.

    Args:
        config: Limits of the guards and the delay that counts offline.
        model: What transcribes.
        smaller: Loads a smaller model for a busy machine; None where there is none.
    """

    def __init__(
        self,
        config: AsrConfig,
        model: WhisperLike,
        smaller: Callable[[], WhisperLike] | None = None,
    ) -> None:
        self._config = config
        self._model = model
        self._usual = model
        self._load_smaller = smaller
        self._smaller: WhisperLike | None = None
        self._segment_id: int | None = None
        self._previous: list[str] = []
        self._committed: list[str] = []

    @property
    def has_smaller(self) -> bool:
        """Whether there is a smaller model to change to. Any thread."""
        return self._load_smaller is not None

    def use_smaller(self, smaller: bool) -> None:
        """Change to the smaller model, which is loaded the first time, or back.

        Raises:
            ModelError: it cannot be loaded.
        """
        if not smaller or self._load_smaller is None:
            self._model = self._usual
            return
        if self._smaller is None:
            self._smaller = self._load_smaller()
        self._model = self._smaller

    def transcribe(
        self, segment: SpeechSegment, abandoned: Callable[[], bool] | None = None
    ) -> Hypothesis:
        """Transcribe ``segment``; give the revisions of a segment in order.

        Skipping revisions is fine. ``available_s`` is the trigger plus ``delay_s``; a live session
        replaces it by the time at which it really was ready. Within a segment ``committed`` of
        partials never loses a word. A final hypothesis commits its own text, which replaces what
        was committed before. Only a final has the times of its words.

        Args:
            segment: At most ``whisper.MAX_SPEECH_S``.
            abandoned: Asked on the way; True gives the pass up, as if it had not been begun.

        Raises:
            Abandoned: it was given up.
            ValueError: the segment is longer than ``whisper.MAX_SPEECH_S``.
        """
        duration_s = len(segment.samples) / SAMPLE_RATE_HZ
        if duration_s > MAX_SPEECH_S:
            raise ValueError(f"segment of {duration_s:.1f} s, at most {MAX_SPEECH_S:g} s")
        transcript = self._model.transcribe(
            segment.samples, words=segment.is_final, abandoned=abandoned
        )
        if segment.segment_id != self._segment_id:
            self._segment_id = segment.segment_id
            self._previous = []
            self._committed = []
        leeway = 0.0 if segment.is_final else _TENTATIVE
        refused = self._refusal(transcript, duration_s, leeway)
        words = [] if refused else transcript.text.split()
        if segment.is_final:
            committed = words
        elif refused:
            # A refused partial agrees with nothing; what was committed stays.
            self._previous = []
            words = committed = self._committed
        else:
            self._agree(words)
            committed = self._committed
            words = committed + words[len(committed) :]
        timed = () if refused else _on_session_clock(transcript.words, segment)
        return Hypothesis(
            segment_id=segment.segment_id,
            revision=segment.revision,
            text=" ".join(words),
            committed=" ".join(committed),
            is_final=segment.is_final,
            start_s=segment.start_s,
            end_s=segment.end_s,
            trigger_s=segment.trigger_s,
            available_s=segment.trigger_s + self._config.delay_s,
            words=timed,
            refused=refused,
        )

    def _agree(self, words: list[str]) -> None:
        """Commit the words on which this partial and the one before it agree."""
        agreed = 0
        for old, new in zip(self._previous, words, strict=False):
            if normalised(old) != normalised(new):
                break
            agreed += 1
        if agreed > len(self._committed):
            self._committed = self._committed + words[len(self._committed) : agreed]
        self._previous = words

    def _refusal(self, transcript: Transcript, duration_s: float, leeway: float) -> str:
        """Name of the guard that refuses ``transcript``, or "" when all let it pass."""
        words = [word for word in map(normalised, transcript.text.split()) if word]
        if not words:
            return "" if not transcript.text else "no words"
        config = self._config
        log_probability = transcript.average_log_probability
        least = config.min_log_probability - leeway
        if not math.isfinite(log_probability) or log_probability < least:
            return "log probability"
        # Whisper's own "no speech" is often wrong by itself: it needs a doubtful text beside it.
        doubtful = log_probability < 0.5 * config.min_log_probability
        if transcript.no_speech_probability > config.max_no_speech and doubtful:
            return "no speech"
        if transcript.compression_ratio > config.max_compression_ratio:
            return "compression ratio"
        if len(words) > MAX_WORDS_PER_S * duration_s + _SPARE_WORDS:
            return "words per second"
        if _repeats(words):
            return "repeats"
        return ""


def _repeats(words: list[str]) -> bool:
    """Whether two or more words stand three times in a row, or one word six times."""
    for length in range(1, _LONGEST_REPEAT + 1):
        times = _REPEATS if length > 1 else 2 * _REPEATS  # "no no no" is something people say
        for start in range(len(words) - length * times + 1):
            unit = words[start : start + length]
            span = words[start : start + length * times]
            if span == unit * times:
                return True
    return False


def _on_session_clock(words: tuple[Word, ...], segment: SpeechSegment) -> tuple[Word, ...]:
    nominal_s = len(segment.samples) / SAMPLE_RATE_HZ
    # Drift: the samples may last a little longer or shorter on the session clock.
    scale = (segment.end_s - segment.start_s) / nominal_s if nominal_s else 1.0
    return tuple(
        replace(
            word,
            start_s=segment.start_s + scale * min(word.start_s, nominal_s),
            end_s=segment.start_s + scale * min(word.end_s, nominal_s),
        )
        for word in words
    )
