"""The published encoder's cut of a face, behind the same gate as the compact one's."""

import numpy as np
import pytest

from realtime_er.config import load_config
from realtime_er.encoders.paper.faces import MEANS_BGR, cut_face, prepare_face
from realtime_er.messages import Absence, TrackedFace, VideoFrame
from realtime_er.perception.detectors import Detection
from realtime_er.perception.face import CropRule, FacePerception
from realtime_er.perception.face_box import BoxCutter


class Fixed:
    name = "fixed"

    def __init__(self, box, landmarks=None):
        self.found = Detection(box, 1.0, landmarks)

    def detect(self, image):
        return [self.found]


def image(blurred=False):
    rng = np.random.default_rng(4)
    if blurred:  # light that falls off to one side
        return np.repeat(np.tile(np.arange(240, dtype=np.uint8), (240, 1))[..., None], 3, axis=2)
    coarse = rng.integers(0, 255, (60, 60, 3), np.uint8)
    return np.kron(coarse, np.ones((4, 4, 1), np.uint8))


def observe(cutter, box, *, blurred=False, landmarks=None):
    config = load_config("paper").face
    perception = FacePerception(config, Fixed(box, landmarks), cutter)
    pictures = [
        perception.observe(VideoFrame(index, index / 5, image(blurred))) for index in range(2)
    ]
    return pictures[-1]


def test_the_box_is_cut_in_colour_without_alignment():
    box = (30.0, 40.0, 100.0, 120.0)
    eyes = np.array([[60, 80], [100, 100], [80, 100], [70, 130], [90, 140]], np.float32)
    report, picture = observe(BoxCutter(), box, landmarks=eyes)
    assert report.absence is None
    assert (picture.shape, picture.dtype) == ((3, 224, 224), np.float32)
    np.testing.assert_array_equal(picture, prepare_face(cut_face(image(), box)))
    assert picture[2, 0, 0] == pytest.approx(image()[40, 30, 2] - MEANS_BGR[2])


LOOKING_ASIDE = np.array([[60, 80], [100, 80], [130, 100], [70, 130], [90, 130]], np.float32)


@pytest.mark.parametrize("cutter", [BoxCutter(), CropRule(1.0, 0.0, 48)])
@pytest.mark.parametrize(
    ("box", "more", "reason"),
    [
        ((30.0, 40.0, 20.0, 20.0), {}, Absence.FACE_TOO_SMALL),
        ((30.0, 40.0, 100.0, 120.0), {"landmarks": LOOKING_ASIDE}, Absence.FACE_TURNED),
        ((30.0, 40.0, 100.0, 120.0), {"blurred": True}, Absence.FACE_BLURRED),
    ],
)
def test_one_gate_for_both_bundles(cutter, box, more, reason):
    report, picture = observe(cutter, box, **more)
    assert (report.absence, picture) == (reason, None)
    assert report.faces[0].quality is reason


def test_a_box_outside_the_picture_is_no_face_to_read():
    face = TrackedFace(1, (300.0, 10.0, 50.0, 50.0), 1.0, None)
    assert BoxCutter().cut(image(), face) is None
    report, picture = observe(BoxCutter(), (300.0, 10.0, 50.0, 50.0))
    assert (report.absence, picture) == (Absence.FACE_TOO_SMALL, None)
