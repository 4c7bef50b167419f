"""Which frames and which sound are looked at when not all can be."""

import numpy as np
import pytest

from realtime_er.clock import VirtualClock
from realtime_er.config import load_config
from realtime_er.ladder import Ladder, Step
from realtime_er.messages import AudioBlock, FaceReport, VideoFrame
from realtime_er.perception.face import CropRule, FacePerception
from realtime_er.runtime import Mailbox, MailboxClosed
from realtime_er.sensing import AudioStage, FaceStage
from realtime_er.windows import Watermark
from tests.fakes import ramp
from tests.test_session import FakeAudioEncoder, FakeFaceEncoder, OneFace

CONFIG = load_config("live", {"face.min_sharpness": 0.0})


class Shown:
    """Runs a face stage over frames that all wait for it."""

    def __init__(self, times_s, *, live=True, now_s=0.0, cost_s=None, ladder=None):
        self.clock = VirtualClock(now_s)
        frames = Mailbox("camera>face", 100, "block")
        for index, time_s in enumerate(times_s):
            frames.put(VideoFrame(index, time_s, np.zeros((120, 160, 3), np.uint8)))
        frames.close()
        inbox = Mailbox("a>b", 1000, "block")
        perception = FacePerception(CONFIG.face, OneFace(), CropRule(1.0, 0.0, 48))
        self.ladder = ladder or Ladder(CONFIG.ladder, [], self.clock, 0.15)
        stage = FaceStage(
            frames,
            inbox,
            perception,
            FakeFaceEncoder(),
            lambda _report: None,
            CONFIG,
            self.ladder if live else None,
        )
        for _ in range(3 if cost_s is not None else 0):
            stage._meter.begin()
            self.clock.advance_to(self.clock.now_s() + cost_s)
            stage._meter.end()
        with pytest.raises(MailboxClosed):
            stage.run()
        self.tally = stage.tally
        found = [inbox.get(0.0) for _ in range(inbox.counts().in_flight)]
        self.seen = [message.frame_index for message in found if isinstance(message, FaceReport)]


TIMES_S = np.arange(12) / 30


def test_of_waiting_frames_the_freshest_is_looked_at():
    shown = Shown(TIMES_S)
    assert shown.seen == [11]
    assert (shown.tally.processed, shown.tally.overtaken, shown.tally.skipped) == (1, 11, 0)


def test_a_file_is_looked_at_frame_by_frame():
    shown = Shown(TIMES_S, live=False)
    assert shown.seen == [0, 3, 6, 9]
    assert (shown.tally.processed, shown.tally.overtaken, shown.tally.skipped) == (4, 0, 8)


def test_a_frame_that_no_tick_will_want_is_not_begun():
    shown = Shown([2.0], now_s=0.5, cost_s=0.7)
    assert (shown.seen, shown.tally.stale) == ([], 1)
    in_time = Shown([2.0], now_s=0.9, cost_s=0.4)
    assert (in_time.seen, in_time.tally.stale) == ([0], 0)


def test_fewer_faces_are_looked_at_when_the_ladder_says_so():
    perception = FacePerception(CONFIG.face, OneFace(), CropRule(1.0, 0.0, 48))
    frames = [VideoFrame(i, i / 30, np.zeros((4, 4, 3), np.uint8)) for i in range(60)]
    whole = [frame.index for frame in frames[:30] if perception.due(frame)]
    half = [frame.index for frame in frames[30:] if perception.due(frame, 0.5)]
    assert whole == list(range(0, 30, 3))
    assert half == list(range(30, 60, 6))

    class Down(Ladder):
        def gives_up(self, step):
            return step is Step.FEWER_FACES

    shown = Shown([0.0], ladder=Down(CONFIG.ladder, [], VirtualClock(), 0.15))
    assert shown.seen == [0]


@pytest.mark.parametrize(("cost_s", "left_out"), [(0.07, 48_000 - 320), (0.01, 0)])
def test_sound_is_left_out_in_one_piece_by_an_encoder_that_cannot_catch_up(cost_s, left_out):
    blocks = Mailbox("microphone>audio", 1000, "block", size=lambda block: len(block.samples))
    blocks.policy = "drop_oldest"  # as live
    for first in range(0, 48_000, 320):
        blocks.put(AudioBlock(first, first / 16_000, ramp(first, 320)))
    blocks.close()
    inbox = Mailbox("a>b", 1000, "block")
    ladder = Ladder(CONFIG.ladder, [], VirtualClock(), 0.15)
    stage = AudioStage(blocks, inbox, FakeAudioEncoder(), ladder)
    stage._meter.cost_s = cost_s
    with pytest.raises(MailboxClosed):
        stage.run()
    tally = stage.tally
    assert tally.overtaken == left_out
    assert tally.processed + tally.skipped + tally.tail + tally.overtaken == 48_000


class ManyFaces(FakeFaceEncoder):
    batch_size = 6

    def __init__(self):
        self.sizes = []

    def encode_many(self, pictures):
        self.sizes.append(len(pictures))
        return np.stack([self.encode(picture)[0] for picture in pictures])


def messages_of_file(encoder, times_s, rate_hz):
    frames = Mailbox("camera>face", 100, "block")
    for index, time_s in enumerate(times_s):
        frames.put(VideoFrame(index, time_s, np.full((120, 160, 3), (index, 0, 9), np.uint8)))
    frames.close()
    inbox = Mailbox("a>b", 1000, "block")
    config = load_config("analyze", {"face.min_sharpness": 0.0, "face.rate_hz": rate_hz})
    perception = FacePerception(config.face, OneFace(), CropRule(1.0, 0.0, 48))
    stage = FaceStage(frames, inbox, perception, encoder, lambda _report: None, config, None)
    with pytest.raises(MailboxClosed):
        stage.run()
    messages = [inbox.get(0.0) for _ in range(inbox.waiting)]
    reports = [message for message in messages if isinstance(message, FaceReport)]
    assert stage.tally.processed == len(reports)
    return messages, [(r.time_s, r.embedding and r.embedding.vector.tolist()) for r in reports]


@pytest.mark.parametrize(
    ("rate_hz", "length_s", "sizes"), [(10.0, 2.0, [6, 6, 6, 1]), (2.0, 5.0, [4, 5])]
)
def test_faces_of_a_file_wait_for_each_other_but_not_long(rate_hz, length_s, sizes):
    times_s = np.arange(10 * length_s) / 10
    encoder = ManyFaces()
    messages, reports = messages_of_file(encoder, times_s, rate_hz)
    assert encoder.sizes == sizes  # the first sighting is not a target yet
    assert reports == messages_of_file(FakeFaceEncoder(), times_s, rate_hz)[1]
    known_s = -1.0
    for message in messages:
        if isinstance(message, Watermark):
            known_s = message.time_s
        else:  # no tick went on without what was held
            assert message.time_s > known_s
