"""One RAVDESS video to what the networks read: 30 faces spread over the clip, and its cepstra."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import cv2
import numpy as np
import soxr

from realtime_er.encoders.paper.faces import cut_face
from realtime_er.errors import MediaError
from realtime_er.messages import FloatArray, ImageArray
from realtime_er.perception.detectors import FaceDetector
from realtime_er.sources.media_decode import samples_of, upright
from realtime_er.sources.resample import to_float
from realtime_er.training.ravdess.landmarks import Box
from realtime_er.training.ravdess.mfcc import OFFSET_S, RATE_HZ, clip_cepstra

N_FRAMES = 30
SIDE_PX = 224
JPEG_QUALITY = 95


@dataclass(frozen=True)
class ClipMaterial:
    """What is kept of a clip.

    Attributes:
        faces: JPEG files, uint8 [bytes] each, of as many squares as were asked for.
        cepstra: float32 [13, 212].
        by_landmarks: faces cut by landmarks.
        by_detector: faces cut by the detector.
        by_neighbour: faces cut where the nearest frame with a face had it.
        sound_s: seconds of sound in the file.
    """

    faces: tuple[ImageArray, ...]
    cepstra: FloatArray
    by_landmarks: int
    by_detector: int
    by_neighbour: int
    sound_s: float

    @property
    def note(self) -> str:
        """What was unusual, or nothing."""
        said = []
        if self.by_neighbour:
            said.append(f"{self.by_neighbour} faces cut as in the nearest frame")
        if self.sound_s <= OFFSET_S:
            said.append(f"{self.sound_s:.2f} s of sound: silence is read")
        return "; ".join(said)


def read_clip(
    path: Path,
    detector: FaceDetector,
    boxes: list[Box | None] | None = None,
    *,
    n_frames: int = N_FRAMES,
    side_px: int = SIDE_PX,
) -> ClipMaterial:
    """Reads a clip.

    Args:
        path: a video with sound.
        detector: finds faces where there are no landmarks; owned by the calling thread.
        boxes: from landmarks, one for each frame of the video; None for none at all.
        n_frames: faces to take.
        side_px: of the square that a face becomes; its aspect ratio is not kept, as published.

    Raises:
        MediaError: it cannot be decoded, has no picture, no sound, or no face.
    """
    sound = _sound(path)
    frames = _spread_frames(path, n_frames)
    found: list[Box | None] = []
    by_landmarks = by_detector = 0
    for index, image in frames:
        box = boxes[index] if boxes is not None and index < len(boxes) else None
        if box is not None:
            by_landmarks += 1
        else:
            box = _detected(detector, image)
            by_detector += box is not None
        found.append(box)
    known = [place for place, box in enumerate(found) if box is not None]
    if not known:
        raise MediaError(f"{path}: no face in any of {n_frames} frames")
    faces = []
    for place, (_, image) in enumerate(frames):
        nearest = min(known, key=lambda other: abs(other - place))
        faces.append(_cut(image, found[nearest], side_px, path))
    return ClipMaterial(
        tuple(faces),
        clip_cepstra(sound),
        by_landmarks,
        by_detector,
        len(frames) - len(known),
        len(sound) / RATE_HZ,
    )


def decode_face(file: ImageArray) -> ImageArray:
    """The square behind one of ``ClipMaterial.faces``, uint8 [side, side, 3], RGB."""
    bgr = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(bgr[..., ::-1])


def _detected(detector: FaceDetector, image: ImageArray) -> Box | None:
    faces = detector.detect(image)
    if not faces:
        return None
    height, width = image.shape[:2]
    left, top, wide, high = faces[0].box_px
    return left / width, top / height, wide / width, high / height


def _cut(image: ImageArray, box: Box | None, side_px: int, path: Path) -> ImageArray:
    height, width = image.shape[:2]
    left, top, wide, high = box or (0.0, 0.0, 1.0, 1.0)
    face = cut_face(image, (left * width, top * height, wide * width, high * height))
    if face is None:
        raise MediaError(f"{path}: a face lies outside its picture; check the landmarks' size")
    shrinks = face.shape[0] > side_px
    square = cv2.resize(
        face, (side_px, side_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    written, file = cv2.imencode(".jpg", square, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not written:
        raise MediaError(f"{path}: a face could not be encoded")
    return np.asarray(file, np.uint8).reshape(-1)


def _spread_frames(path: Path, count: int) -> list[tuple[int, ImageArray]]:
    """``count`` frames at equal distances in time, with their number in the video.

    The clip is cut into ``count`` equal spans, and the frame that is shown in a span's middle stands
    for it. A clip with fewer frames repeats some.
    """
    times = _frame_times(path)
    middle = (np.arange(count) + 0.5) / count
    # The last frame is shown as long as those before it.
    length = times[-1] - times[0] + (times[-1] - times[0]) / max(1, len(times) - 1)
    wanted = np.searchsorted(times, times[0] + middle * length, side="right") - 1
    needed = set(wanted.tolist())
    images: dict[int, ImageArray] = {}
    with _opened(path) as container:
        for index, frame in enumerate(_decoded(container, "video", path)):
            if index in needed:
                images[index] = upright(frame)
    if not images:
        raise MediaError(f"{path}: no picture in it can be decoded")
    there = np.array(sorted(images))
    # A damaged end has fewer pictures than the container says.
    kept = [int(there[np.abs(there - index).argmin()]) for index in wanted]
    return [(index, images[index]) for index in kept]


def _frame_times(path: Path) -> FloatArray:
    """When each frame is shown, in order, without decoding."""
    with _opened(path) as container:
        stream = next(iter(container.streams.video), None)
        if stream is None:
            raise MediaError(f"{path}: holds no picture")
        try:
            shown = sorted(
                packet.pts for packet in container.demux(stream) if packet.pts is not None
            )
        except av.error.FFmpegError as error:
            raise MediaError(f"{path}: damaged; its pictures cannot be listed") from error
        if not shown or stream.time_base is None:
            raise MediaError(f"{path}: its pictures bear no times")
        return np.asarray(np.array(shown) * float(stream.time_base), np.float32)


def _sound(path: Path) -> FloatArray:
    """The whole sound, mono at 44.1 kHz, float32 [samples]."""
    blocks: list[FloatArray] = []
    rate_hz = 0
    with _opened(path) as container:
        if not container.streams.audio:
            raise MediaError(f"{path}: holds no sound; take the files 01-..., not 02-...")
        for frame in _decoded(container, "audio", path):
            block = to_float(samples_of(frame)).mean(axis=1)
            if rate_hz and frame.sample_rate != rate_hz:
                raise MediaError(f"{path}: its sound changes its rate")
            rate_hz = frame.sample_rate
            blocks.append(block)
    if not blocks:
        return np.zeros(0, np.float32)
    sound = np.concatenate(blocks)
    return np.asarray(soxr.resample(sound, rate_hz, RATE_HZ), np.float32)


def _opened(path: Path) -> av.container.InputContainer:
    try:
        return av.open(str(path), "r", metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: missing, not a media file, or damaged") from error


def _decoded(container: av.container.InputContainer, kind: str, path: Path) -> Any:  # noqa: ANN401 - pictures and sound
    """Frames up to where the file is damaged."""
    try:
        yield from container.decode(**{kind: 0})
    except av.error.FFmpegError as error:
        if kind == "audio":
            raise MediaError(f"{path}: its sound cannot be decoded") from error
