"""A live session on a simulated computer that cannot carry it: what is late, left out and counted.

The fakes at the model boundary take time of the simulated processors; the stages, mailboxes, ladder
and fusion are the real ones. Every run is the same.
"""

from __future__ import annotations

import itertools
from contextlib import closing

import numpy as np
import pytest

from realtime_er.config import load_config
from realtime_er.ladder import DOWN, UP, Step
from realtime_er.messages import AudioBlock, VideoFrame
from realtime_er.perception.vad import SpeechDetector
from realtime_er.recording.database import create_database
from realtime_er.recording.rebuild import compare, rebuild
from realtime_er.recording.store import Store
from realtime_er.session import Session
from tests.fakes import FakeSource, ramp
from tests.test_session import (
    EchoRecognizer,
    FakeAudioEncoder,
    FakeFaceEncoder,
    FakeModels,
    Voice,
)
from tests.virtual_machine import VirtualMachine

RATE_HZ = 16_000
# Processor seconds at load 1: a fifth of one processor for faces, as much for the voice, and a pass
# of speech recognition as Whisper tiny's. Two processors carry about twice that.
FACE_S, VOICE_S, WORDS_S = 0.04, 0.032, 0.3


class Camera:
    kind, name = "video", "camera"

    def __init__(self, machine, seconds):
        self.machine, self.seconds = machine, seconds

    def open(self):
        pass

    def run(self, emit, pacer, stop):
        image = np.full((120, 160, 3), 90, np.uint8)
        image.setflags(write=False)
        for index in range(round(30 * self.seconds)):
            self.machine.wait_until(index / 30)
            if stop.is_set():
                return
            emit(VideoFrame(index, index / 30, image))

    def close(self):
        pass

    def info(self):
        return {}


class Microphone(Camera):
    kind, name = "audio", "microphone"

    def run(self, emit, pacer, stop):
        for first in range(0, round(RATE_HZ * self.seconds), 320):
            self.machine.wait_until((first + 320) / RATE_HZ)
            if stop.is_set():
                return
            samples = ramp(first, 320)
            samples.setflags(write=False)
            emit(AudioBlock(first, first / RATE_HZ, samples))


class Talker(Voice):
    """Somebody who speaks for four of five seconds."""

    def probability(self, samples):
        return 1.0 if round(float(samples[0]) * 2**23) / RATE_HZ % 5.0 < 4.0 else 0.0


class HeavyModels(FakeModels):
    """Models that cost ``load(now_s)`` times what two processors easily carry."""

    def __init__(self, config, machine, load):
        super().__init__(config)
        self.machine, self.load_at = machine, load
        self.later = None
        self.begun = []  # (what, when, how old what it is about was)
        heavy = self

        class Face(FakeFaceEncoder):
            def encode(self, crop):
                heavy.cost(FACE_S)
                return super().encode(crop)

        class Words(EchoRecognizer):
            has_smaller = False

            def transcribe(self, segment, abandoned=None):
                kind = "final" if segment.is_final else "partial"
                heavy.begun.append((kind, machine.now_s(), machine.now_s() - segment.trigger_s))
                heavy.cost(WORDS_S)
                return super().transcribe(segment)

        self.face, self.recognizer = Face(), Words()

    def at(self, time_s, action):
        self.later = (time_s, action)

    def cost(self, processor_s):
        if self.later is not None and self.machine.now_s() >= self.later[0]:
            action, self.later = self.later[1], None
            action()
        self.machine.compute(processor_s * self.load_at(self.machine.now_s()))

    def load(self, **wanted):
        heavy = self

        class Steps(FakeAudioEncoder):
            def push(self, first_sample, samples):
                done = super().push(first_sample, samples)
                for _ in done:
                    heavy.cost(VOICE_S)
                return done

        self.audio = Steps()

    def speech_detector(self):
        asr, vad = self.config.asr, self.config.vad
        return SpeechDetector(vad, asr.partial_every_s, Talker(None))


class Run:
    """One session from its first to its last tick."""

    def __init__(self, monkeypatch, load, seconds, **changes):
        self.machine = VirtualMachine(processors=2)
        with monkeypatch.context() as patch:
            self.machine.install(patch)
            config = load_config("live", {"face.min_sharpness": 0.0, **changes})
            self.models = HeavyModels(config, self.machine, load)
            devices = (Camera(self.machine, seconds), Microphone(self.machine, seconds))
            source = FakeSource(*devices, realtime=True)
            self.config = config
            with Session(config, source=source, models=self.models) as session:
                self.seen = []  # what a recorder would get, from the middle of the first speech on
                self.models.at(2.0, lambda: session._graph.attach(self, np.inf))
                self.estimates = list(session.estimates())
                self.events = session.snapshot().events
                self.accounting = session.accounting()
                self.edges = {edge.name: edge for edge in session.edges()}
                self.gaps = session.gaps

    def offer(self, message):
        self.seen.append(message)

    def ages_s(self, since_s=5.0):
        return np.array([e.timing.age_s for e in self.estimates if e.time_s > since_s])

    def evidence_s(self, modality, since_s=5.0):
        found = [e.timing.evidence_age_s[modality] for e in self.estimates if e.time_s > since_s]
        return np.array([age for age in found if age is not None])

    def account(self, edge):
        return next(e for e in self.accounting.edges if e.counts.name == edge)

    def moves(self):
        return [(e.kind, e.detail) for e in self.events if e.kind in (DOWN, UP)]


