"""How well a face detector does: against a reference on real frames, and where no face is.

Nothing here needs torch, so that the shipped model is measured as it runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.messages import FloatArray, ImageArray
from realtime_er.perception.detectors import Detection, FaceDetector
from realtime_er.perception.face import intersection_over_union
from realtime_er.training.detector.holdouts import read_picture


@dataclass(frozen=True)
class Picture:
    """A picture to be measured on; ``group`` is its person, clip or photograph."""

    image: ImageArray
    group: str


@dataclass(frozen=True)
class Agreement:
    """A detector beside a reference, on the pictures in which the reference sees one face.

    Attributes:
        found: int64 [N], how many faces the detector sees.
        overlap: float64 [N], intersection over union of its best face with the reference's; 0
            where it sees none.
        points: float64 [N, 5], distance of its landmarks in widths of the reference's box; NaN
            where it sees no face or gives no landmarks.
        groups: str [N].
        skipped: pictures in which the reference sees none or several.
    """

    found: npt.NDArray[np.int64]
    overlap: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]
    groups: npt.NDArray[np.str_]
    skipped: int

    def one(self) -> npt.NDArray[np.float64]:
        """1 where the detector sees exactly one face too, float64 [N]."""
        return np.asarray(self.found == 1, np.float64)


def compare(
    detector: FaceDetector, reference: FaceDetector, pictures: Iterable[Picture]
) -> Agreement:
    """Runs both over the pictures.

    Raises:
        ValueError: the reference gives no landmarks.
    """
    found: list[int] = []
    overlap: list[float] = []
    points: list[npt.NDArray[np.float64]] = []
    groups: list[str] = []
    skipped = 0
    for picture in pictures:
        expected = [one for one in reference.detect(picture.image) if _sound(one, picture.image)]
        if len(expected) != 1:
            skipped += 1
            continue
        seen = detector.detect(picture.image)
        found.append(len(seen))
        groups.append(picture.group)
        best = max(seen, key=lambda one: _overlap(one, expected[0]), default=None)
        overlap.append(0.0 if best is None else _overlap(best, expected[0]))
        points.append(_distances(best, expected[0]))
    return Agreement(
        np.array(found, np.int64),
        np.array(overlap, np.float64),
        np.reshape(points, (-1, 5)).astype(np.float64),
        np.array(groups, np.str_),
        skipped,
    )


def _sound(found: Detection, image: ImageArray) -> bool:
    """Whether a box can be one: of tiny pictures OpenCV's YuNet now and then reports nonsense."""
    values = np.array(found.box_px)
    largest = 4 * max(image.shape[:2])
    return bool(np.all(np.abs(values) < largest) and np.all(values[2:] >= 1.0))


def _overlap(first: Detection, second: Detection) -> float:
    return intersection_over_union(first.box_px, second.box_px)


def _distances(seen: Detection | None, expected: Detection) -> npt.NDArray[np.float64]:
    if expected.landmarks_px is None:
        raise ValueError("the reference detector must give landmarks")
    if seen is None or seen.landmarks_px is None:
        return np.full(5, np.nan)
    away = np.linalg.norm(seen.landmarks_px - expected.landmarks_px, axis=1)
    return np.asarray(away / expected.box_px[2], np.float64)


def false_alarms(
    detector: FaceDetector, pictures: Iterable[Picture]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """How many faces are seen in pictures without one, int64 [N], and the groups, str [N]."""
    counts, groups = [], []
    for picture in pictures:
        counts.append(len(detector.detect(picture.image)))
        groups.append(picture.group)
    return np.array(counts, np.int64), np.array(groups, np.str_)


@dataclass(frozen=True)
class Matches:
    """Faces of composed pictures, whose truth is known.

    Attributes:
        size_px: float64 [F], longer side of each true face.
        hit: bool [F], whether it was found (overlap at least 0.5).
        alarms: int64 [N], faces seen per picture that overlap no true or ignored one.
    """

    size_px: npt.NDArray[np.float64]
    hit: npt.NDArray[np.bool_]
    alarms: npt.NDArray[np.int64]


def match(
    detector: FaceDetector,
    scenes: Iterable[tuple[ImageArray, Sequence[FloatArray], Sequence[FloatArray]]],
) -> Matches:
    """Runs a detector over pictures with their true boxes and the boxes that do not count."""
    sizes: list[float] = []
    hits: list[bool] = []
    alarms: list[int] = []
    for image, faces, ignored in scenes:
        seen = [one.box_px for one in detector.detect(image)]
        for row in faces:
            box = (float(row[0]), float(row[1]), float(row[2]), float(row[3]))
            sizes.append(max(box[2:]))
            hits.append(any(intersection_over_union(box, one) >= 0.5 for one in seen))
        known = [tuple(float(value) for value in row[:4]) for row in (*faces, *ignored)]
        alarms.append(
            sum(
                all(intersection_over_union(one, (a, b, c, d)) < 0.3 for a, b, c, d in known)
                for one in seen
            )
        )
    return Matches(np.array(sizes), np.array(hits, np.bool_), np.array(alarms, np.int64))


def time_ms(detector: FaceDetector, image: ImageArray, runs: int = 200) -> npt.NDArray[np.float64]:
    """Milliseconds of each of ``runs`` calls, float64 [runs], after ten that do not count."""
    for _ in range(10):
        detector.detect(image)
    taken = np.zeros(runs)
    for index in range(runs):
        started_s = time.perf_counter()
        detector.detect(image)
        taken[index] = 1000.0 * (time.perf_counter() - started_s)
    return taken


def portraits(paths: Iterable[Path], person_of: dict[str, str]) -> Iterable[Picture]:
    """Portraits one by one; ``person_of`` maps a file's stem to its person."""
    for path in paths:
        yield Picture(read_picture(path), person_of[path.stem])


def frames(path: Path, every: int = 1) -> Iterable[Picture]:
    """Every n-th frame of a clip, at its own size."""
    reader = cv2.VideoCapture(str(path))
    try:
        index = 0
        while True:
            there, image = reader.read()
            if not there:
                return
            if index % every == 0:
                yield Picture(np.asarray(image, np.uint8), path.name)
            index += 1
    finally:
        reader.release()


def windows(
    image: ImageArray, group: str, count: int, seed: int, avoid: Detection | None = None
) -> Iterable[Picture]:
    """Random parts of a picture at 320 px, away from the face ``avoid``: pictures without a face.

    Fewer than ``count`` come when the face leaves little room.
    """
    rng = np.random.default_rng(seed)
    high, wide = image.shape[:2]
    for _ in range(count):
        share = float(rng.uniform(0.2, 0.9))
        w, h = max(16, round(share * wide)), max(16, round(share * high))
        x, y = int(rng.integers(0, wide - w + 1)), int(rng.integers(0, high - h + 1))
        if avoid is not None:
            left, top, width, height = avoid.box_px
            apart_x = x + w < left - 0.15 * width or x > left + 1.15 * width
            apart_y = y + h < top - 0.15 * height or y > top + 1.15 * height
            if not (apart_x or apart_y):
                continue
        factor = 320 / max(w, h)
        part = cv2.resize(image[y : y + h, x : x + w], None, fx=factor, fy=factor)
        yield Picture(np.asarray(part, np.uint8), group)
