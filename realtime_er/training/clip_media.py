"""One clip of a manifest to what the encoders read: a person's faces at 5 Hz, and sound at 16 kHz.

Files are decoded from the clip's beginning, not from their own, so a span of a long dialogue costs
no more than its length.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.container
import av.error
import numpy as np
import numpy.typing as npt

from realtime_er.encoders.paper.faces import RATE_HZ, SIDE_PX, FrameSampler, cut_face
from realtime_er.errors import MediaError
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray, ImageArray
from realtime_er.perception.detectors import FaceDetector
from realtime_er.perception.face import FaceTracker
from realtime_er.sources.media_decode import samples_of, upright
from realtime_er.sources.resample import StreamingResampler
from realtime_er.training.corpora.manifest import ManifestRow

_LONGEST_S = 1800.0
"""A clip is minutes at most; a wrong span must not fill the memory."""


@dataclass(frozen=True)
class FaceTrack:
    """One person's faces in a clip.

    Attributes:
        squares: uint8 [T, 224, 224, 3], BGR.
        times_s: float64 [T], since the clip's start.
        persons: how many people were seen; the most seen one is here.
    """

    squares: ImageArray
    times_s: npt.NDArray[np.float64]
    persons: int


def to_square(face: ImageArray, side_px: int = SIDE_PX) -> ImageArray:
    """The pixels that ``prepare_face`` picks, as they are: a 20th of the memory until it is used.

    Args:
        face: uint8 [h, w, 3].
        side_px: side of the square.

    Returns:
        uint8 [side, side, 3].
    """
    rows, columns = (
        ((np.arange(side_px) + 0.5) * (length / side_px)).astype(np.intp)
        for length in face.shape[:2]
    )
    square: ImageArray = face[rows[:, None], columns[None, :]]
    return square


def read_faces(row: ManifestRow, root: Path, detector: FaceDetector) -> FaceTrack | None:
    """Looks at five frames a second and follows everybody in them.

    Args:
        row: a clip with a video.
        root: the corpus' folder.
        detector: finds faces; owned by the calling thread.

    Returns:
        The person who covers the largest area over all frames (large and often seen), never a
        mixture of several. None without a face.

    Raises:
        MediaError: the file has no picture that can be decoded.
    """
    return follow_face(read_pictures(row, root), detector, _cut_square)


def follow_face(
    pictures: Iterable[tuple[float, ImageArray]],
    detector: FaceDetector,
    cut: Callable[[ImageArray, Sequence[float]], ImageArray | None],
) -> FaceTrack | None:
    """Follows everybody and keeps whoever covers the largest area over all pictures.

    Args:
        pictures: times in seconds and pictures, in order.
        detector: finds faces; owned by the calling thread.
        cut: makes a square of a picture and a box (left, top, width, height in pixels), all of one
            size; None where nothing of the box is in the picture.

    Returns:
        That person; None without a face.
    """
    tracker = FaceTracker()
    squares: dict[int, list[ImageArray]] = {}
    times: dict[int, list[float]] = {}
    areas: dict[int, float] = {}
    for time_s, image in pictures:
        for face in tracker.update(detector.detect(image), time_s):
            square = cut(image, face.box_px)
            if square is None:
                continue
            squares.setdefault(face.track_id, []).append(square)
            times.setdefault(face.track_id, []).append(time_s)
            area = float(face.box_px[2] * face.box_px[3])
            areas[face.track_id] = areas.get(face.track_id, 0.0) + area
    if not squares:
        return None
    best = max(areas, key=lambda track: (areas[track], -track))
    return FaceTrack(np.stack(squares[best]), np.array(times[best]), len(squares))


def _cut_square(image: ImageArray, box_px: Sequence[float]) -> ImageArray | None:
    face = cut_face(image, box_px)
    return None if face is None else to_square(face)


def _half(image: ImageArray, side: str) -> ImageArray:
    middle = image.shape[1] // 2
    if side == "left":
        return np.ascontiguousarray(image[:, :middle])
    return np.ascontiguousarray(image[:, middle:]) if side == "right" else image


def read_pictures(
    row: ManifestRow, root: Path, rate_hz: float = RATE_HZ, longest_s: float = _LONGEST_S
) -> Iterator[tuple[float, ImageArray]]:
    """A clip's frames, chosen by their time, and of IEMOCAP's the speaker's half.

    Args:
        row: a clip with a video.
        root: the corpus' folder.
        rate_hz: frames per second, at most.
        longest_s: where to stop, since the clip's start.

    Yields:
        Seconds since the clip's start, and uint8 [H, W, 3], BGR.

    Raises:
        MediaError: the file is missing or has no picture that can be decoded.
    """
    path, start_s, end_s = root / row.video, row.start_s, row.end_s
    sampler = FrameSampler(rate_hz)
    last_s = -math.inf
    frames = 0
    with _opened(path) as container:
        stream = next(iter(container.streams.video), None)
        if stream is None:
            raise MediaError(f"{path}: holds no picture")
        zero_s = _zero_s(container)
        first_s = 0.0 if start_s is None else start_s
        last_end_s = min(first_s + longest_s, math.inf if end_s is None else end_s)
        interval_s = 1.0 / float(stream.average_rate or 25)
        for frame in _decoded(container, stream, start_s, zero_s):
            frames += 1
            told_s = _time_s(frame)
            if told_s is None:  # old containers: one interval after the frame before
                time_s = max(last_s, first_s) + interval_s if frames > 1 else first_s
            else:
                time_s = told_s - zero_s
            if time_s < first_s - 1e-6 or time_s <= last_s:
                continue  # before the clip, or out of order
            if time_s >= last_end_s:
                return
            last_s = time_s
            if sampler.take(time_s):
                yield time_s - first_s, _half(upright(frame), row.side)
    if not frames:
        raise MediaError(f"{path}: no picture in it can be decoded")


def read_sound(row: ManifestRow, root: Path) -> FloatArray | None:
    """Reads a clip's sound.

    Args:
        row: its ``audio`` is read whole; without one, the span of its ``video``'s own sound.
        root: the corpus' folder.

    Returns:
        float32 [samples], mono at 16 kHz; None where the file has no sound at all.

    Raises:
        MediaError: the file cannot be decoded.
    """
    start_s, end_s = (None, None) if row.audio else (row.start_s, row.end_s)
    path = root / (row.audio or row.video)
    resampler: StreamingResampler | None = None
    shape = (0, 0)
    pieces: list[FloatArray] = []
    heard_s: float | None = None
    with _opened(path) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return None
        zero_s = _zero_s(container)
        for frame in _decoded(container, stream, start_s, zero_s):
            time_s = (_time_s(frame) or zero_s) - zero_s
            if end_s is not None and time_s >= end_s:
                break
            if (frame.sample_rate, frame.layout.nb_channels) != shape:
                if resampler is not None:
                    pieces.append(resampler.flush())
                shape = (frame.sample_rate, frame.layout.nb_channels)
                resampler = StreamingResampler(*shape)
            if resampler is not None:
                pieces.append(resampler.push(samples_of(frame)))
            heard_s = time_s if heard_s is None else heard_s
            if time_s - heard_s > _LONGEST_S:
                break
    if resampler is None or heard_s is None:
        return np.zeros(0, np.float32)
    pieces.append(resampler.flush())
    return _span(np.concatenate(pieces), heard_s, start_s, end_s)


def _span(
    sound: FloatArray, heard_s: float, start_s: float | None, end_s: float | None
) -> FloatArray:
    """The part of sound, whose first sample is at ``heard_s``, that belongs to the clip."""
    if start_s is None or end_s is None:
        return sound
    first = round((start_s - heard_s) * SAMPLE_RATE_HZ)
    last = first + round((end_s - start_s) * SAMPLE_RATE_HZ)
    return sound[max(first, 0) : max(last, 0)]


def _zero_s(container: av.container.InputContainer) -> float:
    start: int | None = container.start_time
    return 0.0 if start is None else start / float(av.time_base)


def _time_s(frame: Any) -> float | None:  # noqa: ANN401 - pictures and sound
    """When a frame is shown; where only the order of decoding is known, when it was decoded."""
    if frame.time is not None:
        return float(frame.time)
    if frame.dts is None or frame.time_base is None:
        return None
    return float(frame.dts * frame.time_base)


def _opened(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise MediaError(f"{path}: is missing")
    try:
        return av.open(str(path), "r", metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not a media file, or damaged at its beginning") from error


def _decoded(
    container: av.container.InputContainer,
    stream: Any,  # noqa: ANN401 - av has no joint type for pictures and sound
    start_s: float | None,
    zero_s: float,
) -> Iterator[Any]:
    """Frames from a little before ``start_s`` on; what cannot be decoded is passed by."""
    if start_s is not None and start_s > 0.0:
        # A file without an index is read from its beginning instead.
        with contextlib.suppress(av.error.FFmpegError):
            container.seek(round((start_s + zero_s) * av.time_base), backward=True)
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                continue
            for frame in frames:
                if not frame.is_corrupt:
                    yield frame
    except av.error.FFmpegError:
        return  # the rest of the file cannot be read; what came before counts
