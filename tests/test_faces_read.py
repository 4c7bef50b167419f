"""Faces of people who taught nothing, through the whole program: read right, and at once."""

import csv

import cv2
import numpy as np
import pytest

import realtime_er as rer
from realtime_er.models import Models
from realtime_er.training.detector.report import list_portraits

PEOPLE = 10
SMALLEST_PX = 150


@pytest.fixture(scope="module")
def face_only():
    config = rer.load_config("analyze", {"microphone.enabled": False})
    return config, Models(config)


def read(path, face_only):
    config, models = face_only
    with rer.Session(config, source=rer.MediaFile(path), models=models) as session:
        return list(session.estimates())


def people(data_dir, emotion):
    """One portrait each of some held-out people with this rough label."""
    with (data_dir / "portraits" / "labels.csv").open() as file:
        named = {row["image"] for row in csv.DictReader(file) if row["emotion"] == emotion}
    pictures = sorted(path for path in list_portraits(data_dir, "test") if path.name in named)
    chosen = {}
    for number in np.random.default_rng(8).permutation(len(pictures)):
        path = pictures[number]
        image = cv2.imread(str(path))
        if min(image.shape[:2]) >= SMALLEST_PX:
            chosen.setdefault(path.stem.rsplit("_", 1)[0], image)
        if len(chosen) == PEOPLE:
            break
    assert len(chosen) == PEOPLE
    return list(chosen.values())


def before_a_webcam(image, path):
    """A film of 1.2 s of somebody who does not move."""
    height, width = image.shape[:2]
    scale = min(460 / height, 620 / width)
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    height, width = image.shape[:2]
    frame = np.full((480, 640, 3), 96, np.uint8)
    top, left = (480 - height) // 2, (640 - width) // 2
    frame[top : top + height, left : left + width] = image
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (640, 480))
    for _ in range(30):
        film.write(frame)
    film.release()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("emotion", "label", "at_least"), [("happiness", "Happy", 9), ("neutral", "Neutral", 7)]
)
def test_a_portrait_is_read_within_a_second(
    data_dir, tmp_path, face_only, emotion, label, at_least
):
    shown = []
    for number, image in enumerate(people(data_dir, emotion)):
        path = tmp_path / f"{number}.avi"
        before_a_webcam(image, path)
        shown.append(next(e.label for e in read(path, face_only) if e.time_s >= 1.0))
    assert shown.count(label) >= at_least, shown


@pytest.mark.slow
def test_a_face_that_weeps_and_then_laughs(clips_dir, face_only):
    estimates = read(clips_dir / "pexels_face_640x360.mp4", face_only)
    weeping = [e.label for e in estimates if 1.0 < e.time_s < 6.0]
    laughing = [e.label for e in estimates if e.time_s > 11.0]
    assert weeping.count("Sad") > 0.8 * len(weeping)
    assert laughing.count("Happy") > 0.8 * len(laughing)
