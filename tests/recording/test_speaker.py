"""The loudspeaker of a replay: its queue, and real PortAudio into a null sink that is recorded."""

import threading

import numpy as np
import pytest

from realtime_er.messages import SAMPLE_RATE_HZ
from realtime_er.recording.speaker import Speaker, open_speaker
from tests.pulse import missing_for_null_sink, null_sink_microphone


def test_a_queue_that_runs_away_is_dropped():
    speaker = Speaker()
    speaker.add(0.0, np.ones(SAMPLE_RATE_HZ, np.float32))
    assert list(speaker.wants(0.05, 100.0)) == []
    (first, *_rest) = speaker.wants(7.0, 100.0)
    assert first == (7.0, 7.3)
    assert list(speaker.wants(99.9, 100.0)) == [(99.9, 100.0)]


def test_what_is_queued_comes_out_in_order_then_silence():
    speaker = Speaker()
    ramp = np.arange(1, 1001, dtype=np.float32)
    speaker.add(0.0, ramp[:300])
    speaker.add(300 / SAMPLE_RATE_HZ, ramp[300:])
    out = np.full(1200, 9.0, np.float32)
    speaker.take(out[:250])
    speaker.take(out[250:])
    np.testing.assert_array_equal(out[:1000], ramp)
    assert not out[1000:].any()
    speaker.close()
    speaker.close()


@pytest.mark.slow
@pytest.mark.device
def test_sound_is_heard():
    if missing := missing_for_null_sink():
        pytest.skip(f"needs {missing} for a loudspeaker without hardware")
    import sounddevice

    tone = (0.5 * np.sin(np.arange(3 * SAMPLE_RATE_HZ) * 2 * np.pi * 440 / SAMPLE_RATE_HZ)).astype(
        np.float32
    )
    heard, enough = [], threading.Event()

    def listen(samples, _frames, _time, _status):
        heard.append(samples[:, 0].copy())
        if sum(map(len, heard)) > 2 * SAMPLE_RATE_HZ:
            enough.set()

    with null_sink_microphone():
        speaker, why = open_speaker()
        assert speaker is not None, why
        speaker.add(0.0, tone)
        with sounddevice.InputStream(
            samplerate=SAMPLE_RATE_HZ, channels=1, dtype="float32", device="pulse", callback=listen
        ):
            assert enough.wait(20)
        speaker.close()
    sound = np.concatenate(heard)
    loud = sound[np.abs(sound) > 0.05]
    assert len(loud) > SAMPLE_RATE_HZ // 2
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(sound) == pytest.approx(440, abs=3)
