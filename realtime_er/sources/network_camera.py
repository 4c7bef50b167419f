"""Cameras at an http(s) or rtsp address, such as a phone that serves MJPEG."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import av
import av.container
import av.error
import av.video.stream

from realtime_er.clock import Clock
from realtime_er.config import CameraConfig
from realtime_er.errors import DeviceLost, DeviceNotFound, MediaError
from realtime_er.messages import ImageArray
from realtime_er.sources.camera_stream import FoundCamera
from realtime_er.sources.media_decode import upright

MAX_PX = 4096
"""Larger pictures are refused: nobody needs them, and they could fill the memory."""

_PROTOCOLS = {
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
    "rtsp": "rtsp,rtp,udp,tcp",
}
_TIMEOUT_S = 1.5


class NetworkCapture:
    """A network camera through PyAV; each call returns within about ``timeout_s``.

    Args:
        url: Its address.
        clock: The session's clock.
        latency_s: Subtracted from the time of arrival.
        timeout_s: Longest wait for a connection and for a frame.
    """

    def __init__(
        self, url: str, clock: Clock, latency_s: float = 0.0, timeout_s: float = _TIMEOUT_S
    ) -> None:
        self._url = url
        self._scheme = urlsplit(url).scheme.lower()
        self._clock = clock
        self._latency_s = latency_s
        self._timeout_s = timeout_s
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] | None = None

    def open(self) -> dict[str, Any]:
        """Connect.

        Raises:
            DeviceNotFound: nothing answers, or what answers is not a video.
        """
        options = {
            "protocol_whitelist": _PROTOCOLS[self._scheme],
            "fflags": "nobuffer",
            "flags": "low_delay",
            "probesize": "65536",
            "analyzeduration": "100000",
            "max_pixels": str(MAX_PX * MAX_PX),
        }
        if self._scheme == "rtsp":
            options["rtsp_transport"] = "tcp"
        try:
            container = self._connect(options)
        except av.error.FFmpegError as error:
            raise DeviceNotFound(f"cannot be reached: {error.strerror}") from error
        self._container = container
        if not container.streams.video:
            raise DeviceNotFound("the address does not serve a video")
        stream = container.streams.video[0]
        context = stream.codec_context
        self._check_size(context.width, context.height)
        self._frames = self._decode(container, stream)
        return {
            "format": container.format.name,
            "codec": context.name,
            "width_px": context.width,
            "height_px": context.height,
        }

    def _connect(self, options: dict[str, str]) -> av.container.InputContainer:
        timeout = (self._timeout_s, self._timeout_s)
        if self._scheme != "rtsp":
            try:
                # Without the hint, MJPEG over HTTP is often not recognised from its first bytes.
                return av.open(self._url, format="mpjpeg", options=options, timeout=timeout)
            except av.error.InvalidDataError:
                pass  # not multipart JPEG: let the library find out what it is
        return av.open(self._url, options=options, timeout=timeout)

    @staticmethod
    def _check_size(width_px: int, height_px: int) -> None:
        if max(width_px, height_px) > MAX_PX:
            raise MediaError(f"its {width_px}x{height_px} pictures exceed {MAX_PX} px")

    @staticmethod
    def _decode(
        container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> Iterator[av.VideoFrame]:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue  # one damaged picture; the next may be whole
            yield from frames

    def read(self, stop: threading.Event) -> tuple[float, ImageArray]:
        """Wait for a frame; its time is when it arrived.

        Raises:
            DeviceLost: the connection ended or nothing came in time.
            MediaError: the picture is too large.
        """
        assert self._frames is not None  # open() comes first
        try:
            frame = next(self._frames)
        except StopIteration:
            raise DeviceLost("the camera closed the connection") from None
        except av.error.FFmpegError as error:
            raise DeviceLost(f"the connection failed: {error.strerror}") from error
        time_s = self._clock.now_s() - self._latency_s
        self._check_size(frame.width, frame.height)
        return time_s, upright(frame)

    def close(self) -> None:
        """Disconnect."""
        self._frames = None
        if self._container is not None:
            self._container.close()
            self._container = None


def find_network_camera(url: str, config: CameraConfig, clock: Clock) -> FoundCamera:
    """The camera at ``url``; nothing is opened.

    Raises:
        DeviceNotFound: a scheme other than http, https and rtsp, or no host.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DeviceNotFound(f"camera {url}: not an address: {error}") from error
    if parts.scheme.lower() not in _PROTOCOLS or not parts.hostname:
        known = ", ".join(f"{scheme}://HOST" for scheme in _PROTOCOLS)
        raise DeviceNotFound(f"camera {_shown(url)}: the address must be one of {known}/...")
    timeout_s = min(_TIMEOUT_S, config.timeout_s)
    return FoundCamera(lambda: NetworkCapture(url, clock, config.latency_s, timeout_s), _shown(url))


def _shown(url: str) -> str:
    """The address without a password, for messages and manifests."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
