"""Face detectors behind one interface.

``CompactDetector`` ships with the package; ``YuNetDetector``, its teacher, needs a model file;
``HaarDetector`` needs nothing beyond OpenCV's wheel. All are owned by the face thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import platformdirs

from realtime_er.config import FaceConfig
from realtime_er.encoders.bundle import bundle_dir, load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import ModelError, SpecMismatch, WeightsMissing
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
        """Key of the crop rule in the face encoder's card: "compact", "yunet" or "haar"."""
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


class CompactDetector:
    """The package's own single-shot network: boxes and five landmarks, in YuNet's manner.

    Args:
        folder: The model's folder; None for the one that ships with the package.
        longest_px: Pictures are shrunk to this; None for what the card says.
        min_score: Least score of a face; None for what the card says.
        threads: ONNX Runtime's threads within one operator.

    Raises:
        WeightsMissing: the folder lacks its card or model.
        SpecMismatch: the card contradicts the model, or is not a detector's.
    """

    name = "compact"

    def __init__(
        self,
        folder: Path | None = None,
        *,
        longest_px: int | None = None,
        min_score: float | None = None,
        threads: int = 1,
    ) -> None:
        card = load_card(bundle_dir("compact", "detector") if folder is None else folder)
        if card.kind != "detector":
            raise SpecMismatch(f"{card.folder}: a {card.kind} model, not a face detector")
        try:
            contract = card.raw["input"]
            self._longest_px = int(contract["longest_px"] if longest_px is None else longest_px)
            self._least_px = int(contract["least_px"])
            self._multiple_px = int(contract["multiple_px"])
            decision = card.raw["decision"]
            self._min_score = float(decision["min_score"] if min_score is None else min_score)
            self._most_overlap = float(decision["most_overlap"])
        except (KeyError, TypeError, ValueError) as error:
            raise SpecMismatch(f"{card.folder}: card lacks {error}") from error
        self._session = onnx_session(card.path, threads)
        if [node.name for node in self._session.get_inputs()] != ["image"]:
            raise SpecMismatch(f"{card.path}: its inputs are not those of its card")

    def detect(self, image: ImageArray) -> list[Detection]:
        """Faces in a uint8 BGR image."""
        small, factor = _shrink(image, self._longest_px)
        if max(image.shape[:2]) < self._least_px:
            # Of a tiny picture the padding would be a large part.
            factor = self._least_px / max(image.shape[:2])
            small = np.asarray(cv2.resize(image, None, fx=factor, fy=factor), np.uint8)
        below, beside = (-size % self._multiple_px for size in small.shape[:2])
        if below or beside:
            small = np.asarray(
                cv2.copyMakeBorder(small, 0, below, 0, beside, cv2.BORDER_REPLICATE), np.uint8
            )
        score, box, points = self._session.run(["score", "box", "points"], {"image": small})
        rows, columns = np.nonzero(score >= self._min_score)
        kept: list[Detection] = []
        for place in np.argsort(-score[rows, columns], kind="stable"):
            at = rows[place], columns[place]
            left, top, width, height = (float(value) / factor for value in box[at])
            found = Detection(
                (left, top, width, height),
                float(score[at]),
                (points[at] / np.float32(factor)).reshape(5, 2).astype(np.float32),
            )
            if all(_shared(found.box_px, other.box_px) <= self._most_overlap for other in kept):
                kept.append(found)
        return _largest_first(kept)


def _shared(
    first: tuple[float, float, float, float], second: tuple[float, float, float, float]
) -> float:
    """Common area as a share of the smaller box: a face within a face is one face."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    smaller = min(first[2] * first[3], second[2] * second[3])
    return max(0.0, width) * max(0.0, height) / max(smaller, 1e-6)


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


def detector_name(config: FaceConfig) -> str:
    """Name of the detector that ``make_detector`` makes; nothing is loaded."""
    if config.detector != "auto":
        return config.detector
    return "compact" if find_yunet(config) is None else "yunet"


def make_detector(config: FaceConfig) -> FaceDetector:
    """The detector that the configuration asks for; ``auto`` is YuNet where its file is, else our own.

    Raises:
        WeightsMissing: YuNet is asked for and its file is not there, or the package's own is gone.
        SpecMismatch: the package's own detector is not what its card says.
    """
    name = detector_name(config)
    if name == "haar":
        return HaarDetector(min_face_px=config.min_face_px)
    if name == "compact":
        return CompactDetector()
    yunet = find_yunet(config)
    if yunet is None:
        raise WeightsMissing(
            f"face.detector is 'yunet' but {YUNET_FILE} was not found; set face.detector_path, "
            "or face.detector = 'compact', the package's own"
        )
    return YuNetDetector(yunet)
