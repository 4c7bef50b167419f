"""A file's windows of faces, one face at a time, against the windows cut all at once."""

import numpy as np
import pytest

from realtime_er.config import load_config
from realtime_er.fusion.aggregation import face_windows_by_time, recording_vector
from realtime_er.messages import Embedding
from realtime_er.whole import WindowsOfFaces, whole_recording


def face(time_s, vector, track=1):
    return Embedding("face", time_s, time_s, np.asarray(vector, np.float32), "f", track)


@pytest.mark.parametrize("seed", range(12))
def test_windows_of_faces_equal_those_of_the_whole_file(seed):
    rng = np.random.default_rng(seed)
    duration_s = rng.uniform(0.5, 40.0)
    times = np.arange(0.0, duration_s, 0.2) + rng.uniform(0, 0.01)
    if seed % 3:  # gaps, some longer than a window
        start = rng.uniform(0, duration_s)
        times = times[(times < start) | (times > start + rng.uniform(0, 15))]
    if not len(times):
        times = np.array([duration_s / 2])
    features = rng.normal(size=(len(times), 3)).astype(np.float32)
    running = WindowsOfFaces(0.2)
    assert running.value(duration_s) is None
    for time_s, feature in zip(times, features, strict=True):
        running.add(face(time_s, feature))
    expected = recording_vector(
        face_windows_by_time(times, features, max(duration_s, float(times[-1])))
    )
    np.testing.assert_allclose(running.value(duration_s), expected, atol=1e-6)
    np.testing.assert_array_equal(running.value(duration_s), running.value(duration_s))
    assert running.count == len(times)


@pytest.mark.parametrize("duration_s", [2.0, 3.99, 4.0, 6.0, 8.0, None])
def test_where_the_sound_ends_decides_how_many_windows_there_are(duration_s):
    times = np.arange(0.0, (duration_s or 4.0) - 0.1, 0.2)
    features = np.random.default_rng(3).normal(size=(len(times), 2)).astype(np.float32)
    running = WindowsOfFaces(0.2)
    for time_s, feature in zip(times, features, strict=True):
        running.add(face(time_s, feature))
    alone_s = float(times[-1]) + 0.2
    windows = face_windows_by_time(times, features, duration_s or alone_s)
    np.testing.assert_allclose(running.value(duration_s), recording_vector(windows), atol=1e-6)


def test_the_person_seen_most_and_what_is_absent():
    whole = whole_recording(load_config("paper"))
    for k in range(30):
        whole.add_face(face(k / 5, [k], track=2 if k % 3 else 1))
    whole.end_sound(6.0)
    made = whole.fusion_input(None)
    assert made.present == {"face"}
    seen = np.array([k for k in range(30) if k % 3])
    windows = face_windows_by_time(seen / 5, seen[:, None].astype(np.float32), 6.0)
    np.testing.assert_allclose(made.face, recording_vector(windows), rtol=1e-6)
