"""Face detectors behind one interface.

``YuNetDetector`` is better and faster but needs a model file; ``HaarDetector`` needs nothing beyond
OpenCV's wheel. Both are owned by the face thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import platformdirs

from realtime_er.config import FaceConfig
from realtime_er.errors import ModelError, WeightsMissing
from realtime_er.messages import FloatArray, ImageArray

YUNET_FILE = "face_detection_yunet_2023mar.onnx"


@dataclass(frozen=True, slots=True)
class Detection:
    """A face in one image: see ``messages.TrackedFace`` for the fields."""

    box_px: tuple[float, float, float, float]
    score: float
    landmarks_px: FloatArray | None = None


class FaceDetector(Protocol):
    """Finds faces in one image."""

    @property
    def name(self) -> str:
        """Key of the crop rule in the face encoder's card: "yunet" or "haar"."""
        ...

    def detect(self, image: ImageArray) -> list[Detection]:
        """Faces in a uint8 BGR image (height, width, 3), largest first."""
        ...


def _shrink(image: ImageArray, longest_px: int) -> tuple[ImageArray, float]:
    """The image with its longest side at most ``longest_px``, and new size / old size."""
    factor = min(1.0, longest_px / max(image.shape[:2]))
    if factor == 1.0:
        return image, 1.0
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), factor


def _largest_first(found: list[Detection]) -> list[Detection]:
    return sorted(found, key=lambda face: (-face.box_px[2] * face.box_px[3], face.box_px))


class YuNetDetector:
    """YuNet through ``cv2.FaceDetectorYN``: boxes and five landmarks.

    Raises:
        WeightsMissing: there is no such file.
        ModelError: the file is not YuNet.
    """

    name = "yunet"

    def __init__(self, path: Path, *, longest_px: int = 320, min_score: float = 0.7) -> None:
        if not path.is_file():
            raise WeightsMissing(f"{path}: no such face detector; leave face.detector_path empty")
        try:
            self._net = cv2.FaceDetectorYN.create(
                str(path), "", (longest_px, longest_px), min_score
            )
        except cv2.error as error:
            raise ModelError(f"{path}: not a YuNet face detector ({error.err})") from error
        self._longest_px = longest_px

    def detect(self, image: ImageArray) -> list[Detection]:
        """Faces in a uint8 BGR image."""
        small, factor = _shrink(image, self._longest_px)
        self._net.setInputSize((small.shape[1], small.shape[0]))
        rows: object = self._net.detect(small)[1]
        found = []
        # OpenCV returns None, whatever its stub says, when there is no face.
        for row in np.asarray([] if rows is None else rows, dtype=np.float32):
            scaled = row[:14] / np.float32(factor)
            left, top, width, height = (float(value) for value in scaled[:4])
            found.append(
                Detection((left, top, width, height), float(row[14]), scaled[4:14].reshape(5, 2))
            )
        return _largest_first(found)


class HaarDetector:
    """OpenCV's frontal-face cascade "alt2", which ships in the wheel: boxes only.

    Of the cascades and settings tried, the one without false alarms on the development clips at half
    the cost of the default cascade. At 240 px it sees faces from a twelfth of the picture's width on.
    """

    name = "haar"

    def __init__(self, *, longest_px: int = 240, min_face_px: int = 32) -> None:
        path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise ModelError(f"{path}: missing; install opencv-python-headless below version 5")
        self._longest_px = longest_px
        self._min_face_px = min_face_px

    def detect(self, image: ImageArray) -> list[Detection]:
        """Faces in a uint8 BGR image."""
        small, factor = _shrink(image, self._longest_px)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))
        least = max(20, round(self._min_face_px * factor))
        boxes, hits = self._cascade.detectMultiScale2(
            grey, scaleFactor=1.15, minNeighbors=3, minSize=(least, least)
        )
        found = []
        for box, n_hits in zip(boxes, hits, strict=True):
            left, top, width, height = (float(value) / factor for value in box)
            # The cascade has no probability; how often it fired on one face is the nearest thing.
            found.append(
                Detection((left, top, width, height), float(n_hits) / (float(n_hits) + 5.0))
            )
        return _largest_first(found)


def find_yunet(config: FaceConfig) -> Path | None:
    """YuNet's file: ``face.detector_path``, else the user's model cache; None when not there."""
    if config.detector_path:
        return Path(config.detector_path)
    cached = Path(platformdirs.user_cache_dir("realtime_er")) / "models" / YUNET_FILE
    return cached if cached.is_file() else None


def make_detector(config: FaceConfig) -> FaceDetector:
    """The detector that the configuration asks for; ``auto`` takes the best whose file is there.

    Raises:
        WeightsMissing: YuNet is asked for and its file is not there.
    """
    yunet = find_yunet(config)
    if config.detector == "yunet" and yunet is None:
        raise WeightsMissing(
            f"face.detector is 'yunet' but {YUNET_FILE} was not found; set face.detector_path, "
            "or face.detector = 'haar', which needs no file"
        )
    if yunet is not None and config.detector != "haar":
        return YuNetDetector(yunet)
    return HaarDetector(min_face_px=config.min_face_px)
