"""What a live session gives up, in which order, when the machine cannot carry it all.

Each stage tells a ``Meter`` when it works; the fusion thread asks the ``Ladder`` at every tick. Too
much for some seconds takes the session one step down, slack for longer takes it up again:

    full quality > partial words come slower > fewer faces > whole utterances only > smaller model

No queue grows meanwhile: mailboxes are bounded, and work that would be too old when it is done is not
started. Files that are not read in real time have no ladder: nothing is ever left out of them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from realtime_er.clock import Clock
from realtime_er.config import LadderConfig
from realtime_er.messages import Event

DOWN, UP, STANDS = "ladder down", "ladder up", "ladder stands"
"""Kinds of events: a step down or up, and where the ladder stood when a recording began."""

# Loads are judged this often, over as long as overload has to last.
_PERIOD_S = 0.5
# Work that is too slow to be of use is tried again this often: it may have become faster.
_TRY_AGAIN_S = 5.0
# Newest passes that say what one costs.
_KNOWN = 3
# Waits count this long after the last one; then nothing is known of them any more.
_WAIT_COUNTS_S = 5.0
# How many times longer than at first a step up that had to be taken back is put off.
_MOST_PATIENCE = 8


class Step(StrEnum):
    """What is given up, in this order; each includes those before it."""

    FULL = "full quality"
    SLOW_PARTIALS = "partial words come slower"
    FEWER_FACES = "fewer faces a second"
    NO_PARTIALS = "words of whole utterances only"
    SMALL_ASR = "smaller speech model"


_CONCERNS = {
    Step.SLOW_PARTIALS: "words",
    Step.FEWER_FACES: "face",
    Step.NO_PARTIALS: "words",
    Step.SMALL_ASR: "words",
}
"""The stage that a step relieves: it must have room before the step is taken back."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """At one moment: sums, so that two of them tell of the time between."""

    time_s: float
    n_scores: int
    age_s: float
    busy_s: tuple[float, ...]


class Meter:
    """How busy one stage is. Its thread writes; the fusion thread reads.

    Every attribute is one number, swapped at once. A reading may miss the work of the moment.

    Args:
        name: What does the work, as the event calls it.
        clock: The session's.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.cost_s: float | None = None
        """What a pass takes, the middle one of the last three; None before the first."""
        self._clock = clock
        self._newest_s: deque[float] = deque(maxlen=_KNOWN)  # the stage's own thread only
        self._done_s = 0.0
        self._began_s: float | None = None
        self._ended_s = -math.inf
        # Of the two passes begun last that somebody waited for: how long, and when they began.
        self._waits_s = ((0.0, -math.inf), (0.0, -math.inf))

    def begin(self, due_s: float | None = None) -> None:
        """A pass begins; ``due_s`` is when it could have, None where nobody waits for it."""
        now_s = self._clock.now_s()
        if due_s is not None:
            self._waits_s = (self._waits_s[1], (max(0.0, now_s - due_s), now_s))
        self._began_s = now_s

    def end(self, *, typical: bool = True) -> None:
        """It is over; a pass that is not ``typical`` says nothing about the cost of the next."""
        began_s, now_s = self._began_s, self._clock.now_s()
        if began_s is None:
            return
        took_s = now_s - began_s
        self._began_s = None
        self._done_s += took_s
        self._ended_s = now_s
        if typical:
            self._newest_s.append(took_s)
            # One long pass is a program that stood still; two are a machine that became slow.
            self.cost_s = sorted(self._newest_s)[(len(self._newest_s) - 1) // 2]

    def too_late(self, time_s: float, limit_s: float) -> bool:
        """Whether a pass on what happened at ``time_s`` will be older than ``limit_s`` when done.

        Now and then the answer is no all the same, or nobody would see that passes became faster.
        """
        if len(self._newest_s) < _KNOWN:
            return False
        now_s = self._clock.now_s()
        # The least of them: the first pass of a model takes longer than all that follow.
        hopeless = now_s - time_s + min(self._newest_s) > limit_s
        return hopeless and now_s - self._ended_s < _TRY_AGAIN_S

    def busy_s(self, now_s: float) -> float:
        """Seconds worked so far, with the pass that is running."""
        began_s = self._began_s
        return self._done_s + (0.0 if began_s is None else max(0.0, now_s - began_s))

    def wait_s(self, now_s: float, since_s: float) -> float:
        """How long work waits: the less of the last two times, since one may be an accident.

        0 when that is long ago, or as long as there are no two after ``since_s``.
        """
        before, last = self._waits_s
        known = before[1] >= since_s and now_s - last[1] < _WAIT_COUNTS_S
        return min(before[0], last[0]) if known else 0.0


class Ladder:
    """Where a live session stands between full quality and what it can carry.

    The fusion thread calls ``observe``; any thread may read ``rung`` and ask ``gives_up``.

    Args:
        config: Limits.
        steps: Those that this session has, in order, without ``Step.FULL``.
        clock: The session's.
        deadline_s: When a score is due after its time.

    Attributes:
        rung: Steps taken down from full quality.
    """

    def __init__(
        self,
        config: LadderConfig,
        steps: Sequence[Step],
        clock: Clock,
        deadline_s: float,
    ) -> None:
        self.rung = 0
        self._config = config
        self._steps = (Step.FULL, *steps)
        self._clock = clock
        self._meters: list[Meter] = []
        self._deadline_s = deadline_s
        self._n_scores = 0
        self._age_s = 0.0  # sum
        self._readings: deque[_Reading] = deque()  # since the last step, as far as they count
        self._slack_since_s: float | None = None
        self._patience = 1
        self._went_up_s = self._moved_s = -math.inf
        self._held = False  # the last move was up

    def meter(self, name: str) -> Meter:
        """A new meter, for a stage that is being built."""
        self._meters.append(Meter(name, self._clock))
        return self._meters[-1]

    @property
    def step(self) -> Step:
        """The last one taken."""
        return self._steps[self.rung]

    def gives_up(self, step: Step) -> bool:
        """Whether the session has come down to ``step``. Any thread."""
        return step in self._steps[1 : self.rung + 1]

    def observe(self, now_s: float, age_s: float) -> Event | None:
        """Note the age of the score made just now; an event when that moves the ladder."""
        if not self._config.enabled:
            return None
        self._n_scores += 1
        self._age_s += age_s
        if self._readings and now_s - self._readings[-1].time_s < _PERIOD_S:
            return None
        busy_s = tuple(meter.busy_s(now_s) for meter in self._meters)
        self._readings.append(_Reading(now_s, self._n_scores, self._age_s, busy_s))
        while now_s - self._readings[0].time_s > self._config.down_after_s + _PERIOD_S:
            self._readings.popleft()
        if now_s - self._readings[0].time_s < self._config.down_after_s:
            return None
        return self._move(now_s, self._readings[0], self._readings[-1])

    def standing(self, now_s: float) -> Event | None:
        """Where the ladder stands, for a recording that begins; None at full quality."""
        return Event(now_s, STANDS, str(self.step)) if self.rung else None

    def _move(self, now_s: float, first: _Reading, last: _Reading) -> Event | None:
        config = self._config
        symptoms, busy = self._loads(first, last)
        most, reason = max([*symptoms, *busy.values()])
        if most > 1.0:
            self._slack_since_s = None
            return self._down(now_s, reason) if self.rung + 1 < len(self._steps) else None
        concerned = busy.get(_CONCERNS.get(self.step, ""), (0.0, ""))
        if max(*symptoms, concerned)[0] >= config.slack:
            self._slack_since_s = None
            return None
        if self._slack_since_s is None:
            self._slack_since_s = first.time_s
        patient_s = config.up_after_s * self._patience
        return self._up(now_s) if self.rung and now_s - self._slack_since_s >= patient_s else None

    def _loads(
        self, first: _Reading, last: _Reading
    ) -> tuple[list[tuple[float, str]], dict[str, tuple[float, str]]]:
        """Between two readings, as shares of what is too much, each with its words.

        Lateness and waits are symptoms; how busy each stage is comes by its name.
        """
        config, span_s = self._config, last.time_s - first.time_s
        age_s = (last.age_s - first.age_s) / (last.n_scores - first.n_scores)
        late_s = max(0.0, age_s - self._deadline_s)
        symptoms = [(late_s / config.late_s, f"scores {1000 * late_s:.0f} ms late")]
        busy = {}
        for meter, before_s, after_s in zip(self._meters, first.busy_s, last.busy_s, strict=True):
            wait_s = meter.wait_s(last.time_s, self._moved_s)
            symptoms.append((wait_s / config.wait_s, f"{meter.name} waited {wait_s:.1f} s"))
            share = (after_s - before_s) / span_s
            busy[meter.name] = (share / config.busy, f"{meter.name} busy {100 * share:.0f} %")
        return symptoms, busy

    def _down(self, now_s: float, reason: str) -> Event:
        # A step up that has to be taken back was too early: the next one waits longer.
        relapsed = now_s - self._went_up_s < self._config.up_after_s * self._patience
        self._patience = min(2 * self._patience, _MOST_PATIENCE) if relapsed else 1
        self._held = False
        self._moved_s = now_s
        self._readings.clear()
        self.rung += 1
        return Event(now_s, DOWN, f"{self.step} ({reason})")

    def _up(self, now_s: float) -> Event:
        self._patience = max(1, self._patience // 2) if self._held else self._patience
        self._held = True
        self._went_up_s = self._moved_s = now_s
        self._slack_since_s = None
        self._readings.clear()
        self.rung -= 1
        return Event(now_s, UP, str(self.step))


def reduced_quality(events: Iterable[Event]) -> str:
    """What a session or a recording has given up, in words; "" at full quality.

    Args:
        events: So far, oldest first; those of other kinds do not matter.
    """
    moves = [event for event in events if event.kind in (DOWN, UP, STANDS)]
    detail = moves[-1].detail if moves else str(Step.FULL)
    return "" if detail == Step.FULL else detail