@pytest.fixture(scope="module")
def runs():
    """Load to run; made once, for a minute each."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield {load: Run(monkeypatch, lambda _now, k=load: k, 60.0) for load in (1, 8)}


def test_what_the_machine_carries_is_carried_whole(runs):
    run = runs[1]
    assert run.moves() == []
    assert run.accounting.balanced, run.accounting.lines()
    assert np.quantile(run.ages_s(), 0.99) < 0.25
    face, words = run.account("camera>face"), run.account("speech>asr")
    assert face.counts.dropped == face.overtaken == face.stale == 0
    assert face.processed == 600
    assert words.counts.dropped == words.stale == 0


def test_at_four_times_what_it_carries_ages_stay_bounded_and_everything_is_counted(runs):
    # Two processors carry the double load, not eight times it.
    run = runs[8]
    config = load_config("live")
    assert run.accounting.balanced, run.accounting.lines()
    assert np.quantile(run.ages_s(), 0.99) <= config.tick.deadline_s + config.tick.hop_s
    assert run.evidence_s("face").max() <= config.face.max_age_s + 1e-6
    assert run.evidence_s("text").max() <= config.text.fade_s + 1e-6
    # No queue grew: not over the run, and none beyond what its mailbox holds.
    ages_s = run.ages_s()
    half = len(ages_s) // 2
    assert np.quantile(ages_s[half:], 0.99) <= np.quantile(ages_s[:half], 0.99) + 0.02
    assert run.edges["camera>face"].high_water <= 8
    assert run.edges["speech>asr"].high_water <= 8
    # What was left out says so.
    face = run.account("camera>face")
    assert face.processed < 600
    assert face.overtaken + face.stale + face.counts.dropped > 0
    assert sum(gap.stream == "text" for gap in run.gaps) == run.account("speech>asr").stale


def test_the_ladder_is_taken_down_in_order_and_its_steps_are_events(runs):
    kinds, details = zip(*runs[8].moves(), strict=True)
    assert set(kinds) == {DOWN}
    names = [detail.partition(" (")[0] for detail in details]
    assert names == [Step.SLOW_PARTIALS, Step.FEWER_FACES, Step.NO_PARTIALS]


def test_no_partial_is_begun_while_a_final_waits(runs):
    for run in runs.values():
        finals = [(at - age, at) for kind, at, age in run.models.begun if kind == "final"]
        partials = [at for kind, at, _ in run.models.begun if kind == "partial"]
        assert finals
        for asked_s, begun_s in finals:
            assert not [at for at in partials if asked_s < at < begun_s]


def test_what_the_ladder_changed_is_recomputed_byte_for_byte(runs, tmp_path):
    run = runs[8]
    with closing(create_database(tmp_path / "session.sqlite")) as connection:
        store = Store(connection)
        for message in run.seen:
            store.add(message)
        store.commit()
        moves = connection.execute("SELECT kind FROM events WHERE kind LIKE 'ladder%'").fetchall()
        compared = compare(rebuild(connection, run.config, run.models.head))
    assert [row[0] for row in moves] == [DOWN] * 3
    assert compared.n_both > 500
    assert compared.equal, compared.line()


def test_it_comes_back_when_the_load_goes(monkeypatch):
    run = Run(monkeypatch, lambda now_s: 6.0 if now_s < 20.0 else 1.0, 80.0)
    kinds = [kind for kind, _ in run.moves()]
    assert kinds == [DOWN] * 3 + [UP] * 3
    assert run.moves()[-1] == (UP, str(Step.FULL))
    ups = [e.time_s for e in run.events if e.kind == UP]
    assert all(later - earlier > 9.0 for earlier, later in itertools.pairwise(ups))
    late = [e for e in run.estimates if e.time_s > 70.0]
    assert not [e for e in late if "face" in e.absent]


def test_the_same_load_gives_the_same_run(monkeypatch):
    first, second = (Run(monkeypatch, lambda _now: 6.0, 12.0) for _ in range(2))
    assert [e.to_record() for e in first.estimates] == [e.to_record() for e in second.estimates]
    assert first.ages_s(0.0).tolist() == second.ages_s(0.0).tolist()
    assert first.moves() == second.moves()
    assert first.accounting.lines() == second.accounting.lines()
