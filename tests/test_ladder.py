"""The ladder by itself, with a clock that the test moves."""

import itertools

import pytest

from realtime_er.clock import VirtualClock
from realtime_er.config import LadderConfig
from realtime_er.ladder import DOWN, STANDS, UP, Ladder, Meter, Step, reduced_quality
from realtime_er.messages import Event

STEPS = [Step.SLOW_PARTIALS, Step.FEWER_FACES, Step.NO_PARTIALS]
CONFIG = LadderConfig()


class Session:
    """Ten ticks a second; one stage that works for a share of each."""

    def __init__(self, steps=STEPS, config=CONFIG, deadline_s=0.15):
        self.clock = VirtualClock()
        self.ladder = Ladder(config, steps, self.clock, deadline_s)
        self.meter = self.ladder.meter("face")
        self.events = []
        self.tick = 0

    def run(self, seconds, *, busy=0.1, age_s=0.05, wait_s=0.0):
        for _ in range(round(10 * seconds)):
            start_s = self.tick / 10
            self.clock.advance_to(start_s)
            self.meter.begin(start_s - wait_s)
            self.clock.advance_to(start_s + 0.1 * busy)
            self.meter.end()
            self.tick += 1
            event = self.ladder.observe(self.clock.now_s(), age_s)
            if event is not None:
                self.events.append(event)
        return [(round(event.time_s), event.kind, event.detail) for event in self.events]


@pytest.mark.parametrize(
    ("overload", "reason"),
    [
        ({"busy": 0.97}, "face busy 97 %"),
        ({"age_s": 0.4}, "scores 250 ms late"),
        ({"wait_s": 0.8}, "face waited 0.8 s"),
    ],
)
def test_each_kind_of_overload_goes_down_one_step_after_some_seconds(overload, reason):
    session = Session()
    session.run(2.9, **overload)
    assert session.ladder.rung == 0
    session.run(1.0, **overload)
    assert session.ladder.step is Step.SLOW_PARTIALS
    assert session.events[0].kind == DOWN
    assert session.events[0].detail == f"partial words come slower ({reason})"


def test_a_short_burst_is_no_overload():
    session = Session()
    for _ in range(10):
        session.run(2.0, busy=0.99)
        session.run(1.0)
    assert session.events == []


def test_it_goes_down_step_by_step_to_its_end_and_up_again():
    session = Session()
    session.run(20, busy=0.99)
    assert session.ladder.rung == 3
    assert all(session.ladder.gives_up(step) for step in STEPS)
    session.run(60)
    kinds = [event.kind for event in session.events]
    assert kinds == [DOWN] * 3 + [UP] * 3
    assert not any(session.ladder.gives_up(step) for step in STEPS)
    gaps = [b.time_s - a.time_s for a, b in itertools.pairwise(session.events[3:])]
    assert all(gap >= CONFIG.up_after_s for gap in gaps)


def test_a_step_is_not_taken_back_while_what_it_relieves_has_no_room():
    session = Session([Step.FEWER_FACES])
    session.run(4, busy=0.99)
    session.run(120, busy=0.7)
    assert session.ladder.rung == 1
    session.run(15, busy=0.4)
    assert session.ladder.rung == 0


def test_a_busy_stage_does_not_hold_back_a_step_that_relieves_another():
    session = Session([Step.SLOW_PARTIALS])
    session.run(4, busy=0.99)
    session.run(30, busy=0.7)
    assert session.ladder.rung == 0


def test_a_step_up_that_has_to_be_taken_back_is_tried_less_often():
    """A load that fits on the step below but not on the one above."""
    session = Session(STEPS[:1])
    for _ in range(3000):
        session.run(0.1, busy=0.99 if session.ladder.rung == 0 else 0.3)
    ups = [event.time_s for event in session.events if event.kind == UP]
    waits = [b - a for a, b in itertools.pairwise(ups)]
    assert waits[0] < waits[-1]
    assert waits[-1] > 3 * CONFIG.up_after_s
    assert len(ups) < 15


def test_switched_off_it_stays_where_it_is():
    session = Session(config=LadderConfig(enabled=False))
    session.run(30, busy=1.0, age_s=3.0)
    assert session.events == []


def test_a_session_has_only_the_steps_it_was_given():
    session = Session([Step.FEWER_FACES])
    session.run(30, busy=0.99)
    assert session.ladder.rung == 1
    assert session.ladder.gives_up(Step.FEWER_FACES)
    assert not session.ladder.gives_up(Step.SLOW_PARTIALS)
    assert not session.ladder.gives_up(Step.FULL)


def test_work_that_would_be_too_old_is_not_begun_but_tried_now_and_then():
    clock = VirtualClock()
    meter = Meter("face", clock)
    for end_s in (3.0, 3.4, 3.8):  # the first one was slow
        assert not meter.too_late(0.0, 0.5)  # too little is known of what it costs
        meter.begin(0.0)
        clock.advance_to(end_s)
        meter.end()
    assert not meter.too_late(3.75, 0.5)
    assert meter.too_late(3.65, 0.5)
    clock.advance_to(9.0)
    assert not meter.too_late(3.65, 0.5)


def test_what_is_not_typical_does_not_change_the_estimate():
    clock = VirtualClock()
    meter = Meter("words", clock)
    for took_s, typical in ((1.0, True), (0.0, False), (60.0, True), (1.2, True)):
        meter.begin()
        clock.advance_to(clock.now_s() + took_s)
        meter.end(typical=typical)
    assert meter.cost_s == pytest.approx(1.2)  # nor does a program that stood still once
    assert meter.busy_s(clock.now_s()) == pytest.approx(62.2)


def test_a_pass_that_runs_counts_as_work():
    clock = VirtualClock(5.0)
    meter = Meter("words", clock)
    meter.begin(2.0)
    assert meter.busy_s(8.0) == pytest.approx(3.0)


def test_waits_are_the_less_of_the_last_two_and_are_forgotten():
    clock = VirtualClock(5.0)
    meter = Meter("words", clock)
    meter.begin(2.0)
    assert meter.wait_s(5.0, 0.0) == 0.0  # one may be an accident
    meter.end()
    clock.advance_to(6.0)
    meter.begin(5.4)
    assert meter.wait_s(6.0, 0.0) == pytest.approx(0.6)
    assert meter.wait_s(6.0, 5.5) == 0.0  # not two since the last step
    assert meter.wait_s(60.0, 0.0) == 0.0
    meter.end()
    meter.begin()  # nobody waited for this one
    assert meter.wait_s(6.0, 0.0) == pytest.approx(0.6)


def test_the_words_of_what_is_given_up():
    down = Event(1.0, DOWN, "fewer faces a second (face busy 99 %)")
    other = Event(2.0, "camera lost")
    assert reduced_quality([]) == ""
    assert reduced_quality([down, other]) == "fewer faces a second (face busy 99 %)"
    assert reduced_quality([down, Event(3.0, UP, "full quality")]) == ""
    assert reduced_quality([Event(0.0, STANDS, "whole utterances")]) == "whole utterances"


def test_a_recording_that_begins_below_full_quality_is_told_so():
    session = Session()
    assert session.ladder.standing(0.0) is None
    session.run(4, busy=0.99)
    assert session.ladder.standing(4.0) == Event(4.0, STANDS, "partial words come slower")
