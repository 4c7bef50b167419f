"""The picture: looked at through its pixels."""

import matplotlib.image
import numpy as np
import pytest

from realtime_er.messages import MODALITIES, Absence
from realtime_er.palette import COLOURS
from realtime_er.sinks.timeline import _runs, _spread, save_timeline, with_gaps
from tests.sinks.samples import make_estimate, make_final, make_recording


def pixels_of(image, colour):
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(image - wanted).max(axis=-1) <= 3).sum())


def read(path):
    return np.rint(matplotlib.image.imread(path)[..., :3] * 255).astype(int)


def test_draws_scores_states_and_words(tmp_path):
    path = tmp_path / "timeline.png"
    finals = [make_final(1, "What a wonderful day!", 0.2, 1.8), make_final(2, "Alas.", 4.0, 4.5)]
    save_timeline(make_recording(), finals, path, "a test")
    image = read(path)
    assert image.shape == (900, 1600, 3)
    assert all(pixels_of(image, COLOURS[label]) > 100 for label in ("Happy", "Sad", "Angry"))
    save_timeline(make_recording(), finals, tmp_path / "again.png", "a test")
    assert path.read_bytes() == (tmp_path / "again.png").read_bytes()


@pytest.mark.parametrize("n", [0, 1])
def test_hardly_anything_can_be_drawn(tmp_path, n):
    absent = dict.fromkeys(MODALITIES, Absence.NO_FACE)
    estimates = [make_estimate(i + 1, absent=absent) for i in range(n)]
    save_timeline(estimates, [], tmp_path / "t.png")
    assert read(tmp_path / "t.png").shape == (900, 1600, 3)


def test_gaps_stay_gaps():
    times_s, values = with_gaps(np.array([0.1, 0.2, 0.9, 1.0]), np.array([1.0, 2, 3, 4]), 0.1)
    np.testing.assert_allclose(times_s, [0.1, 0.2, 0.3, 0.9, 1.0])
    np.testing.assert_array_equal(values, [1, 2, np.nan, 3, 4])


def test_runs_of_a_state():
    estimates = make_recording(6)
    times_s = np.array([estimate.time_s for estimate in estimates])
    runs = _runs(estimates, "face", times_s, 0.1)
    assert [reason for _, _, reason in runs] == [None, Absence.NO_FACE, None]
    np.testing.assert_allclose([(a, b) for a, b, _ in runs], [(0, 0.2), (0.2, 0.4), (0.4, 0.6)])


def test_end_labels_do_not_touch():
    placed = _spread([(0.0, "a"), (0.01, "b"), (1.0, "c"), (0.99, "d")], 0.05)
    heights = [height for height, _ in placed]
    assert np.diff(heights).min() >= 0.05 - 1e-9
    assert heights[0] >= 0
    assert heights[-1] <= 1
