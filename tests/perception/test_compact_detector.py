"""The detector that ships with the package: on held-out clips and people, and where nobody is."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_er.config import load_config
from realtime_er.encoders.bundle import bundle_dir, load_card
from realtime_er.errors import SpecMismatch, WeightsMissing
from realtime_er.perception.detectors import CompactDetector, YuNetDetector, make_detector
from realtime_er.perception.face import intersection_over_union
from realtime_er.training.detector.data import find_teacher
from realtime_er.training.detector.holdouts import CLIPS, EMPTY_CLIPS, list_portraits
from realtime_er.training.detector.measure import frames


@pytest.fixture(scope="module")
def detector() -> CompactDetector:
    return CompactDetector()


def test_it_ships_with_a_card_that_names_its_holdouts() -> None:
    card = load_card(bundle_dir("compact", "detector"))
    assert card.kind == "detector"
    assert set(CLIPS["test"]) <= set(card.raw["training"]["held_out_clips"])
    assert {"exactly_one_face", "median_iou", "pictures_with_a_false_face"} <= set(
        card.raw["metrics"]
    )
    assert card.path.stat().st_size < 1_500_000
    assert str(Path.home()).encode() not in card.path.read_bytes()


def test_the_configuration_can_ask_for_it() -> None:
    config = load_config("live", {"face.detector": "compact"}).face
    assert isinstance(make_detector(config), CompactDetector)


@pytest.mark.parametrize("shape", [(480, 640), (1080, 1920), (640, 360), (33, 57), (8, 8)])
def test_no_face_in_a_blank_picture_of_any_shape(
    detector: CompactDetector, shape: tuple[int, int]
) -> None:
    assert detector.detect(np.full((*shape, 3), 127, np.uint8)) == []


def test_one_face_per_frame_of_held_out_clips_and_it_repeats_itself(
    detector: CompactDetector, clips_dir: Path, data_dir: Path
) -> None:
    yunet = YuNetDetector(find_teacher(data_dir))
    for name in CLIPS["test"]:
        for picture in list(frames(clips_dir / name, 37))[:3]:
            (expected,) = yunet.detect(picture.image)
            (found,) = detector.detect(picture.image)
            assert intersection_over_union(found.box_px, expected.box_px) > 0.6, name
            assert 0.0 < found.score <= 1.0
            assert found.landmarks_px is not None
            assert expected.landmarks_px is not None
            away = np.linalg.norm(found.landmarks_px - expected.landmarks_px, axis=1)
            assert float(away.mean()) < 0.1 * expected.box_px[2], name
            (again,) = detector.detect(picture.image)
            assert again.box_px == found.box_px


def test_the_box_follows_the_scale_of_the_picture(
    detector: CompactDetector, clips_dir: Path
) -> None:
    picture = next(iter(frames(clips_dir / "address_a.mp4")))
    (large,) = detector.detect(picture.image)
    half = np.asarray(cv2.resize(picture.image, None, fx=0.75, fy=0.75), np.uint8)
    (small,) = detector.detect(half)
    assert np.allclose(np.array(small.box_px) / 0.75, large.box_px, atol=0.06 * large.box_px[2])


def test_two_people_are_two_faces_largest_first(detector: CompactDetector, clips_dir: Path) -> None:
    names = [name for name in CLIPS["test"] if name.startswith("grid/")][:2]
    pair = [next(iter(frames(clips_dir / name))).image for name in names]
    pair[1] = np.asarray(cv2.resize(pair[1], None, fx=0.6, fy=0.6), np.uint8)
    canvas = np.full((pair[0].shape[0], pair[0].shape[1] + pair[1].shape[1], 3), 90, np.uint8)
    canvas[:, : pair[0].shape[1]] = pair[0]
    canvas[: pair[1].shape[0], pair[0].shape[1] :] = pair[1]
    found = detector.detect(canvas)
    assert len(found) == 2
    assert found[0].box_px[2] > found[1].box_px[2]
    assert found[0].box_px[0] < pair[0].shape[1] < found[1].box_px[0]


def test_nobody_in_the_clip_without_a_face(detector: CompactDetector, clips_dir: Path) -> None:
    for name in EMPTY_CLIPS["test"]:
        seen = [len(detector.detect(one.image)) for one in frames(clips_dir / name, 10)]
        assert seen == [0] * len(seen)


def test_portraits_of_people_it_never_saw(detector: CompactDetector, data_dir: Path) -> None:
    paths = list_portraits(data_dir, "test")[::25]
    counts = [len(detector.detect(np.asarray(cv2.imread(str(path)), np.uint8))) for path in paths]
    assert np.mean(np.array(counts) == 1) >= 0.9


def test_a_folder_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        CompactDetector(tmp_path)
    with pytest.raises(SpecMismatch, match="not a face detector"):
        CompactDetector(bundle_dir("compact", "face"))
    source = bundle_dir("compact", "detector")
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    card = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    del card["input"]["longest_px"]
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(SpecMismatch, match="longest_px"):
        CompactDetector(tmp_path)
