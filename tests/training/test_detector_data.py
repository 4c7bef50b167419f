"""Holdouts by name, composed pictures and their targets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from realtime_er.errors import CorpusError, WeightsMissing
from realtime_er.training.detector.compose import compose, composed
from realtime_er.training.detector.data import (
    find_teacher,
    only_face,
    read_bank,
    studio_matte,
    teacher_of,
)
from realtime_er.training.detector.holdouts import (
    CLIPS,
    EMPTY_CLIPS,
    PHOTOGRAPHS,
    list_portraits,
    part_of_person,
    person_of,
)
from realtime_er.training.detector.paste import moved_face, paste, placed, similarity
from tests.training.detector_samples import FACE, drawn_bank, drawn_face


def test_parts_share_no_clip_no_photograph_and_no_person() -> None:
    for named in (CLIPS, EMPTY_CLIPS, PHOTOGRAPHS):
        every = [name for names in named.values() for name in names]
        assert len(every) == len(set(every))
    assert person_of("Tony_Blair_0012") == person_of("Tony_Blair_0001") == "tony_blair"
    assert person_of("AJ_Lamas_0001") == "aj_lamas"
    parts = [part_of_person(f"person {number}") for number in range(2000)]
    assert parts.count("test") == pytest.approx(400, abs=60)
    assert parts.count("dev") == pytest.approx(200, abs=50)


def test_portraits_are_split_by_person_and_copies_leave_training(tmp_path: Path) -> None:
    folder = tmp_path / "portraits" / "images"
    folder.mkdir(parents=True)
    people_there = (
        "ada",
        "ben",
        "cleo",
        "dora",
        "emil",
        "frida",
        "gus",
        "hedda",
        "ida",
        "jon",
        "kai",
    )
    names = [f"{person}_{number:04d}" for person in people_there for number in (1, 2)]
    for name in names:
        (folder / f"{name}.jpg").write_bytes(name.encode())
    parts = {part: list_portraits(tmp_path, part) for part in ("train", "dev", "test")}
    assert sum(len(paths) for paths in parts.values()) == len(names)
    people = {part: {person_of(path.stem) for path in paths} for part, paths in parts.items()}
    assert people["train"]
    assert not people["train"] & (people["test"] | people["dev"])
    taught, held_out = parts["train"][0], parts["test"][0]
    taught.write_bytes(held_out.read_bytes())
    assert taught not in list_portraits(tmp_path, "train")
    assert held_out in list_portraits(tmp_path, "test")


def test_absent_portraits_and_teacher_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="portraits"):
        list_portraits(tmp_path, "train")
    with pytest.raises(WeightsMissing, match="yunet"):
        teacher_of(tmp_path / "yunet.onnx")


def test_the_box_and_points_move_with_the_picture() -> None:
    matrix = placed(FACE, 50.0, (100.0, 80.0), 0.0, 1.0)
    row = moved_face(FACE, matrix)
    np.testing.assert_allclose(row[:4], [80, 55, 40, 50], atol=1e-3)
    np.testing.assert_allclose(row[4:6], [91, 72.5], atol=1e-3)
    canvas = np.zeros((160, 200, 3), np.uint8)
    covered = paste(canvas, drawn_face(), np.ones((120, 120), np.float32), matrix)
    assert covered[80, 100] == 1.0
    assert covered[2, 2] == 0.0
    eye = canvas[72, 91]
    assert int(eye.max()) < 60  # where the row says that the eye is, there it is


def test_similarity_is_found_again() -> None:
    points = FACE[4:].reshape(5, 2)
    turn = np.deg2rad(20)
    linear = 1.7 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = similarity(points, (points @ linear.T + (5, -3)).astype(np.float32))
    np.testing.assert_allclose(matrix[:, :2], linear, atol=1e-4)


def test_scenes_repeat_themselves_and_keep_their_faces_in_view() -> None:
    bank = drawn_bank()
    taught = 0
    for seed in range(40):
        scene = compose(bank, 192, 256, np.random.default_rng([1, seed]))
        again = compose(bank, 192, 256, np.random.default_rng([1, seed]))
        np.testing.assert_array_equal(scene.image, again.image)
        assert scene.image.shape == (192, 256, 3)
        assert scene.image.dtype == np.uint8
        taught += len(scene.faces)
        for row in scene.faces:
            middle = row[:2] + row[2:4] / 2
            assert (middle > 0).all()
            assert (middle < (256, 192)).all()
            # The person's right eye is on the left, also after mirroring.
            assert row[4] < row[6] or abs(row[4] - row[6]) < 0.7 * row[2]
    assert taught > 20
    assert len(list(composed(bank, 3, 1))) == 3


def test_studio_matte_keeps_the_person() -> None:
    image = np.full((120, 160, 3), (200, 150, 20), np.uint8)
    cv2.rectangle(image, (50, 40), (110, 119), (60, 90, 160), -1)
    matte = studio_matte(image)
    assert matte[80, 80] == pytest.approx(1.0)
    assert matte[20, 20] == pytest.approx(0.0)


def test_the_teacher_labels_a_real_face(clips_dir: Path, data_dir: Path) -> None:
    teacher = teacher_of(find_teacher(data_dir))
    reader = cv2.VideoCapture(str(clips_dir / "single_face.mp4"))
    image = reader.read()[1]
    reader.release()
    face = only_face(teacher, image)
    assert face is not None
    left, top, width, height = face[:4]
    points = face[4:].reshape(5, 2)
    assert (points > (left, top)).all()
    assert (points < (left + width, top + height)).all()
    assert only_face(teacher, np.zeros_like(image)) is None


def test_a_bank_needs_clips(tmp_path: Path, data_dir: Path) -> None:
    folder = tmp_path / "portraits" / "images"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "person_a_0001.jpg"), drawn_face())
    taught = part_of_person("person_a")
    with pytest.raises(CorpusError, match="none of"):
        read_bank(tmp_path, tmp_path, find_teacher(data_dir), taught)
