"""From frames to one aligned face: sampling by time, tracking, target, quality gate, crop.

Pure and single-owner: the face thread calls ``observe``; ``select`` may be called from any thread.
Several faces are never averaged: one target is followed.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.config import FaceConfig
from realtime_er.messages import (
    Absence,
    FaceReport,
    FloatArray,
    ImageArray,
    TrackedFace,
    VideoFrame,
)
from realtime_er.perception.detectors import Detection, FaceDetector

Box = tuple[float, float, float, float]


class FaceCut(NamedTuple):
    """A face cut out of a frame: as its encoder reads it, and as its sharpness is measured.

    Attributes:
        picture: what the bundle's face encoder takes.
        grey: uint8, a square crop of the whole face.
    """

    picture: npt.NDArray[Any]
    grey: ImageArray


class FaceCutter(Protocol):
    """Cuts faces out the way a face encoder wants them."""

    def cut(self, image: ImageArray, face: TrackedFace) -> FaceCut | None:
        """The face; None where nothing of it lies inside the image."""
        ...


@dataclass(frozen=True, slots=True)
class CropRule:
    """How the compact face encoder wants its square: ``scale`` times the box's longer side, moved
    down by ``shift_y`` of that square, ``size_px`` wide, grey.
    """  # noqa: D205 - one sentence on two lines

    scale: float
    shift_y: float
    size_px: int

    def cut(self, image: ImageArray, face: TrackedFace) -> FaceCut:
        """The aligned square, uint8 grey, which is its own measure of sharpness."""
        crop = crop_face(image, face, self)
        return FaceCut(crop, crop)


def intersection_over_union(first: Box, second: Box) -> float:
    """Overlap of two (left, top, width, height) boxes, in [0, 1]."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (first[2] * first[3] + second[2] * second[3] - both)


def roll_rad(landmarks_px: FloatArray) -> float:
    """Rotation of the eye line in the image; 0 when the eyes are level."""
    right, left = landmarks_px[0], landmarks_px[1]
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def yaw_ratio(landmarks_px: FloatArray) -> float:
    """How far the nose is from the middle of the eyes, in eye distances: 0 frontal."""
    right, left, nose = landmarks_px[0], landmarks_px[1], landmarks_px[2]
    between = left - right
    distance = float(np.linalg.norm(between))
    if distance < 1.0:
        return float("inf")
    return abs(float(np.dot(nose - (right + left) / 2, between))) / distance**2


