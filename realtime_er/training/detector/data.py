"""What the face detector learns from: pictures that the teacher (YuNet) has labelled.

Portraits are tight crops, so they alone would never show a face in a room. The clips' frames and
the photographs without a face give rooms and bodies; :mod:`realtime_er.training.detector.compose`
puts both together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.config import FaceConfig
from realtime_er.errors import CorpusError, WeightsMissing
from realtime_er.messages import ImageArray
from realtime_er.perception.detectors import YUNET_FILE, Detection, YuNetDetector, find_yunet
from realtime_er.training.detector.holdouts import CLIPS, Part, find_photographs, list_portraits

SURE = 0.7
"""The teacher sees a face from this score on, as everywhere in this package."""
DOUBTFUL = 0.3
"""Below this it sees none; pictures with anything between are left out."""
_TEACHER_PX = 640
_FRAMES_PER_CLIP = 30

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shot:
    """A picture of one person.

    Attributes:
        image: uint8 [H, W, 3] BGR.
        face: float32 [14]: left, top, width, height, five points (x, y), pixels.
        matte: float32 [H, W], 1 where the person is, or None where nobody knows.
    """

    image: ImageArray
    face: FloatArray
    matte: FloatArray | None = None


@dataclass
class Bank:
    """Everything of one part.

    Attributes:
        portraits: encoded JPEG bytes; decoded when they are needed.
        portrait_faces: float32 [N, 14].
        shots: frames of clips.
        rooms: pictures without a face.
    """

    portraits: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    portrait_faces: FloatArray = field(default_factory=lambda: np.zeros((0, 14), np.float32))
    shots: list[Shot] = field(default_factory=list)
    rooms: list[ImageArray] = field(default_factory=list)

    def portrait(self, index: int) -> Shot:
        """One portrait, decoded."""
        return Shot(_decoded(self.portraits[index]), self.portrait_faces[index])


def _decoded(data: npt.NDArray[np.uint8]) -> ImageArray:
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def teacher_of(path: Path, longest_px: int = _TEACHER_PX) -> YuNetDetector:
    """YuNet with a low threshold, so that its doubts are seen.

    Raises:
        WeightsMissing: the file is not there.
    """
    if not path.is_file():
        raise WeightsMissing(f"{path}: the teacher is missing; get {YUNET_FILE} (OpenCV Zoo, MIT)")
    return YuNetDetector(path, longest_px=longest_px, min_score=DOUBTFUL)


def find_teacher(data_dir: Path) -> Path:
    """YuNet's file: the user's own, else ``models`` beside the corpora.

    Raises:
        WeightsMissing: neither is there.
    """
    for path in (find_yunet(FaceConfig()), data_dir.resolve().parent / "models" / YUNET_FILE):
        if path is not None and path.is_file():
            return path
    raise WeightsMissing(f"{YUNET_FILE} (OpenCV Zoo, MIT) teaches the detector; put it in a "
                         f"folder 'models' beside {data_dir}")  # fmt: skip


def as_row(found: Detection) -> FloatArray:
    """Box and five points of a detection as float32 [14]."""
    if found.landmarks_px is None:
        raise ValueError("the teacher must give landmarks")
    return np.concatenate([found.box_px, found.landmarks_px.reshape(-1)]).astype(np.float32)


def only_face(teacher: YuNetDetector, image: ImageArray) -> FloatArray | None:
    """The face, float32 [14], when the teacher surely sees one and doubts nothing else."""
    found = teacher.detect(image)
    if len(found) != 1 or found[0].score < SURE:
        return None
    return as_row(found[0])


def read_bank(
    data_dir: Path, clips_dir: Path, teacher_path: Path, part: Part, cache_dir: Path | None = None
) -> Bank:
    """Labels one part with the teacher; the portraits' labels are kept in ``cache_dir``.

    Raises:
        CorpusError: there are no portraits or no clips of this part.
        WeightsMissing: the teacher is not there.
    """
    teacher = teacher_of(teacher_path)
    bank = Bank()
    paths = list_portraits(data_dir, part)
    cache = None if cache_dir is None else cache_dir / f"teacher-{part}.npz"
    labels = _cached(cache, len(paths))
    if labels is None:
        rows = [only_face(teacher, _decoded(_bytes_of(path))) for path in paths]
        labels = np.stack([np.full(14, np.nan, np.float32) if row is None else row for row in rows])
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            np.savez(cache, labels=labels)
    kept = np.flatnonzero(np.isfinite(labels).all(axis=1))
    bank.portraits = [_bytes_of(paths[index]) for index in kept]
    bank.portrait_faces = labels[kept]
    for name in CLIPS[part]:
        bank.shots += _read_shots(clips_dir / name, teacher)
    if not bank.shots:
        raise CorpusError(f"{clips_dir}: none of {', '.join(CLIPS[part])}")
    for path in find_photographs(part):
        room = _decoded(_bytes_of(path))
        factor = min(1.0, 800 / max(room.shape[:2]))
        bank.rooms.append(
            np.asarray(cv2.resize(room, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA))
        )
    return bank


def _bytes_of(path: Path) -> npt.NDArray[np.uint8]:
    return np.fromfile(path, np.uint8)


def _cached(path: Path | None, count: int) -> FloatArray | None:
    if path is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as archive:
        labels: FloatArray = archive["labels"]
    return labels if labels.shape == (count, 14) else None


def read_frames(path: Path, limit: int, longest_px: int = _TEACHER_PX) -> list[ImageArray]:
    """Up to ``limit`` frames, evenly spaced, uint8 BGR, at most ``longest_px`` long."""
    reader = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, image = reader.read()
        if not there:
            break
        factor = min(1.0, longest_px / max(image.shape[:2]))
        if factor < 1.0:
            image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        frames.append(np.asarray(image, np.uint8))
    reader.release()
    chosen = np.unique(np.linspace(0, max(len(frames) - 1, 0), limit).round().astype(int))
    return [frames[index] for index in chosen if frames]


def _read_shots(path: Path, teacher: YuNetDetector) -> list[Shot]:
    shots = []
    for image in read_frames(path, _FRAMES_PER_CLIP):
        face = only_face(teacher, image)
        if face is not None:
            matte = studio_matte(image) if path.parent.name == "grid" else None
            shots.append(Shot(image, face, matte))
    return shots


def studio_matte(image: ImageArray) -> FloatArray:
    """Where the person is before the blue wall of the GRID corpus.

    Returns:
        float32 [H, W] in 0..1.
    """
    hue, saturation, _ = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    wall = (hue > 70) & (hue < 118) & (saturation > 75)
    person = cv2.morphologyEx((~wall).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, labelled, found, _ = cv2.connectedComponentsWithStats(person)
    if count > 1:
        person = (labelled == 1 + int(np.argmax(found[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    person = cv2.morphologyEx(person, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    person = cv2.erode(person, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.GaussianBlur(person.astype(np.float32), (0, 0), 1.2), np.float32)
