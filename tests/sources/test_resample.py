"""Any rate, type and split in; mono 16 kHz out, aligned in time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from realtime_er.sources.resample import StreamingResampler, to_float


def _feed(
    resampler: StreamingResampler, block: npt.NDArray[Any], split: int
) -> npt.NDArray[np.float32]:
    parts = [resampler.push(block[at : at + split]) for at in range(0, len(block), split)]
    return np.concatenate([*parts, resampler.flush()])


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("split", [37, 480, 100_000])
def test_no_sample_is_lost_at_a_seam(rate_hz: int, split: int) -> None:
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, rate_hz // 2 + 7).astype(np.float32)
    out = _feed(StreamingResampler(rate_hz, 1), sound, split)
    whole = _feed(StreamingResampler(rate_hz, 1), sound, len(sound))
    assert abs(len(out) - round(len(sound) * 16000 / rate_hz)) <= 1
    np.testing.assert_allclose(out, whole, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_filter_delay_is_compensated(rate_hz: int) -> None:
    sound = np.sin(2 * np.pi * 300 * np.arange(rate_hz) / rate_hz).astype(np.float32)
    out = _feed(StreamingResampler(rate_hz, 1), sound, 480)
    expected = np.sin(2 * np.pi * 300 * np.arange(len(out)) / 16000)
    np.testing.assert_allclose(out[300:-300], expected[300:-300], atol=1e-5)


def test_at_16_khz_it_is_the_identity_and_copies() -> None:
    ramp = (np.arange(5000) / 2**23).astype(np.float32)
    resampler = StreamingResampler(16000, 1)
    out = resampler.push(ramp)
    ramp_before = ramp.copy()
    ramp[:] = 0.0
    np.testing.assert_array_equal(out, ramp_before)
    assert len(resampler.flush()) == 0


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (np.int16, -(2**15), 2**15 - 1),
        (np.int32, -(2**31), 2**31 - 1),
        (np.uint8, 0, 255),
        (np.float64, -1.0, 1.0),
    ],
)
def test_full_scale_of_every_type(dtype: type[Any], low: float, high: float) -> None:
    out = to_float(np.array([low, high], dtype=dtype))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [-1.0, 1.0], atol=1 / 100)


def test_silence_of_unsigned_sound_is_zero() -> None:
    np.testing.assert_array_equal(to_float(np.full(4, 128, np.uint8)), np.zeros(4, np.float32))


def test_channels_are_averaged_interleaved_or_not() -> None:
    stereo = np.array([[0.2, 0.4], [-1.0, 1.0], [0.5, 0.5]], dtype=np.float32)
    expected = np.array([0.3, 0.0, 0.5], dtype=np.float32)
    resampler = StreamingResampler(16000, 2)
    np.testing.assert_allclose(resampler.push(stereo), expected, atol=1e-7)
    np.testing.assert_allclose(resampler.push(stereo.ravel()), expected, atol=1e-7)


def test_can_be_used_again_after_flush() -> None:
    sound = np.random.default_rng(2).uniform(-0.5, 0.5, 4410).astype(np.float32)
    resampler = StreamingResampler(44100, 1)
    first = _feed(resampler, sound, 100)
    np.testing.assert_array_equal(first, _feed(resampler, sound, 100))


def test_wrong_shapes_and_types_are_refused() -> None:
    resampler = StreamingResampler(48000, 2)
    with pytest.raises(ValueError, match="whole frames"):
        resampler.push(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="shape"):
        resampler.push(np.zeros((3, 1), np.float32))
    with pytest.raises(TypeError, match="not sound"):
        resampler.push(np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="cannot resample"):
        StreamingResampler(0, 1)
