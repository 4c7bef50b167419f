"""Which passes of speech recognition are begun, and what becomes of those that are not."""

import itertools

import numpy as np
import pytest

from realtime_er.clock import VirtualClock
from realtime_er.config import load_config
from realtime_er.ladder import Ladder, Step
from realtime_er.messages import Gap, Hypothesis, SpeechSegment
from realtime_er.perception.whisper import Abandoned
from realtime_er.recognition import BEHIND, AsrStage, LivePasses
from realtime_er.runtime import Mailbox, MailboxClosed
from realtime_er.stages import Finals
from realtime_er.windows import Transcribed

CONFIG = load_config("live")


class Steps(Ladder):
    """A ladder that stands where the test puts it."""

    given_up = frozenset()

    def gives_up(self, step):
        return step in self.given_up


class Recognizer:
    """Takes ``cost_s`` of the clock; gives up when it is asked to."""

    has_smaller = True

    def __init__(self, clock, cost_s=0.2, text="so it is"):
        self.clock, self.cost_s, self.text = clock, cost_s, text
        self.small, self.heard = False, []

    def use_smaller(self, smaller):
        self.small = smaller

    def transcribe(self, segment, abandoned=None):
        if abandoned is not None and abandoned():
            raise Abandoned
        self.heard.append((segment.segment_id, segment.revision, self.small))
        self.clock.advance_to(self.clock.now_s() + self.cost_s)
        ends = (segment.start_s, segment.end_s, segment.trigger_s, -1.0)
        text = self.text
        return Hypothesis(segment.segment_id, segment.revision, text, text, segment.is_final, *ends)


class Words:
    encoder_id = "words"

    def encode(self, text):
        return np.zeros(3, np.float32), np.zeros(7, np.float32)


class Desk:
    """The stage on one thread: segments in, what it hands on out."""

    def __init__(self, **recognizer):
        self.clock = VirtualClock()
        self.ladder = Steps(CONFIG.ladder, [], self.clock, 0.15)
        self.finals = Finals()
        self.live = LivePasses(CONFIG, self.ladder, self.clock, self.finals)
        self.recognizer = Recognizer(self.clock, **recognizer)
        self.inbox = Mailbox("a>b", 100, "block")
        self.number = 0

    def run(self, *segments):
        """Hand these over, all at once."""
        box = Mailbox("speech>asr", 100, "block")
        for segment in segments:
            self.finals.put += segment.is_final
            box.put(segment)
        box.close()
        stage = AsrStage(box, self.inbox, self.finals, self.recognizer, Words(), self.live)
        with pytest.raises(MailboxClosed):
            stage.run()
        return stage.tally

    def partials(self, *triggers_s, segment_id=1):
        """Hand partials over as their time comes; the seconds at which one was begun."""
        begun = []
        for trigger_s in triggers_s:
            self.clock.advance_to(trigger_s)
            now_s = self.clock.now_s()
            if self.run(said(segment_id, self.number, trigger_s)).processed:
                begun.append(round(now_s, 3))
            self.number += 1
        return begun

    def messages(self):
        return [self.inbox.get(0.0) for _ in range(self.inbox.counts().in_flight)]


def said(segment_id, revision, trigger_s, *, final=False, paused=False, start_s=0.0):
    samples = np.full(round(16_000 * (trigger_s - start_s)), revision, np.float32)
    return SpeechSegment(
        segment_id, revision, start_s, trigger_s, trigger_s, final, samples, paused
    )


def test_until_there_are_words_partials_come_as_soon_as_asked_for_and_then_at_their_rate():
    desk = Desk(text="")
    asked = [0.6, 0.85, 1.1, 1.35, 1.6]
    assert desk.partials(*asked) == asked
    worded = Desk()
    assert worded.partials(*asked, 2.4) == [0.6, 1.35, 2.4]


