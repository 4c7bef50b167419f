"""What the stages hand each other, and the last of them: evidence to estimates.

Each worker thread runs a stage: it reads a mailbox, calls one single-owner component, and hands on.
What senses is in ``sensing.py``, words in ``recognition.py``. A stage never starts a thread and never
waits for another stage; only the fusion stage waits, for the watermark or, live, for a deadline.
``session.py`` gives each stage its thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from realtime_er.checkpoint import Checkpoint
from realtime_er.clock import Clock, Standstills
from realtime_er.config import Config
from realtime_er.decision import Decision, DecisionMaker
from realtime_er.feature_cache import EPSILON_S
from realtime_er.ladder import Ladder
from realtime_er.messages import (
    Absence,
    Embedding,
    Estimate,
    Event,
    FaceReport,
    Gap,
    SpeechActivity,
    Timing,
)
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

RESUMED = "session resumed"
"""Kind of the event after which ticks go on: the program, or the whole computer, stood still."""

# What an event says of a device: "camera lost", "microphone silent".
_AWAY = {
    "lost": Absence.LOST,
    "busy": Absence.BUSY,
    "frozen": Absence.FROZEN,
    "back": None,
}
_BLIND = {
    "covered": Absence.COVERED,
    "uncovered": None,
    "silent": Absence.MUTED,
    "sounding": None,
}

_MAKES_NO_TICK = (FaceReport, Embedding, SpeechActivity)
"""Evidence that a watermark follows."""

JUST_BEFORE_S = 1e-6
"""Before the next possible time: watermarks are inclusive, the next piece of evidence is not in."""


@dataclass(slots=True)
class Tally:
    """What a stage did with what it took, in the unit of its edge. One writer: its thread."""

    processed: int = 0
    skipped: int = 0
    tail: int = 0
    overtaken: int = 0
    stale: int = 0

    @property
    def total(self) -> int:
        """All that is known of."""
        return self.processed + self.skipped + self.tail + self.overtaken + self.stale


@dataclass(slots=True)
class Finals:
    """Final segments on their way to recognition: counted where put and where taken, one writer each."""

    put: int = 0
    taken: int = 0

    def waiting(self) -> bool:
        """Whether there is one that has not been taken. Any thread."""
        return self.put > self.taken


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
    """Let a window builder know of a device that went, came back, was muted or covered."""
    name, _, change = event.kind.partition(" ")
    modality = {"camera": "face", "microphone": "audio"}.get(name)
    if event.kind == RESUMED:
        builder.start_at(event.time_s)
    if modality is None:
        return
    if change in _AWAY:
        builder.set_lost(modality, _AWAY[change], event.time_s)
    elif change in ("muted", "unmuted"):
        builder.set_muted(change == "muted", event.time_s)
    elif change in _BLIND:
        builder.set_blind(modality, _BLIND[change], event.time_s)


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
        ladder: Ladder | None,
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
        self._ladder = ladder
        self._last_sound: Embedding | None = None
        self._begun = False  # every track has told how far it is, and not all have ended
        self._standstills = Standstills(clock) if realtime else None

    def run(self) -> None:
        """Until the inbox closes and every tick before the end of the evidence is made."""
        started_s = self._clock.now_s()
        self._builder.start_at(started_s)
        self._finished(started_s)  # a file begins at zero, recorded media where the recording did
        patience_s = self._tick_while_ready()
        while True:
            try:
                message = self._inbox.get(patience_s, self._worth_waking)
            except MailboxClosed:
                break
            if patience_s:  # it may have waited
                self._notice_standstill(patience_s)
            if isinstance(message, TakeCheckpoint):
                message.deliver(Checkpoint(self._builder.state(), self._decider.state()))
            elif isinstance(message, LastSound):
                self._last_sound = message.embedding
            elif message is not None:
                self._take(message)
            if isinstance(message, _MAKES_NO_TICK) and not self._inbox.empty:
                patience_s = 0.0 if patience_s is not None else None
            else:
                patience_s = self._tick_while_ready()
        end_s = self._builder.evidence_end_s()
        if self._realtime:  # sound may run ahead a little, as long as its clock is being learnt
            end_s = min(end_s, self._clock.now_s())
        while self._builder.next_time_s <= end_s + JUST_BEFORE_S:
            self._tick("end")
        if self._last_sound is not None:
            self._whole.end_sound(self._last_sound.end_s)
            for embedding in self._builder.spoken_at_end(self._last_sound):
                self._whole.add_voice(embedding)

    def _notice_standstill(self, patience_s: float) -> None:
        """Leave out the ticks of a time in which nothing ran: no score of then is of any use now."""
        stood = self._standstills.look(patience_s) if self._standstills is not None else None
        if stood is None:
            return
        counted_s, slept_s = stood
        parts = [f"the program stood still for {counted_s:.1f} s"] if counted_s else []
        parts += [f"the computer slept for {slept_s:.0f} s, which do not count"] if slept_s else []
        self._take(Event(self._clock.now_s(), RESUMED, "; ".join(parts)))

    def _worth_waking(self, message: Evidence | TakeCheckpoint | LastSound) -> bool:
        """Whether a message may make a tick; what only belongs to one can wait for it."""
        if isinstance(message, Watermark):
            return not self._begun or message.time_s >= self._builder.next_time_s - EPSILON_S
        return not isinstance(message, _MAKES_NO_TICK)

    def _take(self, message: Evidence) -> None:
        message = add_evidence(message, self._builder)
        if isinstance(message, FaceReport) and message.embedding is not None:
            self._whole.add_face(message.embedding)
        self._observe(message)

    def _tick_while_ready(self) -> float | None:
        """Make the ticks that can be made.

        Returns:
            Seconds until the next one may be due without another message; None when nothing but a
            message can make it.
        """
        builder = self._builder
        while True:
            ready, self._begun = builder.ready(), not math.isinf(builder.horizon_s)
            if not self._begun or not (ready or self._realtime):
                return None  # once everything has ended, the last ticks are made by run()
            if self._realtime:
                due_s = builder.next_time_s + (0.0 if ready else self._config.tick.deadline_s)
                left_s = due_s - self._clock.now_s()
                # Before a deadline closes a tick, what has come by then is taken.
                if left_s > 0.0 or not (ready or self._inbox.empty):
                    return max(0.0, left_s)
            self._tick("watermark" if ready else "deadline")

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
        moved = self._ladder and self._ladder.observe(now_s, now_s - window.end_s)
        if moved:
            self._take(moved)
