"""Windows of sound through the audio stage and into the score of a whole recording."""

import numpy as np
import pytest

from realtime_er.bundles.paper_voice import PaperVoice
from realtime_er.fusion.aggregation import audio_windows, recording_vector
from realtime_er.messages import SAMPLE_RATE_HZ, AudioBlock, Embedding
from realtime_er.runtime import Mailbox, MailboxClosed
from realtime_er.sensing import AudioStage
from realtime_er.stages import LastSound
from realtime_er.whole import WindowsOfSound
from realtime_er.windows import Watermark


class Summing:
    """Describes a window so that every sample and its place matter."""

    encoder_id = "summing"
    dim = 2

    def encode(self, windows):
        ramp = np.linspace(0.0, 1.0, windows.shape[1])
        features = np.stack([windows.mean(axis=1), (windows * ramp).mean(axis=1)], axis=1)
        return features.astype(np.float32), features[:, :1].astype(np.float32)


def sound(n_samples, seed=0):
    return np.random.default_rng(seed).normal(size=n_samples).astype(np.float32)


def drive(runs, block=4800, policy="block"):
    """The messages of an audio stage that hears these (first sample, samples), and its tally."""
    blocks = Mailbox("in", 4000, policy, size=lambda one: len(one.samples))
    inbox = Mailbox("out", 4000, "block")
    for first, samples in runs:
        for start in range(0, len(samples), block):
            at = first + start
            part = samples[start : start + block]
            blocks.put(AudioBlock(at, 10.0 + at / SAMPLE_RATE_HZ, part))
    blocks.close()
    stage = AudioStage(blocks, inbox, PaperVoice(Summing()))
    with pytest.raises(MailboxClosed):
        stage.run()
    inbox.close()
    messages = []
    while True:
        try:
            messages.append(inbox.get())
        except MailboxClosed:
            return messages, stage.tally


@pytest.mark.parametrize("seconds", [0.1, 1.9, 2.0, 3.3, 4.0, 5.0, 6.0, 7.99, 8.0, 11.3])
def test_a_file_is_described_by_the_published_windows(seconds):
    samples = sound(round(seconds * SAMPLE_RATE_HZ))
    messages, _ = drive([(0, samples)])
    whole = WindowsOfSound()
    for message in messages:
        if isinstance(message, Embedding):
            whole.add(message)
    (last,) = [message for message in messages if isinstance(message, LastSound)]
    whole.add(last.embedding)
    expected = recording_vector(Summing().encode(audio_windows(samples))[0])
    np.testing.assert_allclose(whole.value(None), expected, atol=1e-6)
    assert last.embedding.end_s == pytest.approx(10.0 + seconds)


def test_spans_watermarks_and_accounts_of_overlapping_windows():
    # 9 s, of which the second from 5 s on is lost; then 1 s that fills no window.
    samples = sound(9 * SAMPLE_RATE_HZ)
    lost = slice(5 * SAMPLE_RATE_HZ, 6 * SAMPLE_RATE_HZ)
    messages, tally = drive([(0, samples[: lost.start]), (lost.stop, samples[lost.stop :])])
    spans = [(m.start_s, m.end_s) for m in messages if isinstance(m, Embedding)]
    np.testing.assert_allclose(spans, [(10, 12), (10, 14), (16, 18)], atol=1e-9)
    # What never filled a window: 1 s before the loss, 1 s at the end.
    assert (tally.processed, tally.tail) == (3 * 32_000, 2 * 16_000)
    assert tally.processed + tally.tail == 8 * SAMPLE_RATE_HZ
    marks = [m.time_s for m in messages if isinstance(m, Watermark)]
    assert sorted({round(mark, 3) for mark in marks}) == [12, 14, 16, 18, 20]
    assert marks == sorted(marks)
    # A window is handed over before the watermark that lets its tick close.
    order = [m for m in messages if isinstance(m, Embedding | Watermark)]
    for place, message in enumerate(order):
        if isinstance(message, Embedding):
            before = [m.time_s for m in order[:place] if isinstance(m, Watermark)]
            assert all(mark < message.end_s for mark in before)


def test_blocks_of_any_size_give_the_same():
    samples = sound(5 * SAMPLE_RATE_HZ)
    described = []
    for block in (320, 32_000, 80_000):
        messages, _ = drive([(0, samples)], block)
        described.append([m for m in messages if isinstance(m, Embedding)])
    for other in described[1:]:
        for one, same in zip(described[0], other, strict=True):
            np.testing.assert_array_equal(one.vector, same.vector)
            assert (one.start_s, one.end_s) == pytest.approx((same.start_s, same.end_s))


def test_live_a_window_that_is_late_is_left_out():
    """All of it waits: only what is not complete yet would be described in time."""
    messages, tally = drive([(0, sound(9 * SAMPLE_RATE_HZ))], policy="drop_oldest")
    assert not any(isinstance(m, Embedding) for m in messages)
    assert (tally.processed, tally.skipped, tally.tail) == (0, 4 * 32_000, 16_000)
    marks = {round(m.time_s, 3) for m in messages if isinstance(m, Watermark)}
    assert marks == {12, 14, 16, 18, 20}


def test_one_window_is_skipped_and_the_next_hears_all_of_its_sound():
    samples, voice = sound(8 * SAMPLE_RATE_HZ), PaperVoice(Summing())
    every = PaperVoice(Summing()).push(0, samples)
    first = voice.push(0, samples[:32_000])
    voice.skip()
    later = voice.push(32_000, samples[32_000:])
    assert [end for end, _ in first + later] == [32_000, 96_000, 128_000]
    for end, vector in first + later:
        np.testing.assert_array_equal(vector, dict(every)[end])


def test_no_sound_has_no_last_window():
    messages, tally = drive([])
    assert messages == []
    assert tally.processed == tally.tail == 0
