"""The camera that ``camera.source`` names: a webcam, a network camera, or a folder of images."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import numpy as np

from realtime_er.addresses import without_secrets
from realtime_er.clock import Clock
from realtime_er.config import CameraConfig
from realtime_er.errors import DeviceLost, DeviceNotFound
from realtime_er.messages import ImageArray
from realtime_er.sources.base import Stream
from realtime_er.sources.camera_access import Webcam, cannot_open, named
from realtime_er.sources.camera_stream import CameraStream, FoundCamera
from realtime_er.sources.devices import list_cameras
from realtime_er.sources.image_folder import FolderStream
from realtime_er.sources.network_camera import find_network_camera

_RETRY_S = 0.02


class VideoCapture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used; tests put a fake in its place."""

    def isOpened(self) -> bool: ...  # noqa: N802, D102

    def set(self, prop: int, value: float) -> bool: ...  # noqa: D102

    def get(self, prop: int) -> float: ...  # noqa: D102

    def grab(self) -> bool: ...  # noqa: D102

    def retrieve(self) -> tuple[bool, Any]: ...  # noqa: D102

    def release(self) -> None: ...  # noqa: D102


CaptureFactory = Callable[[int | str], VideoCapture]


def _open_cv(address: int | str) -> VideoCapture:
    return cast("VideoCapture", cv2.VideoCapture(address))


class OpenCvCapture:
    """A webcam through OpenCV.

    Args:
        locate: Says where it is now, index or device path; called by ``open``.
        config: Size and rate to ask for, latency, time-out.
        clock: The session's clock.
        factory: Opens the device.
    """

    def __init__(
        self,
        locate: Callable[[], int | str],
        config: CameraConfig,
        clock: Clock,
        factory: CaptureFactory,
    ) -> None:
        self._locate = locate
        self._config = config
        self._clock = clock
        self._factory = factory
        self._capture: VideoCapture | None = None

    def open(self) -> dict[str, Any]:
        """Open the device.

        Raises:
            DeviceNotFound: it cannot be opened.
            DeviceBusy: another program has it.
        """
        address = self._locate()
        try:
            return self._open(address)
        except cv2.error as error:  # a driver's trouble comes as its library's own exception
            raise DeviceNotFound(f"cannot be opened: {error.err or error}") from error

    def _open(self, address: int | str) -> dict[str, Any]:
        capture = self._capture = self._factory(address)
        if not capture.isOpened():
            raise cannot_open(address)
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._config.width_px)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._config.height_px)
        capture.set(cv2.CAP_PROP_FPS, self._config.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # older frames than the newest are of no use
        return {
            "width_px": int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            "height_px": int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            "fps": capture.get(cv2.CAP_PROP_FPS),
        }

    def read(self, stop: threading.Event) -> tuple[float, ImageArray]:
        """Wait for a frame; single failures are tried again until the time-out.

        Raises:
            DeviceLost: none for ``timeout_s``, or stopped.
        """
        give_up_s = self._clock.now_s() + self._config.timeout_s
        while True:
            try:
                grabbed = self._grab()
            except cv2.error as error:
                raise DeviceLost(f"its driver failed: {error.err or error}") from error
            if grabbed is not None:
                return grabbed
            if self._clock.now_s() >= give_up_s:
                raise DeviceLost(f"no picture for {self._config.timeout_s:g} s")
            if stop.wait(_RETRY_S):
                raise DeviceLost("stopped")

    def _grab(self) -> tuple[float, ImageArray] | None:
        """The next frame; None when what came is none."""
        assert self._capture is not None  # open() comes first
        if not self._capture.grab():
            return None
        time_s = self._clock.now_s() - self._config.latency_s
        good, image = self._capture.retrieve()
        if not good or image is None or not image.size:
            return None
        if image.ndim == 2 or image.shape[2] == 1:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            return None
        frame = np.array(image)  # OpenCV may use its buffer again
        frame.setflags(write=False)
        return time_s, frame

    def close(self) -> None:
        """Release the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def open_camera(config: CameraConfig, clock: Clock, factory: CaptureFactory = _open_cv) -> Stream:
    """The stream for ``config.source``; not yet opened.

    Args:
        config: Which camera, and what to ask of it.
        clock: The session's clock.
        factory: Opens a webcam.

    Raises:
        SourceError: nothing is called that.
    """
    source = config.source.strip()
    if not _is_address(source) and Path(source).is_dir():
        return FolderStream(Path(source), config.fps, clock)

    def find(wanted: str) -> FoundCamera:
        return _find(wanted.strip(), config, clock, factory)

    requested = {"width_px": config.width_px, "height_px": config.height_px, "fps": config.fps}
    return CameraStream(find, source, clock, config.timeout_s, requested)


def _is_address(source: str) -> bool:
    return re.match(r"[a-z]+://", source, re.IGNORECASE) is not None


def _find(source: str, config: CameraConfig, clock: Clock, factory: CaptureFactory) -> FoundCamera:
    """The camera called ``source``; nothing is opened.

    Raises:
        DeviceNotFound: nothing is called that.
    """
    if _is_address(source):
        return find_network_camera(source, config, clock)
    if source.isdigit():
        address: int | str = int(source)
    elif "/" in source or "\\" in source:
        if not Path(source).exists():
            raise DeviceNotFound(
                f"camera {without_secrets(source)}: no such device; {_known_cameras()}"
            )
        if Path(source).is_fifo():
            raise DeviceNotFound(
                f"camera {source}: is a named pipe, which nobody can stop waiting for; serve it at an "
                "http address, or through a virtual camera"
            )
        address = source
    else:
        address = _by_name(source)

    webcam = Webcam(address)
    return FoundCamera(
        lambda: OpenCvCapture(webcam.locate, config, clock, factory), source, _known_cameras
    )


def _by_name(name: str) -> int:
    for camera in list_cameras().devices:
        if name and name.casefold() in camera.name.casefold():
            return camera.index
    hint = "" if sys.platform == "linux" else " (on this system give its index)"
    raise DeviceNotFound(f"no camera is called {without_secrets(name)!r}{hint}; {_known_cameras()}")


def _known_cameras() -> str:
    found = list_cameras()
    return named(found.devices) if found.devices else found.problem
