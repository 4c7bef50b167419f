"""The detector on scripted probabilities, and both real models on real sound."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from realtime_er.config import VadConfig
from realtime_er.errors import WeightsMissing
from realtime_er.messages import AudioBlock, FloatArray, SpeechActivity, SpeechSegment
from realtime_er.perception.vad import SpeechDetector, State
from realtime_er.perception.voices import SileroVoice, VoiceModel, WebRtcVoice, make_voice_model
from tests.perception.sounds import NOT_SPEECH

STEP = 160  # 10 ms
CONFIG = VadConfig(onset_s=0.05, hangover_s=0.3, preroll_s=0.1, max_segment_s=3.0)


class Script:
    """Says speech where the samples are above 0.5; a NaN gives a NaN."""

    step_samples = STEP

    def __init__(self) -> None:
        self.resets = 0

    def probability(self, samples: FloatArray) -> float:
        return float(np.mean(samples))

    def reset(self) -> None:
        self.resets += 1


def sound(*parts: tuple[float, float]) -> FloatArray:
    """Spans of (seconds, value)."""
    return np.concatenate([np.full(round(s * 16_000), v, np.float32) for s, v in parts])


def run(samples: FloatArray, block: int = 320, **changes: float) -> list[object]:
    config = VadConfig(**{**CONFIG.__dict__, **changes})  # type: ignore[arg-type]
    detector = SpeechDetector(config, 0.5, Script())
    out: list[object] = []
    for at in range(0, len(samples), block):
        out += detector.push(AudioBlock(at, at / 16_000, samples[at : at + block]))
    return out + detector.flush()


def segments(out: list[object]) -> list[SpeechSegment]:
    return [item for item in out if isinstance(item, SpeechSegment)]


def finals(out: list[object]) -> list[SpeechSegment]:
    return [item for item in segments(out) if item.is_final]


def test_segment_has_preroll_and_tail() -> None:
    (segment,) = finals(run(sound((1, 0), (1, 1), (1, 0))))
    assert segment.start_s == pytest.approx(0.9)
    assert segment.end_s == pytest.approx(2.2)
    assert segment.trigger_s == pytest.approx(2.3)
    assert len(segment.samples) == 1.3 * 16_000
    assert not segment.samples.flags.writeable


def test_partials_come_in_stream_time_with_rising_revisions() -> None:
    items = segments(run(sound((1, 0), (2, 1), (1, 0))))
    early, usual, pause = items[:4], items[4:-2], items[-2]
    assert [item.is_final for item in items] == [False] * 8 + [True]
    assert [item.revision for item in items] == list(range(9))
    assert [item.trigger_s for item in early] == pytest.approx([1.23, 1.36, 1.49, 1.62])
    assert [item.trigger_s for item in usual] == pytest.approx([1.75, 2.25, 2.75])
    assert pause.trigger_s == pytest.approx(3.2)
    assert [item.paused for item in items] == [False] * 7 + [True, False]
    assert {item.start_s for item in items} == {items[0].start_s}


def test_the_partial_of_a_pause_has_the_samples_of_the_final() -> None:
    items = segments(run(sound((1, 0), (1.237, 1), (1, 0))))
    partial, final = items[-2:]
    assert (partial.paused, final.is_final) == (True, True)
    assert partial.samples.tobytes() == final.samples.tobytes()
    assert (partial.start_s, partial.end_s) == (final.start_s, final.end_s)
    assert final.trigger_s - partial.trigger_s == pytest.approx(0.1)


def test_partials_count_voice_and_not_pauses() -> None:
    steady = [item.trigger_s for item in segments(run(sound((1, 0), (2, 1)))) if not item.paused]
    gappy = segments(run(sound((1, 0), *[(0.1, 1), (0.1, 0)] * 10)))
    assert len(gappy) < len(steady)
    assert not [item for item in gappy if item.paused and item.trigger_s < 2.9]


def test_without_a_hurry_partials_are_as_far_apart_as_they_are_said_to_be() -> None:
    detector = SpeechDetector(CONFIG, 0.5, Script())
    detector.hurried = False
    out = detector.push(AudioBlock(0, 0.0, sound((1, 0), (2, 1), (1, 0))))
    partials = [item for item in out if isinstance(item, SpeechSegment) and not item.is_final]
    assert [item.trigger_s for item in partials] == pytest.approx([1.5, 2.0, 2.5, 3.0])
    assert not any(item.paused for item in partials)


def test_a_click_has_no_partial() -> None:
    assert not segments(run(sound((1, 0), (0.1, 1), (1, 0))))


def test_activity_covers_all_time_once_and_is_causal() -> None:
    out = run(sound((1, 0), (1, 1), (1.005, 0)))
    activity = [item for item in out if isinstance(item, SpeechActivity)]
    assert activity[0].start_s == 0.0
    assert activity[-1].end_s == pytest.approx(3.005)
    for before, after in itertools.pairwise(activity):
        assert after.start_s == pytest.approx(before.end_s, abs=2e-6)
    speaking = [item for item in activity if item.speaking]
    assert speaking[0].start_s == pytest.approx(1.04)  # the step that confirms the onset
    assert speaking[-1].end_s == pytest.approx(2.0)  # not in the hangover
    assert activity[0].level_dbfs == -120.0
    assert speaking[0].level_dbfs == pytest.approx(0.0)


@pytest.mark.parametrize("spike_s", [0.01, 0.04])
def test_short_spike_opens_nothing(spike_s: float) -> None:
    assert not segments(run(sound((1, 0), (spike_s, 1), (1, 0))))


def test_confirmed_but_tiny_speech_gives_no_segment() -> None:
    assert not segments(run(sound((1, 0), (0.15, 1), (1, 0))))


def test_short_pause_does_not_split_and_long_one_does() -> None:
    assert len(finals(run(sound((1, 1), (0.2, 0), (1, 1), (1, 0))))) == 1
    one, two = finals(run(sound((1, 1), (0.4, 0), (1, 1), (1, 0))))
    assert two.segment_id == one.segment_id + 1
    assert two.start_s >= one.end_s


def test_long_speech_is_cut_without_losing_or_repeating_a_sample() -> None:
    items = finals(run(sound((10, 1), (1, 0))))
    assert len(items) == 4
    assert all(len(item.samples) <= 3.0 * 16_000 for item in items)
    for before, after in itertools.pairwise(items):
        assert after.start_s == pytest.approx(before.end_s, abs=2e-6)
    assert sum(len(item.samples) for item in items) == pytest.approx(10.2 * 16_000, abs=STEP)


def test_long_speech_is_cut_at_the_quietest_place() -> None:
    first = finals(run(sound((2.5, 1), (0.02, 0.6), (2, 1), (1, 0))))[0]
    assert first.end_s == pytest.approx(2.5, abs=0.011)


@pytest.mark.parametrize("block", [1, 77, 160, 161, 5000, 10**6])
def test_block_size_changes_nothing(block: int) -> None:
    rng = np.random.default_rng(5)
    values = np.repeat(rng.uniform(0, 1, 40), 16_00).astype(np.float32)
    reference, other = run(values, 320), run(values, block)
    assert len(reference) == len(other)
    for a, b in zip(reference, other, strict=True):
        if isinstance(a, SpeechSegment):
            assert isinstance(b, SpeechSegment)
            assert a.samples.tobytes() == b.samples.tobytes()
            assert (a.segment_id, a.revision, a.is_final) == (b.segment_id, b.revision, b.is_final)
            assert (a.start_s, a.end_s, a.trigger_s) == (b.start_s, b.end_s, b.trigger_s)
        else:
            assert a == b


def test_times_follow_the_stamps_of_the_blocks() -> None:
    samples, detector, out = sound((1, 0), (1, 1), (1, 0)), SpeechDetector(CONFIG, 9, Script()), []
    for at in range(0, len(samples), 320):
        stamp_s = 5.0 + at / 16_000 * 1.001
        out += detector.push(AudioBlock(at, stamp_s, samples[at : at + 320]))
    (segment,) = finals(out)
    assert segment.start_s == pytest.approx(5 + 0.9 * 1.001, abs=1e-4)
    assert segment.end_s == pytest.approx(5 + 2.2 * 1.001, abs=1e-4)


def test_loss_closes_the_segment_and_resets_the_model() -> None:
    model = Script()
    detector = SpeechDetector(CONFIG, 9, model)
    assert not finals(detector.push(AudioBlock(0, 0.0, sound((1.003, 1)))))
    resets = model.resets
    out = detector.push(AudioBlock(32_000, 2.0, sound((1, 1), (1, 0))))
    one, two = finals(out)
    assert one.end_s == pytest.approx(1.003)
    assert two.start_s == pytest.approx(2.0)  # no pre-roll across the loss
    assert model.resets == resets + 1


def test_samples_delivered_twice_count_once() -> None:
    detector = SpeechDetector(CONFIG, 9, Script())
    detector.push(AudioBlock(0, 0.0, sound((1, 0))))
    again = detector.push(AudioBlock(8_000, 0.5, sound((1, 0))))
    assert sum(i.end_s - i.start_s for i in again if isinstance(i, SpeechActivity)) == (
        pytest.approx(0.5)
    )
    assert detector.position_s == pytest.approx(1.5)


def test_end_of_audio_closes_once() -> None:
    detector = SpeechDetector(CONFIG, 9, Script())
    detector.push(AudioBlock(0, 0.0, sound((1, 1))))
    assert not detector.end_of_audio(1.5)
    (segment,) = finals(list(detector.end_of_audio(2.1)))
    assert segment.trigger_s == 2.1
    assert detector.state is State.QUIET
    assert not detector.end_of_audio(3.0)
    assert detector.position_s == pytest.approx(1.0)


def test_not_a_number_does_not_stick() -> None:
    assert len(finals(run(sound((0.5, np.nan), (1, 1), (1, 0))))) == 1


def test_memory_stays_bounded_in_endless_speech_and_silence() -> None:
    detector = SpeechDetector(CONFIG, 9, Script())
    for index in range(60):
        value = float(index < 30)
        detector.push(AudioBlock(index * 16_000, float(index), sound((1, value))))
        assert len(detector._segment) <= 300
        assert len(detector._before) <= 15
        assert len(detector._anchors) <= 2


@pytest.fixture(params=["silero", "webrtc"])
def model(request: pytest.FixtureRequest) -> VoiceModel:
    try:
        return make_voice_model(request.param)
    except WeightsMissing as error:
        pytest.skip(str(error))


def test_real_models_start_over_after_reset_and_leave_their_input_alone(model: VoiceModel) -> None:
    samples = np.random.default_rng(1).standard_normal((20, model.step_samples)) * 0.1
    steps = samples.astype(np.float32)
    steps.flags.writeable = False
    first = [model.probability(step) for step in steps]
    model.reset()
    assert [model.probability(step) for step in steps] == first
    assert all(0.0 <= value <= 1.0 for value in first)


def test_silero_carries_state_between_calls() -> None:
    pytest.importorskip("faster_whisper")
    from faster_whisper.vad import get_vad_model

    rng = np.random.default_rng(3)
    sound = (rng.standard_normal(512 * 40) * np.repeat(rng.uniform(0, 0.3, 40), 512)).astype("f4")
    voice = SileroVoice()
    ours = [voice.probability(step) for step in sound.reshape(-1, 512)]
    # Their wrapper writes into its input, hence the copy.
    theirs = np.asarray(get_vad_model()(sound.copy())).reshape(-1)
    # It also zeroes the last context of the whole signal, which shifts to the first step.
    np.testing.assert_allclose(ours[:-1], theirs[:-1], atol=1e-3)


@pytest.mark.parametrize("name", NOT_SPEECH)
def test_silero_finds_no_speech_where_there_is_none(name: str) -> None:
    try:
        detector = SpeechDetector(VadConfig(), 0.8, SileroVoice())
    except WeightsMissing as error:
        pytest.skip(str(error))
    out = detector.push(AudioBlock(0, 0.0, NOT_SPEECH[name](20.0))) + detector.flush()
    assert not finals(list(out))


def test_silero_finds_real_speech_between_silences(clips_dir: Path) -> None:
    import soxr

    sf = pytest.importorskip("soundfile")
    samples, rate = sf.read(clips_dir / "speech_jfk.flac", dtype="float32")
    speech = soxr.resample(samples.mean(axis=1), rate, 16_000).astype(np.float32)
    silence = np.zeros(32_000, np.float32)
    track = np.concatenate([silence, speech, silence])
    try:
        detector = SpeechDetector(VadConfig(), 0.8, SileroVoice())
    except WeightsMissing as error:
        pytest.skip(str(error))
    out = list(detector.push(AudioBlock(0, 0.0, track)) + detector.flush())
    found = finals(out)
    assert 2 <= len(found) <= 6
    assert 1.9 <= found[0].start_s <= 2.4
    assert 12.0 <= found[-1].end_s <= 13.3
    assert segments(out)[0].trigger_s - 2.3 <= 0.9  # first partial soon after the onset


def test_webrtc_hears_speech_and_not_silence() -> None:
    try:
        voice = WebRtcVoice()
    except WeightsMissing as error:
        pytest.skip(str(error))
    assert voice.probability(np.zeros(480, np.float32)) == 0.0
