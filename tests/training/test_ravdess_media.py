"""RAVDESS files to faces and cepstra: what is cut, what is heard, what is missing."""

import csv
import math

import numpy as np
import pytest

from realtime_er.errors import CorpusError, MediaError
from realtime_er.training.corpora.ravdess import LABELS
from realtime_er.training.ravdess.cache import REPORT_FILE, prepare_ravdess
from realtime_er.training.ravdess.landmarks import Landmarks, read_boxes
from realtime_er.training.ravdess.media import decode_face, read_clip
from realtime_er.training.ravdess.mfcc import RATE_HZ, cepstra, clip_cepstra
from tests.training import ravdess_tree as tree
from tests.training.mer_media import BlockDetector, write_clip


class Blind:
    name = "blind"

    def detect(self, image):
        return []


def noise(seconds, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def slow_cepstra(sound, frame):
    """One column by the definitions alone: sums over samples, bins and bands, float64."""
    centre = frame * 512
    picked = []
    for place in range(centre - 1024, centre + 1024):
        mirrored = abs(place)
        if mirrored >= len(sound):
            mirrored = 2 * (len(sound) - 1) - mirrored
        picked.append(sound[mirrored])
    n = np.arange(2048)
    windowed = np.array(picked) * np.sin(np.pi * n / 2048) ** 2
    power = [abs(np.sum(windowed * np.exp(-2j * np.pi * k * n / 2048))) ** 2 for k in range(1025)]

    def hertz(mel):  # Slaney: linear to 1 kHz, then 27 steps to 6.4 kHz
        return 200 * mel / 3 if mel < 15 else 1000 * math.exp(math.log(6.4) * (mel - 15) / 27)

    top = 15 + 27 * math.log(22050 / 1000) / math.log(6.4)
    edges = [hertz(top * i / 129) for i in range(130)]
    bands = []
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        total = 0.0
        for k, value in enumerate(power):
            f = k * 44100 / 2048
            if low < f <= middle:
                total += value * (f - low) / (middle - low)
            elif middle < f < high:
                total += value * (high - f) / (high - middle)
        bands.append(10 * math.log10(max(1e-10, total * 2 / (high - low))))
    return bands


def test_cepstra_are_those_of_the_definition():
    sound = noise(0.03)
    found = cepstra(sound)
    assert found.shape == (13, 1 + len(sound) // 512)
    bands = np.array([slow_cepstra(sound, frame) for frame in range(found.shape[1])])
    bands = np.maximum(bands, bands.max() - 80)
    m = np.arange(128)
    for row in range(13):
        wave = np.cos(np.pi * row * (2 * m + 1) / 256)
        scale = math.sqrt(1 / 128) if row == 0 else math.sqrt(2 / 128)
        np.testing.assert_allclose(found[row], scale * bands @ wave, rtol=1e-4, atol=1e-3)


def test_a_clip_is_read_from_half_a_second_on():
    sound = noise(4.0).astype(np.float32)
    found = clip_cepstra(sound)
    assert found.shape == (13, 212)
    assert found.dtype == np.float32
    changed = sound.copy()
    changed[: round(0.5 * RATE_HZ)] = 0.0
    changed[round(2.95 * RATE_HZ) :] = 0.0
    np.testing.assert_array_equal(clip_cepstra(changed), found)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.5, 0.6, 2.0])
def test_short_sound_is_filled_up_and_never_crashes(seconds):
    found = clip_cepstra(noise(seconds).astype(np.float32))
    assert found.shape == (13, 212)
    assert np.isfinite(found).all()
    if seconds > 0.5:
        spoken = round((seconds - 0.5) * RATE_HZ / 512)
        assert found[0, : spoken - 3].min() > found[0, spoken + 3 :].max()


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """4 s in which the block's colour goes from red (first half) to blue, with 20 frames."""
    path = tmp_path_factory.mktemp("moving") / "01-01-03-01-01-01-24.mp4"

    write_clip(path, 0, 4.0, fps=5, boxes=lambda index: _picture(index))
    return path


