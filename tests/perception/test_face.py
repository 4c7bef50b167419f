import cv2
import numpy as np
import pytest

from realtime_er.config import load_config
from realtime_er.messages import Absence, TrackedFace, VideoFrame
from realtime_er.perception.detectors import Detection, HaarDetector, YuNetDetector, make_detector
from realtime_er.perception.face import (
    CropRule,
    FacePerception,
    FaceTracker,
    crop_face,
    intersection_over_union,
    yaw_ratio,
)

RULE = CropRule(1.0, 0.0, 48)


def frame(index, time_s, image=None):
    if image is None:
        image = np.random.default_rng(index).integers(0, 255, (240, 320, 3), np.uint8)
    return VideoFrame(index, time_s, image)


class Scripted:
    """A detector that plays a list of boxes per call."""

    name = "haar"

    def __init__(self, script):
        self.script = iter(script)

    def detect(self, image):
        return [Detection(box, 1.0) for box in next(self.script)]


def perception(script, **overrides):
    config = load_config("live", {"face.min_sharpness": 0.0, **overrides}).face
    return FacePerception(config, Scripted(script), RULE)


def test_iou():
    assert intersection_over_union((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert intersection_over_union((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert intersection_over_union((0, 0, 10, 10), (10, 0, 10, 10)) == 0.0


@pytest.mark.parametrize(("fps", "expected"), [(30, 50), (25, 50), (10, 50), (5, 25), (60, 50)])
def test_frames_are_sampled_by_time(fps, expected):
    sampler = perception([])
    due = [sampler.due(frame(i, i / fps, np.zeros((2, 2, 3), np.uint8))) for i in range(fps * 5)]
    assert sum(due) == expected


def test_one_false_alarm_is_never_a_target():
    box = (10.0, 10.0, 60.0, 60.0)
    seen = perception([[box], [], [], [box], [box]])
    reports = [seen.observe(frame(i, i * 0.5))[0] for i in range(5)]
    assert [r.absence for r in reports][:4] == [Absence.NO_FACE] * 4
    assert reports[4].target_id is not None
    assert reports[4].absence is None


def test_target_is_the_largest_then_locked_then_selectable():
    small, large, grown = (10, 10, 50, 50), (150, 10, 80, 80), (10, 10, 120, 120)
    both, swapped = [large, small], [grown, large]
    seen = perception([both, both, [(10, 10, 60, 60), large], swapped, swapped, swapped])
    targets = []
    for i in range(4):
        report, _ = seen.observe(frame(i, i * 0.1))
        targets.append(report.target_id)
    first = targets[1]
    assert targets == [None, first, first, first]
    other = next(f.track_id for f in report.faces if f.track_id != first)
    seen.select(other)
    report, crop = seen.observe(frame(4, 0.4))
    assert report.target_id == other
    assert crop is not None
    assert seen.observe(frame(5, 0.5))[0].target_id == other


def test_identities_survive_a_short_miss_and_end_after_a_second():
    tracker = FaceTracker()
    box = Detection((10, 10, 50, 50), 1.0)
    ids = [tracker.update([box], t)[0].track_id for t in (0.0, 0.1, 0.8, 3.0)]
    assert ids[0] == ids[1] == ids[2]
    assert ids[3] != ids[0]


def test_small_and_blurred_faces_are_refused_by_name():
    box = (10.0, 10.0, 20.0, 20.0)
    seen = perception([[box]] * 2)
    seen.observe(frame(0, 0.0))
    report, crop = seen.observe(frame(1, 0.1))
    assert (report.absence, crop) == (Absence.FACE_TOO_SMALL, None)
    assert report.faces[0].quality is Absence.FACE_TOO_SMALL
    big = (10.0, 10.0, 100.0, 100.0)
    seen = perception([[big]] * 2, **{"face.min_sharpness": 8.0})
    flat = np.full((240, 320, 3), 128, np.uint8)
    seen.observe(frame(0, 0.0, flat))
    assert seen.observe(frame(1, 0.1, flat))[0].absence is Absence.FACE_BLURRED


def test_turned_face_is_measured_by_the_nose():
    frontal = np.array([[0, 0], [10, 0], [5, 6], [2, 10], [8, 10]], np.float32)
    turned = frontal.copy()
    turned[2, 0] = 12
    assert yaw_ratio(frontal) == pytest.approx(0.0)
    assert yaw_ratio(turned) == pytest.approx(0.7)


def test_crop_shows_the_box_and_is_read_only():
    image = np.zeros((200, 200, 3), np.uint8)
    image[50:98, 60:108] = 255
    crop = crop_face(image, TrackedFace(1, (60.0, 50.0, 48.0, 48.0), 1.0), RULE)
    assert crop.shape == (48, 48)
    assert crop[2:-2, 2:-2].min() > 250
    assert not crop.flags.writeable


def test_crop_at_the_border_is_filled():
    image = np.full((100, 100, 3), 77, np.uint8)
    crop = crop_face(image, TrackedFace(1, (-30.0, -30.0, 60.0, 60.0), 1.0), RULE)
    assert crop.min() == crop.max() == 77


def test_crop_is_rolled_upright_by_landmarks():
    upright = np.zeros((300, 300, 3), np.uint8)
    cv2.rectangle(upright, (110, 120), (130, 140), (255, 255, 255), -1)
    cv2.rectangle(upright, (170, 120), (190, 140), (255, 255, 255), -1)
    eyes = np.array([[120, 130], [180, 130], [150, 160], [130, 185], [170, 185]], np.float32)
    box = (90.0, 90.0, 120.0, 120.0)
    straight = crop_face(upright, TrackedFace(1, box, 1.0, eyes), RULE)
    turn = cv2.getRotationMatrix2D((150, 150), -20, 1.0)
    tilted = cv2.warpAffine(upright, turn, (300, 300))
    moved = (np.c_[eyes, np.ones(5)] @ turn.T).astype(np.float32)
    righted = crop_face(tilted, TrackedFace(1, box, 1.0, moved), RULE)
    assert np.abs(straight.astype(int) - righted.astype(int)).mean() < 8


def faces_in(detector, path, every=10):
    import av

    with av.open(str(path)) as container:
        images = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)]
    return [len(detector.detect(np.asarray(image))) for image in images[::every]]


def test_haar_finds_the_talking_head_and_nothing_where_nobody_is(clips_dir):
    config = load_config("live", {"face.detector": "haar"}).face
    detector = make_detector(config)
    assert isinstance(detector, HaarDetector)
    found = faces_in(detector, clips_dir / "pexels_face_640x360.mp4", 15)
    assert np.mean([n >= 1 for n in found]) > 0.8
    assert np.mean([n >= 1 for n in faces_in(detector, clips_dir / "no_face.mp4")]) < 0.1


def test_yunet_finds_exactly_one_face_with_landmarks(shared_dir):
    path = shared_dir / "models" / "face_detection_yunet_2023mar.onnx"
    detector = make_detector(load_config("live", {"face.detector_path": str(path)}).face)
    assert isinstance(detector, YuNetDetector)
    found = faces_in(detector, shared_dir / "clips" / "single_face.mp4")
    assert set(found) == {1}
    assert set(faces_in(detector, shared_dir / "clips" / "no_face.mp4")) == {0}
