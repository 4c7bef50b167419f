from __future__ import annotations

import numpy as np
import pytest

from realtime_er.messages import VideoFrame
from realtime_er.recording.blur import FaceBlur, pixelate
from tests.recording.synthetic import report


def noise(height=96, width=128, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_box_becomes_a_few_squares_and_nothing_outside_its_margin_changes():
    image = noise()
    before = image.copy()
    pixelate(image, [(50.0, 40.0, 24.0, 24.0)])
    face = image[40:64, 50:74]
    assert len(np.unique(face.reshape(-1, 3), axis=0)) <= 64
    changed = np.argwhere((image != before).any(axis=2))
    assert changed.min(axis=0).tolist() == [31, 41]
    assert changed.max(axis=0).tolist() == [72, 82]


@pytest.mark.parametrize(
    "box",
    [(-20.0, -20.0, 30.0, 30.0), (120.0, 90.0, 50.0, 50.0), (0.0, 0.0, 128.0, 96.0), (3, 3, 0, 0)],
)
def test_boxes_at_the_edge(box):
    image = noise()
    pixelate(image, [box])
    assert image.shape == (96, 128, 3)


def test_a_box_that_is_not_in_the_picture():
    image = noise()
    before = image.copy()
    pixelate(image, [(500.0, 500.0, 10.0, 10.0), (-90.0, 0.0, 10.0, 10.0)])
    np.testing.assert_array_equal(image, before)


def test_boxes_far_apart_leave_what_is_between_them():
    image = noise()
    before = image.copy()
    pixelate(image, [(5.0, 5.0, 12.0, 12.0), (100.0, 5.0, 12.0, 12.0), (7.0, 9.0, 12.0, 12.0)])
    np.testing.assert_array_equal(image[:, 40:90], before[:, 40:90])


def blurred_at(image, original, x, y):
    return (image[y : y + 8, x : x + 8] != original[y : y + 8, x : x + 8]).mean() > 0.9


def test_a_picture_waits_for_the_report_after_it_and_both_boxes_are_covered():
    blur = FaceBlur()
    frames = [VideoFrame(n, n / 10, noise(seed=n)) for n in range(3)]
    blur.add_report(report(0, 0.0, ((10.0, 40.0, 10.0, 10.0),)))
    for one in frames:
        blur.add_frame(one)
    assert [one.index for one in blur.ready(0.3)] == [0]
    blur.add_report(report(2, 0.2, ((100.0, 40.0, 10.0, 10.0),)))
    first, second = blur.ready(0.3)
    for one in (first, second):
        assert blurred_at(one.image, frames[one.index].image, 11, 41), "where it was"
        assert blurred_at(one.image, frames[one.index].image, 101, 41), "where it is"
        assert not blurred_at(one.image, frames[one.index].image, 60, 41)
    assert (blur.n_held, blur.n_whole) == (0, 0)
    assert frames[1].image.flags.writeable, "made on a copy"


def test_a_face_that_is_missed_for_a_moment_stays_covered():
    blur = FaceBlur()
    blur.add_report(report(0, 0.0, ((10.0, 40.0, 10.0, 10.0),)))
    blur.add_report(report(1, 0.5, ()))
    blur.add_report(report(2, 1.6, ()))
    frames = [VideoFrame(1, 0.5, noise()), VideoFrame(2, 1.6, noise())]
    for one in frames:
        blur.add_frame(one)
    first, second = blur.ready(2.0)
    assert blurred_at(first.image, frames[0].image, 11, 41)
    np.testing.assert_array_equal(second.image, frames[1].image)


def test_without_a_report_in_half_a_second_everything_is_covered():
    blur = FaceBlur()
    one = VideoFrame(0, 1.0, noise())
    blur.add_frame(one)
    assert blur.ready(1.4) == []
    (found,) = blur.ready(1.5)
    assert all(blurred_at(found.image, one.image, x, y) for x in (0, 60, 119) for y in (0, 80))
    assert blur.n_whole == 1