def _picture(index):
    image = np.zeros((48, 64, 3), np.uint8)
    image[8:40, 16:44] = (40, 40, 220) if index < 10 else (220, 40, 40)
    return image


def test_faces_are_spread_over_the_clip_by_time_and_red_is_red(moving):
    material = read_clip(moving, BlockDetector(), n_frames=8, side_px=32)
    faces = np.stack([decode_face(file) for file in material.faces])
    assert faces.shape == (8, 32, 32, 3)
    colours = tree.colour_of(faces)
    assert (colours[:4, 0] > 150).all()  # red comes first in RGB
    assert (colours[:4, 2] < 100).all()
    assert (colours[4:, 2] > 150).all()
    assert (material.by_detector, material.by_landmarks, material.by_neighbour) == (8, 0, 0)
    assert material.sound_s == pytest.approx(4.0, abs=0.1)


def test_a_clip_with_fewer_frames_than_are_wanted_repeats_some(moving):
    assert len(read_clip(moving, BlockDetector(), n_frames=30, side_px=16).faces) == 30


def test_landmarks_say_where_to_cut_and_the_detector_where_they_fail(moving, tmp_path):
    rows = [tree.landmark_row(0.0, 0.0, 0.2, 0.2) for _ in range(20)]
    rows[12] = tree.landmark_row(0.5, 0.5, 0.5, 0.5)  # lost: all points on one another
    rows[17] = tree.landmark_row(0.0, 0.0, 0.2, 0.2, success=0)
    tree.write_landmarks(tmp_path / "deep" / f"{moving.stem}.csv", rows[:19], spaced=True)
    boxes = Landmarks(tmp_path).boxes(moving.stem)
    assert len(boxes) == 19
    assert boxes[0] == pytest.approx((0.0, 0.0, 0.2, 0.2), abs=1e-6)
    assert boxes[12] is boxes[17] is None
    material = read_clip(moving, BlockDetector(), boxes, n_frames=20, side_px=16)
    # The two that were lost, and the last frame, which has no row.
    assert (material.by_landmarks, material.by_detector) == (17, 3)
    colours = tree.colour_of(np.stack([decode_face(file) for file in material.faces]))
    assert colours[0].max() < 60  # the corner that the landmarks named is dark
    assert colours[12].max() > 150  # the block that the detector saw is not
    blind = read_clip(moving, Blind(), boxes, n_frames=20, side_px=16)
    assert blind.by_neighbour == 3
    assert "3 faces cut as in the nearest frame" in blind.note


def test_landmarks_of_the_silent_copy_serve_too(tmp_path):
    tree.write_landmarks(tmp_path / "02-01-03-01-01-01-24.csv", [tree.landmark_row(0, 0, 1, 1)])
    found = Landmarks(tmp_path)
    assert found.boxes("01-01-03-01-01-01-24") is not None
    assert found.boxes("01-01-03-01-01-01-23") is None


def test_files_that_are_no_landmarks_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("frame,confidence\n1,0.9\n")
    with pytest.raises(CorpusError, match=r"a\.csv: row 1 has 2 columns, expected 433"):
        read_boxes(path)
    shifted = [["x_0", *tree.header()[1:]]]
    path.write_text("\n".join(",".join(row) for row in [*shifted, tree.landmark_row(0, 0, 1, 1)]))
    with pytest.raises(CorpusError, match="column x_0 is 0, expected 297"):
        read_boxes(path)
    with pytest.raises(CorpusError, match="no landmark file such as"):
        Landmarks(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("detector", "change", "said"),
    [
        (Blind(), {}, "no face in any of 4 frames"),
        (BlockDetector(), {"sound": np.zeros(0, np.int16)}, "holds no sound"),
        (BlockDetector(), {"video": False}, "holds no picture"),
    ],
)
def test_a_clip_that_cannot_be_used_says_why(detector, change, said, tmp_path):
    path = write_clip(tmp_path / "01-01-01-01-01-01-01.avi", 1, 0.8, **change)
    with pytest.raises(MediaError, match=said):
        read_clip(path, detector, n_frames=4, side_px=16)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tree.write_ravdess(tmp_path_factory.mktemp("ravdess"), (4, 14, 24), emotions=(2, 8))