def test_a_slow_machine_waits_for_more_than_the_very_beginning():
    slow = Desk(cost_s=0.6, text="")
    slow.live.meter.cost_s = 0.6
    assert slow.partials(0.6, 0.75, 0.9) == [0.9]
    quick = Desk(cost_s=0.1, text="")
    assert quick.partials(0.6, 0.75, 0.9) == [0.6, 0.75, 0.9]


def test_partials_leave_the_recogniser_as_much_time_as_they_take():
    desk = Desk(cost_s=1.5)
    begun = desk.partials(*np.arange(1.0, 20.0, 0.8))
    assert all(b - a >= 3.0 - 1e-9 for a, b in itertools.pairwise(begun[1:]))
    assert len(begun) >= 5


def test_a_pause_is_transcribed_at_once_for_it_may_be_the_end():
    desk = Desk()
    desk.partials(1.0)
    desk.clock.advance_to(1.3)
    assert desk.run(said(1, 5, 1.3, paused=True)).processed == 1


def test_the_ladder_makes_partials_slower_and_ends_them_and_finals_stay():
    desk = Desk()
    desk.ladder.given_up = {Step.SLOW_PARTIALS}
    assert desk.partials(1.0, 1.8, 2.6, 3.4) == [1.0, 3.4]
    desk.ladder.given_up = {Step.SLOW_PARTIALS, Step.NO_PARTIALS}
    assert desk.run(said(1, 6, 6.0), said(1, 7, 7.0, paused=True)).skipped == 2
    assert desk.run(said(1, 8, 7.4, final=True)).processed == 1


def test_at_the_end_of_the_ladder_a_smaller_model_hears():
    desk = Desk()
    desk.run(said(1, 0, 1.0, final=True))
    desk.ladder.given_up = {Step.SMALL_ASR}
    desk.run(said(2, 0, 3.0, final=True))
    desk.ladder.given_up = frozenset()
    desk.run(said(3, 0, 5.0, final=True))
    assert [small for _, _, small in desk.recognizer.heard] == [False, True, False]


def test_no_partial_is_begun_while_a_final_waits():
    desk = Desk()
    tally = desk.run(said(2, 0, 2.0), said(1, 4, 1.5, final=True), said(3, 0, 3.0))
    assert [heard[:2] for heard in desk.recognizer.heard] == [(1, 4), (3, 0)]
    assert (tally.processed, tally.skipped) == (2, 1)


def test_a_partial_is_given_up_when_a_final_comes_and_counted():
    desk = Desk()
    desk.live.too_soon = lambda _segment: False  # the final comes after the pass was begun
    tally = desk.run(said(1, 0, 1.0), said(1, 1, 1.5, final=True))
    assert [heard[:2] for heard in desk.recognizer.heard] == [(1, 1)]
    assert (tally.processed, tally.overtaken) == (1, 1)


def test_words_that_will_have_faded_are_a_gap_and_tried_again_now_and_then():
    desk = Desk(cost_s=4.0)
    for number in range(3):
        desk.run(said(1, number, 1.0, final=True))
    desk.messages()
    desk.clock.advance_to(20.0)
    tally = desk.run(said(2, 0, 3.0, final=True), said(3, 0, 4.0, final=True))
    # Nothing had been tried for a while: the first is; by then the second is hopeless.
    assert (tally.processed, tally.stale) == (1, 1)
    found = desk.messages()
    assert [type(message) for message in found] == [Transcribed, Gap]
    assert found[1] == Gap("text", 0.0, 4.0, BEHIND)


def test_a_repeated_sound_says_nothing_about_what_a_pass_costs():
    desk = Desk(cost_s=1.0)
    pause = said(1, 3, 2.0, paused=True)
    desk.run(pause)
    desk.recognizer.cost_s = 0.0
    desk.run(SpeechSegment(1, 4, 0.0, 2.0, 2.4, True, pause.samples))
    assert desk.live.meter.cost_s == pytest.approx(1.0)