def crop_face(image: ImageArray, face: TrackedFace, rule: CropRule) -> ImageArray:
    """Cut the square that the encoder wants, rolled upright when landmarks tell how.

    Returns:
        uint8 grey, shape (size_px, size_px), read-only. Pixels outside the image repeat its border.
    """
    left, top, width, height = face.box_px
    side = rule.scale * max(width, height)
    centre = np.array([left + width / 2, top + height / 2 + rule.shift_y * side])
    roll = roll_rad(face.landmarks_px) if face.landmarks_px is not None else 0.0
    # Shrink by area averaging first: a warp straight down to 48 px would alias.
    factor = min(1.0, 2.0 * rule.size_px / side)
    reach = side * 0.75 + 2
    x0, y0 = (int(np.floor(value)) for value in np.maximum(centre - reach, 0))
    x1, y1 = (
        int(np.ceil(min(limit, value)))
        for limit, value in zip((image.shape[1], image.shape[0]), centre + reach, strict=True)
    )
    region = cv2.cvtColor(image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)], cv2.COLOR_BGR2GRAY)
    if factor < 1.0:
        size = (max(1, round(region.shape[1] * factor)), max(1, round(region.shape[0] * factor)))
        region = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.uint8)
    scale_x = region.shape[1] / max(x1 - x0, 1)
    scale_y = region.shape[0] / max(y1 - y0, 1)
    middle = ((centre[0] - x0) * scale_x, (centre[1] - y0) * scale_y)
    matrix = np.asarray(
        cv2.getRotationMatrix2D(middle, np.degrees(roll), rule.size_px / (side * scale_x)),
        np.float64,
    )
    matrix[:, 2] += rule.size_px / 2 - np.asarray(middle)
    crop = cv2.warpAffine(
        region,
        matrix,
        (rule.size_px, rule.size_px),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    out = np.asarray(crop, dtype=np.uint8)
    out.setflags(write=False)
    return out


def sharpness(crop: ImageArray) -> float:
    """Mean absolute Laplacian of a grey crop, per unit of contrast, in percent."""
    values = crop.astype(np.float32)
    contrast = float(values.std())
    if contrast < 1.0:
        return 0.0
    return 100.0 * float(np.abs(cv2.Laplacian(values, cv2.CV_32F)).mean()) / contrast


@dataclass(slots=True)
class _Track:
    track_id: int
    box_px: Box
    seen_s: float
    hits: int


class FaceTracker:
    """Gives faces identities by overlap and nearness, and follows one target.

    A track needs two sightings to become a target (a detector's single false alarm never does) and
    ends ``forget_s`` after its last one. The target is the largest face at first and then stays
    locked to its identity until that track ends or somebody selects another.
    """

    _FORGET_S = 1.0
    _MIN_HITS = 2

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 1
        self.target_id: int | None = None

    def update(self, detections: list[Detection], time_s: float) -> list[TrackedFace]:
        """Match one frame's faces to the tracks; returns them with identities, in order given."""
        self._tracks = [t for t in self._tracks if time_s - t.seen_s <= self._FORGET_S]
        pairs = sorted(
            (
                (-self._affinity(track.box_px, found.box_px), track.track_id, index)
                for track in self._tracks
                for index, found in enumerate(detections)
            )
        )
        by_id = {track.track_id: track for track in self._tracks}
        assigned: dict[int, int] = {}
        for negative, track_id, index in pairs:
            if -negative <= 0.0 or index in assigned or track_id in assigned.values():
                continue
            assigned[index] = track_id
        faces = []
        for index, found in enumerate(detections):
            if index not in assigned:
                assigned[index], self._next_id = self._next_id, self._next_id + 1
                track_id = assigned[index]
                by_id[track_id] = _Track(track_id, found.box_px, time_s, 0)
                self._tracks.append(by_id[track_id])
            track = by_id[assigned[index]]
            track.box_px, track.seen_s, track.hits = found.box_px, time_s, track.hits + 1
            faces.append(TrackedFace(track.track_id, found.box_px, found.score, found.landmarks_px))
        self._follow(faces)
        return faces

    @staticmethod
    def _affinity(old: Box, new: Box) -> float:
        """Overlap, or nearness below any overlap; 0 when the faces cannot be the same."""
        overlap = intersection_over_union(old, new)
        if overlap > 0.1:
            return 1.0 + overlap
        sizes = sorted((max(old[2:]), max(new[2:])))
        if sizes[0] < 0.6 * sizes[1]:
            return 0.0
        apart = np.hypot(
            old[0] + old[2] / 2 - new[0] - new[2] / 2, old[1] + old[3] / 2 - new[1] - new[3] / 2
        )
        return max(0.0, 1.0 - float(apart) / (1.2 * sizes[1]))

    def _follow(self, faces: list[TrackedFace]) -> None:
        if self.target_id is not None and any(t.track_id == self.target_id for t in self._tracks):
            return
        hits = {track.track_id: track.hits for track in self._tracks}
        ready = [face for face in faces if hits[face.track_id] >= self._MIN_HITS]
        best = max(ready, key=lambda face: face.box_px[2] * face.box_px[3], default=None)
        self.target_id = best.track_id if best is not None else None


class FacePerception:
    """Frames in, one report per encoded frame out, with the target's crop when it is usable."""

    # A grid by time, with a tolerance for the jitter of cameras whose rate divides the grid's.
    _TOLERANCE_S = 0.005

    def __init__(self, config: FaceConfig, detector: FaceDetector, cutter: FaceCutter) -> None:
        self._config = config
        self._detector = detector
        self._cutter = cutter
        self._tracker = FaceTracker()
        self._last_slot_s = -math.inf
        self._lock = threading.Lock()
        self._wanted: int | None = None  # written by select() on any thread, taken by observe()

    def select(self, track_id: int) -> None:
        """Follow this face from the next encoded frame on. Any thread."""
        with self._lock:
            self._wanted = track_id

    def due(self, frame: VideoFrame, share: float = 1.0) -> bool:
        """Whether this frame is one of those that are encoded, by time.

        Args:
            frame: Newer than the last one asked about.
            share: Of ``face.rate_hz``.
        """
        slot_s = self._slot_s(frame, share)
        if slot_s <= self._last_slot_s:
            return False
        self._last_slot_s = slot_s
        return True

    def would_be_due(self, frame: VideoFrame, share: float = 1.0) -> bool:
        """Like ``due``, of a frame that is not looked at yet. Any thread while this one waits."""
        return self._slot_s(frame, share) > self._last_slot_s

    def _slot_s(self, frame: VideoFrame, share: float) -> float:
        rate_hz = share * self._config.rate_hz
        return int((frame.time_s + self._TOLERANCE_S) * rate_hz) / rate_hz

    def observe(self, frame: VideoFrame) -> tuple[FaceReport, npt.NDArray[Any] | None]:
        """Detect, track and judge; with the target as its encoder reads it, None if it may not."""
        faces = self._tracker.update(self._detector.detect(frame.image), frame.time_s)
        with self._lock:
            if self._wanted is not None and any(f.track_id == self._wanted for f in faces):
                self._tracker.target_id = self._wanted
            self._wanted = None
        target = next((f for f in faces if f.track_id == self._tracker.target_id), None)
        picture: npt.NDArray[Any] | None = None
        absence: Absence | None = Absence.NO_FACE
        if target is not None:
            cut = self._cutter.cut(frame.image, target)
            absence = self._judge(target, cut)
            if cut is not None and absence is None:
                picture = cut.picture
            else:
                refused = TrackedFace(
                    target.track_id, target.box_px, target.score, target.landmarks_px, absence
                )
                faces = [refused if face is target else face for face in faces]
        report = FaceReport(
            frame.index, frame.time_s, tuple(faces), self._tracker.target_id, absence, None
        )
        return report, picture

    def _judge(self, face: TrackedFace, cut: FaceCut | None) -> Absence | None:
        if cut is None or min(face.box_px[2:]) < self._config.min_face_px:
            return Absence.FACE_TOO_SMALL
        if face.landmarks_px is not None and yaw_ratio(face.landmarks_px) > self._config.max_yaw:
            return Absence.FACE_TURNED
        if sharpness(cut.grey) < self._config.min_sharpness:
            return Absence.FACE_BLURRED
        return None
