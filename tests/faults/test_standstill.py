"""The program, or the computer, stands still and goes on: no absurd ages, and it is said."""

from __future__ import annotations

import itertools
import sqlite3

import numpy as np
import pytest

from realtime_er import session as session_module
from realtime_er.clock import SampleClock, SessionClock, Standstills, VirtualClock
from realtime_er.config import load_config
from realtime_er.messages import VideoFrame
from realtime_er.recording.options import RecordOptions
from realtime_er.recording.rebuild import compare, rebuild
from realtime_er.session import Session
from tests.fakes import CountingCamera, FakeSource
from tests.test_session import FakeModels


class JumpingClock(SessionClock):
    """A session's clock that can be put forward."""

    ahead_s = 0.0

    def now_s(self) -> float:
        return super().now_s() + self.ahead_s


class LiveCamera(CountingCamera):
    """Frames of now, and in the middle of them ten minutes in which nothing ran."""

    def __init__(self, clock_of) -> None:
        super().__init__(60.0)
        self.clock_of = clock_of

    def run(self, emit, pacer, stop):
        for index in itertools.count():
            if index == 15:
                JumpingClock.ahead_s = 600.0
            image = self.image.copy()
            image.setflags(write=False)
            emit(VideoFrame(index, self.clock_of().now_s(), image))
            if index == 30 or stop.wait(0.03):
                return


def test_ten_minutes_of_standing_still(tmp_path, monkeypatch):
    monkeypatch.setattr(session_module, "SessionClock", JumpingClock)
    monkeypatch.setattr(JumpingClock, "ahead_s", 0.0)
    config = load_config("live", {"face.min_sharpness": 0.0, "microphone.enabled": False})
    camera = LiveCamera(lambda: session._clock)
    folder = tmp_path / "session"
    session = Session(
        config,
        source=FakeSource(camera, realtime=True),
        models=FakeModels(config),
        record=(folder, RecordOptions()),
    )
    with session:
        estimates = list(session.estimates())
    assert session.accounting().balanced
    steps = np.diff([estimate.index for estimate in estimates])
    assert steps.min() == 1
    assert sorted(steps)[-2:] == [1, pytest.approx(6000, abs=100)]
    ages = [estimate.timing.age_s for estimate in estimates]
    assert min(ages) >= 0
    assert max(ages) < 60
    resumed = [e for e in session.snapshot().events if e.kind == "session resumed"]
    (event,) = resumed
    assert event.detail.startswith("the program stood still for")
    (report,) = session.recordings()
    assert report.ok, report.line()
    with sqlite3.connect(folder / "session.sqlite") as connection:
        compared = compare(rebuild(connection, config, FakeModels(config).head))
    assert compared.equal
    assert compared.n_equal == len(estimates)


def test_sleep_is_told_from_standing_still():
    clock, slept_s = VirtualClock(), [0.0]
    watch = Standstills(clock, lambda: clock.now_s() + slept_s[0])
    assert watch.look() is None
    clock.advance_to(1.5)
    assert watch.look(0.1) is None  # a busy machine
    clock.advance_to(11.5)
    assert watch.look(10.0) is None  # as long as it meant to wait
    slept_s[0] = 3600.0
    clock.advance_to(11.6)
    counted_s, seconds = watch.look(0.1)
    assert counted_s == 0.0
    assert seconds == pytest.approx(3600)
    clock.advance_to(71.6)
    assert watch.look(0.1) == (pytest.approx(59.9), 0.0)
    assert watch.look(0.1) is None


@pytest.mark.parametrize("step_s", [0.05, -0.05])
def test_the_sample_clock_sees_a_step_and_keeps_the_drift(step_s):
    """Less than what is held back for: sound lost, or a sound server that became slower."""
    rng = np.random.default_rng(5)
    clock = SampleClock(16_000)
    off_s = []
    for index in range(90 * 50):
        end = (index + 1) * 320
        true_s = 0.2 + end / 16_000 * (1 + 100e-6) + (step_s if index >= 60 * 50 else 0.0)
        clock.observe(end, true_s + rng.exponential(0.003))
        off_s.append(clock.time_s(end) - true_s)
    assert abs(off_s[60 * 50 - 1]) < 0.005
    assert max(np.abs(off_s[70 * 50 :])) < 0.010  # ten seconds later; it took minutes
    assert abs(off_s[-1]) < 0.005
    assert clock.drift_ppm == pytest.approx(100, abs=40)
