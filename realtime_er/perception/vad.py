"""Voice activity: which sound is speech, and where an utterance begins and ends.

A voice model gives a probability for each step of some 30 ms; ``SpeechDetector`` turns those into
``SpeechActivity`` (one per step, causal) and ``SpeechSegment`` (what to transcribe).

    QUIET ──voiced──> STARTING ──onset_s of it──> SPEAKING ──unvoiced──> STOPPING
      ^                  │ unvoiced                  ^ voiced               │
      └──────────────────┴───────────────────────────┴──── hangover_s of it ┘

Nothing here starts a thread or reads a clock; one thread owns each object.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from realtime_er.config import VadConfig
from realtime_er.messages import (
    SAMPLE_RATE_HZ,
    AudioBlock,
    FloatArray,
    SpeechActivity,
    SpeechSegment,
)
from realtime_er.perception.voices import VoiceModel

SILENCE_DBFS = -120.0
"""Level of digital silence."""

# Leaving speech takes a lower probability than entering it, or it would flicker between words.
_HYSTERESIS = 0.15
# Kept after the last voiced step: the decay of the last sound, but not the whole hangover.
_TAIL_S = 0.2
# Fewer voiced seconds than this in a whole segment are a click or a cough: nothing to transcribe.
_MIN_VOICED_S = 0.2
# A segment that is too long is cut at the quietest step of its last second.
_CUT_SEARCH_S = 1.0
# The first words are waited for most: shares of the usual time between two partials, counted in
# voice. Of what is asked this early much is refused, so it is asked again soon.
_FIRST_PARTIAL = 0.45
_EARLY_EVERY = 0.25
_EARLY_UNTIL = 1.25


class State(Enum):
    """Where the detector is between silence and speech."""

    QUIET = "quiet"
    STARTING = "starting"
    SPEAKING = "speaking"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class _Step:
    samples: FloatArray
    start_s: float
    end_s: float
    level_dbfs: float
    voiced: bool


class SpeechDetector:
    """Turns sound into speech activity and segments to transcribe.

    ``SpeechActivity.speaking`` is True for the voiced steps of confirmed speech (the state is
    SPEAKING): not during the onset, which may still prove a click, and not in the pauses between
    words, so that it marks the sound which carries the voice. A segment spans the pauses.

    All times come from the blocks' ``start_s``. What comes out depends on the samples only, not on
    how they were split into blocks. Holds at most ``max_segment_s`` of sound (and one block).
    Owned by one thread.

    Partials come as the voice goes on. In a hurry more of them come at the beginning, and one when it
    pauses: of what the final will hold if it does not go on, so that its words are known by then.

    Args:
        config: Thresholds and durations.
        partial_every_s: Seconds of voice between two partial segments; less at the beginning.
        model: What gives the probabilities.

    Attributes:
        hurried: Whether somebody waits for the words (live). Set it before the first ``push``.
    """

    def __init__(self, config: VadConfig, partial_every_s: float, model: VoiceModel) -> None:
        self.hurried = True
        self._config = config
        self._model = model
        self._step = model.step_samples
        step_s = self._step / SAMPLE_RATE_HZ
        self._step_s = step_s
        self._onset_steps = max(1, math.ceil(config.onset_s / step_s - 1e-6))
        self._hangover_steps = max(1, math.ceil(config.hangover_s / step_s - 1e-6))
        self._max_steps = max(2, int(config.max_segment_s / step_s + 1e-6))
        self._tail_steps = math.ceil(_TAIL_S / step_s)
        self._partial_steps = partial_every_s / step_s
        preroll_steps = math.ceil(config.preroll_s / step_s - 1e-6)
        self._before: deque[_Step] = deque(maxlen=preroll_steps + self._onset_steps)
        self._segment: list[_Step] = []
        self._state = State.QUIET
        self._run = 0  # steps in a row that argue for leaving the state
        self._segment_id = 0
        self._revision = 0
        self._voiced = 0  # steps of the segment
        self._next_partial = 0.0  # at so many of them
        self._pending: FloatArray = np.zeros(0, np.float32)
        self._pending_first = 0  # sample index of pending[0]
        self._anchors: deque[tuple[int, float]] = deque()  # (first sample, session time)
        self._expected: int | None = None
        self._received_s = 0.0
        self._position_s = 0.0

    @property
    def state(self) -> State:
        """Where it is between silence and speech."""
        return self._state

    @property
    def position_s(self) -> float:
        """Session time up to which it has decided."""
        return self._position_s

    @property
    def step_s(self) -> float:
        """Duration of one decision."""
        return self._step_s

    @property
    def n_missing(self) -> int:
        """Samples until the next decision, if they follow on."""
        return self._step - len(self._pending)

    def push(self, block: AudioBlock) -> list[SpeechActivity | SpeechSegment]:
        """Take the next sound; what follows from it, in time order.

        A forward jump of ``first_sample`` is a loss: the open segment is closed. Samples that were
        delivered before are ignored.
        """
        out: list[SpeechActivity | SpeechSegment] = []
        first, start_s, samples = block.first_sample, block.start_s, block.samples
        if self._expected is not None and first != self._expected:
            overlap = self._expected - first
            if overlap > 0 and start_s < self._received_s - 1e-3:
                samples = samples[overlap:]
                first, start_s = self._expected, start_s + overlap / SAMPLE_RATE_HZ
            else:
                out += self.discontinuity()
        if len(samples) == 0:
            return out
        if len(self._pending) == 0:
            self._pending_first = first
        self._anchors.append((first, start_s))
        self._pending = np.concatenate([self._pending, samples]).astype(np.float32, copy=False)
        self._expected = first + len(samples)
        self._received_s = start_s + len(samples) / SAMPLE_RATE_HZ
        whole = len(self._pending) // self._step
        for index in range(whole):
            self._decide(self._pending[index * self._step : (index + 1) * self._step], out)
        if whole:
            self._pending = self._pending[whole * self._step :].copy()
        return out

    def flush(self) -> list[SpeechActivity | SpeechSegment]:
        """End of the stream: decide what is left and close the open segment as final."""
        out: list[SpeechActivity | SpeechSegment] = []
        if len(self._pending):
            self._decide(self._pending, out)
            self._pending = np.zeros(0, np.float32)
        self._close(self._position_s, out)
        return out

    def discontinuity(self) -> list[SpeechActivity | SpeechSegment]:
        """Sound was lost: close the open segment and forget what the model heard."""
        out = self.flush()
        self._before.clear()
        self._anchors.clear()
        self._expected = None
        self._model.reset()
        return out

    def end_of_audio(self, now_s: float) -> list[SpeechActivity | SpeechSegment]:
        """Live, call now and then: closes an open segment when sound stopped arriving.

        Args:
            now_s: Session time now.
        """
        out: list[SpeechActivity | SpeechSegment] = []
        waiting = self._state is not State.QUIET
        if waiting and now_s - self._received_s >= self._config.end_of_audio_s:
            self._close(now_s, out)
        return out

    # --- one step ---

    def _decide(self, samples: FloatArray, out: list[SpeechActivity | SpeechSegment]) -> None:
        start_s = self._time_s(self._pending_first)
        # From the last sample: the block that holds the next one may not have come yet.
        end_s = round(self._time_s(self._pending_first + len(samples) - 1) + 1 / SAMPLE_RATE_HZ, 6)
        start_s = max(round(start_s, 6), self._position_s)
        self._pending_first += len(samples)
        probability = self._probability(samples)
        bar = self._config.threshold
        if self._state in (State.SPEAKING, State.STOPPING):
            bar = max(bar - _HYSTERESIS, bar * 0.5)
        kept = samples.copy()
        step = _Step(kept, start_s, end_s, _level_dbfs(kept), probability >= bar)
        self._position_s = end_s
        events: list[SpeechActivity | SpeechSegment] = []
        self._advance(step, events)
        speaking = self._state is State.SPEAKING and step.voiced
        out.append(SpeechActivity(start_s, end_s, speaking, probability, step.level_dbfs))
        out += events

    def _time_s(self, sample: int) -> float:
        while len(self._anchors) > 1 and self._anchors[1][0] <= sample:
            self._anchors.popleft()
        first, start_s = self._anchors[0]
        return start_s + (sample - first) / SAMPLE_RATE_HZ

    def _probability(self, samples: FloatArray) -> float:
        if len(samples) < self._step:
            samples = np.pad(samples, (0, self._step - len(samples)))
        probability = self._model.probability(samples)
        if not math.isfinite(probability):
            # A NaN in the sound would stay in a recurrent state for ever.
            self._model.reset()
            return 0.0
        return probability

    def _advance(self, step: _Step, out: list[SpeechActivity | SpeechSegment]) -> None:
        if self._state in (State.QUIET, State.STARTING):
            self._before.append(step)
            self._run = self._run + 1 if step.voiced else 0
            self._state = State.STARTING if step.voiced else State.QUIET
            if self._run >= self._onset_steps:
                self._open(list(self._before))
            return
        self._segment.append(step)
        self._voiced += step.voiced
        self._run = 0 if step.voiced else self._run + 1
        self._state = State.SPEAKING if step.voiced else State.STOPPING
        if self._run >= self._hangover_steps:
            self._close(step.end_s, out)
        elif len(self._segment) >= self._max_steps:
            if self._state is State.SPEAKING:
                self._cut(step.end_s, out)
            else:
                self._close(step.end_s, out)
        elif self.hurried and self._run == self._tail_steps and self._worth_words(self._segment):
            self._next_partial = self._voiced + self._partial_steps
            out.append(self._make(self._segment, step.end_s, is_final=False, paused=True))
        elif self._state is State.SPEAKING and self._voiced >= self._next_partial:
            early = self.hurried and self._voiced < _EARLY_UNTIL * self._partial_steps
            self._next_partial = self._voiced + (_EARLY_EVERY if early else 1) * self._partial_steps
            out.append(self._make(self._segment, step.end_s, is_final=False))

    # --- segments ---

    def _open(self, steps: list[_Step]) -> None:
        self._before.clear()
        self._segment = steps
        self._segment_id += 1
        self._revision = 0
        self._run = 0
        self._voiced = sum(step.voiced for step in steps)
        self._next_partial = (_FIRST_PARTIAL if self.hurried else 1) * self._partial_steps
        self._state = State.SPEAKING

    def _close(self, trigger_s: float, out: list[SpeechActivity | SpeechSegment]) -> None:
        steps, silent = self._segment, self._run
        opened = self._state in (State.SPEAKING, State.STOPPING)
        self._segment = []
        self._run = 0
        self._state = State.QUIET
        if not opened:
            return
        unused = max(0, silent - self._tail_steps)
        used = steps[: len(steps) - unused]
        # What the segment did not use may be the pre-roll of the next one; never more than that.
        self._before.extend(steps[len(used) :])
        if self._worth_words(used):
            out.append(self._make(used, trigger_s, is_final=True))

    def _worth_words(self, steps: list[_Step]) -> bool:
        voiced_s = sum(step.end_s - step.start_s for step in steps if step.voiced)
        return self._revision > 0 or voiced_s >= _MIN_VOICED_S

    def _cut(self, trigger_s: float, out: list[SpeechActivity | SpeechSegment]) -> None:
        """Close a segment that is too long at a quiet place; the rest opens the next one."""
        search = min(len(self._segment) - 1, math.ceil(_CUT_SEARCH_S / self._step_s))
        levels = [step.level_dbfs for step in self._segment[-search:]]
        at = len(self._segment) - 1 - int(np.argmin(levels[::-1]))  # the latest of equals
        used, rest = self._segment[:at], self._segment[at:]
        out.append(self._make(used, trigger_s, is_final=True))
        self._open(rest)

    def _make(
        self, steps: list[_Step], trigger_s: float, *, is_final: bool, paused: bool = False
    ) -> SpeechSegment:
        samples = np.concatenate([step.samples for step in steps])
        samples.flags.writeable = False
        segment = SpeechSegment(
            self._segment_id,
            self._revision,
            steps[0].start_s,
            steps[-1].end_s,
            trigger_s,
            is_final,
            samples,
            paused,
        )
        self._revision += 1
        return segment


def _level_dbfs(samples: FloatArray) -> float:
    power = float(np.add.reduce(np.square(samples, dtype=np.float64))) / len(samples)
    if not power > 0.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 10.0 * math.log10(power))
