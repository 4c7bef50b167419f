"""Windows, their stop rule, tiling, mean and spread, and the ring for live use."""

import numpy as np
import pytest

from realtime_er.fusion.aggregation import (
    audio_windows,
    face_windows_by_count,
    face_windows_by_time,
    face_windows_until,
    recording_vector,
    tile,
    window_bounds,
)


def bounds_by_the_rule(length, window, hop):
    """The rule word for word: stop when less than a hop is left, but never at the first."""
    bounds, start = [], 0
    while start <= length:
        end = min(start + window, length)
        if end - start < hop and start != 0:
            break
        bounds.append((start, end))
        start += hop
    return bounds


@pytest.mark.parametrize(
    ("seconds", "count"),
    [(0.1, 1), (2.0, 1), (3.99, 1), (4.0, 2), (5.99, 2), (6.0, 3), (7.99, 3), (8.0, 4), (9.9, 4)],
)
def test_published_counts_of_windows(seconds, count):
    assert (
        len(audio_windows(np.ones(round(seconds * 100), np.float32), sample_rate_hz=100)) == count
    )


@pytest.mark.parametrize(("faces", "count"), [(1, 1), (19, 1), (20, 2), (29, 2), (30, 3), (39, 3)])
def test_published_counts_of_face_windows(faces, count):
    assert len(face_windows_by_count(np.ones((faces, 2), np.float32))) == count


@pytest.mark.parametrize(("window", "hop"), [(4, 2), (20, 10), (5, 2), (3, 3), (7, 1)])
def test_bounds_follow_the_rule(window, hop):
    for length in range(60):
        assert window_bounds(length, window, hop) == bounds_by_the_rule(length, window, hop)


@pytest.mark.parametrize(("length", "window", "hop"), [(-1, 4, 2), (4, 2, 4), (4, 4, 0)])
def test_bad_bounds_are_refused(length, window, hop):
    with pytest.raises(ValueError, match="hop <= window"):
        window_bounds(length, window, hop)


def test_short_windows_are_tiled():
    samples = np.arange(1, 9, dtype=np.float32)
    np.testing.assert_array_equal(tile(samples[:3], 8), [1, 2, 3, 1, 2, 3, 1, 2])
    windows = audio_windows(samples, sample_rate_hz=1)
    np.testing.assert_array_equal(windows, [[1, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 8], [7, 8, 7, 8]])
    np.testing.assert_array_equal(
        audio_windows(samples[:3], sample_rate_hz=1, window_s=4.0), [[1, 2, 3, 1]]
    )


def test_no_sound_and_broken_sound_are_refused():
    for call in (tile, lambda s, _: audio_windows(s)):
        with pytest.raises(ValueError, match="N >= 1"):
            call(np.zeros(0, np.float32), 4)
    with pytest.raises(ValueError, match="not finite"):
        audio_windows(np.array([0.0, np.nan], np.float32))


def test_mean_and_population_spread():
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(5, 3)).astype(np.float32)
    got = recording_vector(windows)
    for column in range(3):
        values = [float(v) for v in windows[:, column]]
        mean = sum(values) / 5
        assert got[column] == pytest.approx(mean, abs=1e-6)
        spread = (sum((v - mean) ** 2 for v in values) / 5) ** 0.5
        assert got[3 + column] == pytest.approx(spread, abs=1e-6)
    one = recording_vector(windows[:1])
    np.testing.assert_array_equal(one[:3], windows[0])
    np.testing.assert_array_equal(one[3:], 0.0)
    with pytest.raises(ValueError, match="T >= 1"):
        recording_vector(windows[:0])


def test_counted_windows_are_means_of_neighbours():
    features = np.arange(25, dtype=np.float32)[:, None]
    np.testing.assert_allclose(face_windows_by_count(features)[:, 0], [9.5, 17.0])
    assert face_windows_by_count(features[:0]).shape == (0, 1)


def test_timed_windows_match_counted_ones_without_gaps():
    features = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    by_time = face_windows_by_time(np.arange(40) / 5, features, 8.0)
    np.testing.assert_allclose(by_time, face_windows_by_count(features), atol=1e-6)


def test_timed_windows_stay_aligned_over_a_gap():
    # Faces in 0..2 s and 6..8 s: windows 0-4, 4-8 and 6-8 have some; 2-6 has none.
    times = np.concatenate([np.arange(10) / 5, 6 + np.arange(10) / 5])
    features = np.repeat([1.0, 2.0], 10).astype(np.float32)[:, None]
    np.testing.assert_array_equal(face_windows_by_time(times, features, 8.0)[:, 0], [1, 2, 2])
    # The published count sees one unbroken run instead.
    np.testing.assert_array_equal(face_windows_by_count(features)[:, 0], [1.5, 2.0])


def test_live_face_windows_end_now():
    times = np.arange(0, 50) / 5  # 0 to 9.8 s
    features = times.astype(np.float32)[:, None]
    np.testing.assert_allclose(face_windows_until(times, features, 9.8), [[7.9]], atol=1e-6)
    np.testing.assert_allclose(
        face_windows_until(times, features, 9.8, keep=3), [[3.9], [5.9], [7.9]], atol=1e-5
    )
    # Later faces are not read; a window before the first face is left out.
    np.testing.assert_allclose(face_windows_until(times, features, 1.0, keep=3), [[0.5]], atol=1e-6)
    assert face_windows_until(times, features, 20.0).shape == (0, 1)
    with pytest.raises(ValueError, match="keep"):
        face_windows_until(times, features, 1.0, keep=0)


def test_a_face_at_the_very_end_counts():
    feature = np.ones((1, 2), np.float32)
    assert len(face_windows_by_time([0.0], feature, 0.0)) == 1
    assert len(face_windows_by_time([3.0], feature, 3.0)) == 1
    assert face_windows_by_time([], feature[:0], 5.0).shape == (0, 2)


def test_bad_faces_are_refused():
    feature = np.ones((2, 2), np.float32)
    with pytest.raises(ValueError, match="times"):
        face_windows_by_time([0.0], feature, 1.0)
    feature[1, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        face_windows_by_time([0.0, 0.2], feature, 1.0)
    with pytest.raises(ValueError, match="not finite"):
        face_windows_by_count(feature)
