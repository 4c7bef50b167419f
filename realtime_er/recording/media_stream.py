"""Reads one stream of a session's ``media.mkv``, from anywhere, also when its end is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import av
import av.error
import av.stream
import cv2
import numpy as np

from realtime_er.errors import MediaError
from realtime_er.messages import FloatArray, ImageArray

Kind = Literal["video", "audio"]

READ_ERRORS = (OSError, av.error.FFmpegError)
"""What reading media may raise."""

_MAX_ERRORS = 8


class MediaStream:
    """One stream of a media file. Owned by one thread, which may get it from another.

    Args:
        path: The file.
        kind: Which of its streams.

    Raises:
        MediaError: the file is missing or unreadable, or has no such stream.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self._path = path
        self._kind = kind
        if not path.is_file():
            raise MediaError(f"{path}: no such file")
        try:
            self._container = av.open(str(path), "r", format="matroska", metadata_errors="replace")
        except READ_ERRORS as error:
            raise MediaError(
                f"{path}: cannot be read (damaged at the beginning, or nothing was recorded); "
                f"try: realtime-er repair {path.parent}"
            ) from error
        streams = [stream for stream in self._container.streams if stream.type == kind]
        if not streams or streams[0].codec_context is None:
            self._container.close()
            raise MediaError(f"{path}: no {kind} stream")
        self._stream: Any = streams[0]
        for stream in self._container.streams:
            if stream is not self._stream:
                stream.discard = av.stream.Discard.all
        if kind == "video":
            # Several threads would hold pictures back, and take what the models need.
            self._stream.codec_context.thread_count = 1

    @property
    def codec(self) -> str:
        """Name of the codec."""
        return str(self._stream.codec_context.name)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        return self._stream.codec_context.width, self._stream.codec_context.height

    def key_frames_only(self, only: bool) -> None:
        """Whether the decoder leaves out all pictures but key frames; before ``seek``."""
        self._stream.codec_context.skip_frame = "NONKEY" if only else "DEFAULT"

    def seek(self, pts_ms: int) -> None:
        """Let ``frames`` begin at the newest key frame up to ``pts_ms``, or at the beginning.

        Raises:
            MediaError: the file cannot be read there.
        """
        try:
            offset = round(max(0, pts_ms) / 1000 / self._stream.time_base)
            self._container.seek(offset, stream=self._stream, backward=True)
        except (*READ_ERRORS, OverflowError) as error:  # the latter for a time that cannot be
            raise MediaError(
                f"{self._path}: cannot be read at {pts_ms / 1000:.1f} s; "
                f"try: realtime-er repair {self._path.parent}"
            ) from error

    def frames(self) -> Iterator[tuple[int, Any]]:
        """Time stamps in ms and decoded frames, to the end or to where the file breaks off."""
        errors = 0
        while errors < _MAX_ERRORS:
            try:
                for packet in self._container.demux(self._stream):
                    for frame in _decoded(packet):
                        errors = 0
                        yield round(frame.pts * frame.time_base * 1000), frame
                return
            except av.error.EOFError:
                return
            except READ_ERRORS:
                errors += 1

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._container.close()


def _decoded(packet: Any) -> list[Any]:  # noqa: ANN401 - PyAV
    try:
        frames = packet.decode()
    except av.error.EOFError:
        raise
    except av.error.FFmpegError:
        return []  # a damaged packet; its row in the table shows what is missing
    return [frame for frame in frames if frame.pts is not None and not frame.is_corrupt]


def to_image(frame: Any) -> ImageArray:  # noqa: ANN401 - PyAV
    """Pixels of a recorded picture, uint8 BGR (height, width, 3), read-only.

    Undoes exactly the conversion of ``media_writer``; swscale's would be slower and darker.
    """
    if frame.format.name == "yuv420p":
        image = cv2.cvtColor(frame.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2BGR_I420)
    else:
        image = frame.to_ndarray(format="bgr24")
    image.setflags(write=False)
    return np.asarray(image)


def to_samples(frame: Any) -> FloatArray:  # noqa: ANN401 - PyAV
    """Samples of a recorded block, float32 (n,) in [-1, 1], read-only; exact for 16 bits.

    Raises:
        MediaError: it is not the sound of a session.
    """
    if frame.format.name != "s16":
        raise MediaError(f"the recorded sound is {frame.format.name}, not 16 bits; who wrote it?")
    block = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)[:, 0]
    samples: FloatArray = block.astype(np.float32) / np.float32(32768)
    samples.setflags(write=False)
    return samples
