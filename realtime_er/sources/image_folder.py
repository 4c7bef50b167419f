"""A folder of images as a video."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.errors import MediaError
from realtime_er.messages import Gap, ImageArray, VideoFrame
from realtime_er.sources.base import Emit, Pacer, RealTimePacer, Stream

_SUFFIXES = {".jpg", ".jpeg", ".png"}


class ImageFolder:
    """The jpg and png files of a folder, in the order of their names, as a source.

    Args:
        path: The folder.
        fps: Images in a second.
        paced: Deliver at that rate; else as fast as asked for.
    """

    def __init__(self, path: str | Path, fps: float = 25.0, *, paced: bool = False) -> None:
        self._path = Path(path)
        self._fps = fps
        self._paced = paced

    @property
    def realtime(self) -> bool:
        """Whether it is paced."""
        return self._paced

    def streams(self, config: Config, clock: Clock) -> Sequence[Stream]:
        """The one stream.

        Raises:
            MediaError: the camera is disabled.
        """
        if not config.camera.enabled:
            raise MediaError(f"{self._path}: holds only video, which is disabled")
        return [FolderStream(self._path, self._fps)]


class FolderStream:
    """The images of a folder, each at its number divided by ``fps``.

    Args:
        path: The folder.
        fps: Images in a second, above zero.
        clock: Deliver when this clock reaches an image's time, whatever pacer the session has.
    """

    def __init__(self, path: Path, fps: float, clock: Clock | None = None) -> None:
        self._path = path
        self._fps = fps
        self._pacer = None if clock is None else RealTimePacer(clock)
        self._files: list[Path] = []
        self._closed = threading.Event()

    @property
    def kind(self) -> Literal["video"]:
        """What it emits."""
        return "video"

    @property
    def name(self) -> str:
        """Always "camera"."""
        return "camera"

    def open(self) -> None:
        """List the images.

        Raises:
            MediaError: there are none, or the folder cannot be read.
        """
        if not self._path.is_dir():
            raise MediaError(f"{self._path}: no such folder")
        try:
            self._files = sorted(
                file
                for file in self._path.iterdir()
                if file.suffix.lower() in _SUFFIXES and file.is_file()
            )
        except OSError as error:
            raise MediaError(f"{self._path}: cannot be listed: {error.strerror}") from error
        if not self._files:
            raise MediaError(f"{self._path}: no jpg or png images in this folder")

    def run(self, emit: Emit, pacer: Pacer, stop: threading.Event) -> None:
        """Emit the images; one that cannot be read is a gap."""
        for index, file in enumerate(self._files):
            time_s = index / self._fps
            image = _read(file)
            if not (self._pacer or pacer).wait(time_s, stop) or self._closed.is_set():
                return
            if image is None:
                reason = f"{file.name} cannot be read"
                emit(Gap(self.name, time_s, time_s + 1 / self._fps, reason))
                continue
            emit(VideoFrame(index, time_s, image))

    def close(self) -> None:
        """End before the next image."""
        self._closed.set()

    def info(self) -> dict[str, Any]:
        """The folder and how many images it has."""
        return {"path": str(self._path), "fps": self._fps, "images": len(self._files)}


def _read(file: Path) -> ImageArray | None:
    """The picture, read-only; None when there is none, or one of more pixels than OpenCV allows."""
    try:
        encoded = np.frombuffer(file.read_bytes(), dtype=np.uint8)
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    except (OSError, cv2.error):
        return None
    if image is None:
        return None
    picture = np.asarray(image, dtype=np.uint8)
    picture.setflags(write=False)
    return picture
