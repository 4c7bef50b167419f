"""Sound comes out the same however it was cut up on its way in."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime_er.config import VadConfig
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock, SpeechActivity, SpeechSegment
from realtime_er.perception.vad import SpeechDetector
from realtime_er.sources.media_decode import BLOCK_SAMPLES, BlockCutter
from realtime_er.sources.resample import StreamingResampler
from tests.properties.bounded import bounded, cut

cuts = st.lists(st.integers(0, 10**9), max_size=25)


@bounded(80)
@given(
    rate_hz=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
    channels=st.integers(1, 3),
    count=st.integers(0, 6000),
    cuts=cuts,
)
def test_resampler_any_split(rate_hz: int, channels: int, count: int, cuts: list[int]) -> None:
    shape = (count, channels)
    sound = np.random.default_rng(count).integers(-9000, 9000, shape, dtype=np.int16)
    whole = StreamingResampler(rate_hz, channels)
    expected = np.concatenate([whole.push(sound), whole.flush()])
    split = StreamingResampler(rate_hz, channels)
    parts = [split.push(sound[first:last]) for first, last in cut(count, cuts)]
    np.testing.assert_array_equal(np.concatenate([*parts, split.flush()]), expected)
    assert abs(len(expected) - count * SAMPLE_RATE_HZ / rate_hz) <= 1


@bounded(60)
@given(count=st.integers(1, 5000), cuts=cuts, start_s=st.floats(0, 1000))
def test_blocks_of_a_file_any_packets(count: int, cuts: list[int], start_s: float) -> None:
    sound = np.random.default_rng(count).integers(-9000, 9000, (count, 1), dtype=np.int16)
    cutter = BlockCutter("microphone")
    blocks = []
    for first, last in cut(count, cuts):
        time_s = start_s + first / SAMPLE_RATE_HZ
        blocks += list(cutter.push(sound[first:last], SAMPLE_RATE_HZ, time_s))
    blocks += list(cutter.flush())
    assert all(isinstance(block, AudioBlock) for block in blocks)  # no gap was seen
    assert [len(block.samples) for block in blocks[:-1]] == [BLOCK_SAMPLES] * (len(blocks) - 1)
    assert [block.first_sample for block in blocks] == list(range(0, count, BLOCK_SAMPLES))
    assert all(block.start_s == start_s + block.first_sample / SAMPLE_RATE_HZ for block in blocks)
    out = np.concatenate([block.samples for block in blocks])
    np.testing.assert_array_equal(out * 32768, sound[:, 0])


class Loud:
    """A voice model for which loud steps are voice."""

    step_samples = 480

    def probability(self, samples):
        return float(np.abs(samples).max() > 0.1)

    def reset(self):
        pass


# Loud and quiet spans of up to 2.4 s, in steps of 10 ms: steps of the model are half and half, too.
spans = st.lists(st.tuples(st.booleans(), st.integers(1, 240)), min_size=1, max_size=12)


def _sound(spans: list[tuple[bool, int]]) -> np.ndarray:
    parts = [np.full(count * 160, 0.5 if loud else 0.001, np.float32) for loud, count in spans]
    return np.concatenate(parts)


def _heard(sound: np.ndarray, pieces: list[tuple[int, int]], config: VadConfig) -> list:
    detector = SpeechDetector(config, 0.8, Loud())
    out = []
    for first, last in pieces:
        out += detector.push(AudioBlock(first, first / SAMPLE_RATE_HZ, sound[first:last]))
    return out + detector.flush()


def _plain(item):
    if isinstance(item, SpeechActivity):
        return item
    return (item.segment_id, item.revision, item.start_s, item.end_s, item.trigger_s,
            item.is_final, item.paused, item.samples.tobytes())  # fmt: skip


@bounded(60)
@given(spans=spans, cuts=cuts)
def test_speech_detector_any_split(spans: list[tuple[bool, int]], cuts: list[int]) -> None:
    sound, config = _sound(spans), VadConfig()
    whole = _heard(sound, [(0, len(sound))], config)
    split = _heard(sound, cut(len(sound), cuts), config)
    assert list(map(_plain, split)) == list(map(_plain, whole))


@bounded(60)
@given(spans=spans, max_segment_s=st.floats(1.5, 6.0))
def test_what_the_speech_detector_promises(
    spans: list[tuple[bool, int]], max_segment_s: float
) -> None:
    sound = _sound(spans)
    out = _heard(sound, [(0, len(sound))], VadConfig(max_segment_s=max_segment_s))
    steps = [item for item in out if isinstance(item, SpeechActivity)]
    assert steps[0].start_s == 0
    assert abs(steps[-1].end_s - len(sound) / SAMPLE_RATE_HZ) < 1e-5
    for before, after in itertools.pairwise(steps):
        assert before.end_s == after.start_s  # time is told whole
    segments = [item for item in out if isinstance(item, SpeechSegment)]
    for segment in segments:
        assert segment.start_s < segment.end_s <= segment.trigger_s + 1e-6
        assert len(segment.samples) <= max_segment_s * SAMPLE_RATE_HZ
        first = round(segment.start_s * SAMPLE_RATE_HZ)
        np.testing.assert_array_equal(segment.samples, sound[first : first + len(segment.samples)])
    for before, after in itertools.pairwise(segments):
        if after.segment_id == before.segment_id:
            assert not before.is_final
            assert after.revision == before.revision + 1
            assert after.start_s == before.start_s
        else:
            # One that was shown has an end; none begins before the last one has ended.
            assert before.is_final
            assert (after.segment_id > before.segment_id, after.revision) == (True, 0)
            assert after.start_s >= before.end_s
    assert not segments or segments[-1].is_final