def prepare(root, cache, said=None, **more):
    return prepare_ravdess(
        root, cache, BlockDetector, n_frames=4, side_px=16,
        say=(lambda _: None) if said is None else said.append, **more,
    )  # fmt: skip


def test_actors_are_described_once_and_their_numbers_are_whole(corpus, tmp_path):
    said = []
    found = prepare(corpus, tmp_path / "cache", said)
    assert list(found.actors) == [4, 14, 24]  # a 4 at the end is no part of ".mp4"
    actor = found.actors[24]
    assert actor.ids.tolist() == sorted(
        f"ravdess/{tree.name_of(24, emotion, sentence)}"
        for emotion in (2, 8)
        for sentence in (1, 2)
    )
    assert [LABELS[label] for label in actor.labels] == ["calm", "calm", "surprise", "surprise"]
    assert tree.colour_of(actor.faces(0))[0, 2] > 150  # calm is blue here
    assert tree.colour_of(actor.faces(3))[0, 0] > 150
    assert len(said) == 3
    again = prepare(corpus, tmp_path / "cache", said)
    assert len(said) == 3
    np.testing.assert_array_equal(again.actors[14].jpeg, found.actors[14].jpeg)
    path = tmp_path / "cache" / "actor_14.npz"
    path.write_bytes(path.read_bytes()[:100])
    prepare(corpus, tmp_path / "cache", said)
    assert said[3:] == ["actor 14: 4 clips"]


def test_what_cannot_be_read_is_passed_by_and_reported(corpus, tmp_path):
    root = tmp_path / "R"
    for actor in (4, 14):
        (root / f"Actor_{actor:02d}").mkdir(parents=True)
        for path in (corpus / f"Actor_{actor:02d}").iterdir():
            (root / f"Actor_{actor:02d}" / path.name).write_bytes(path.read_bytes())
    broken = root / "Actor_04" / f"{tree.name_of(4, 8)}.mp4"
    broken.write_bytes(b"not a video")
    silent = root / "Actor_04" / f"{tree.name_of(4, 2)}.mp4"
    write_clip(silent, 2, 0.8, fps=10, sound=np.zeros(4000, np.int16))  # ends before 0.5 s
    tree.write_landmarks(
        tmp_path / "L" / f"{tree.name_of(14, 2)}.csv",
        [tree.landmark_row(0.1, 0.1, 0.9, 0.9)] * 8,
    )
    said = []
    found = prepare(root, tmp_path / "cache", said, landmarks_dir=tmp_path / "L")
    assert len(found.actors[4]) == 3
    with (tmp_path / "cache" / REPORT_FILE).open(newline="") as stream:
        told = {row["clip"]: (row["what"], row["why"]) for row in csv.DictReader(stream)}
    assert told[f"ravdess/{broken.stem}"][0] == "skipped"
    assert "not a media file" in told[f"ravdess/{broken.stem}"][1]
    assert "silence is read" in told[f"ravdess/{silent.stem}"][1]
    assert "landmarks of 0 of 4 frames" in told[f"ravdess/{tree.name_of(14, 8)}"][1]
    assert f"ravdess/{tree.name_of(14, 2)}" not in told
    assert "1 clips skipped" in said[-1]


def test_an_odd_name_and_an_empty_folder_stop_with_what_was_expected(tmp_path):
    with pytest.raises(CorpusError, match="no spoken clip with picture and sound"):
        prepare(tmp_path, tmp_path / "cache")
    odd = tmp_path / "Actor_01" / "holiday.mp4"
    odd.parent.mkdir()
    odd.write_bytes(b"x")
    with pytest.raises(CorpusError, match="holiday: not a RAVDESS name"):
        prepare(tmp_path, tmp_path / "cache")
