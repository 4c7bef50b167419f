"""Cameras at an http(s) or rtsp address, such as a phone that serves MJPEG.

What answers there is not trusted: nothing else can be opened on its behalf (``http_stream`` fetches,
and only formats that name no other files are decoded), every wait, every picture and what may come
without a picture in it are limited, and the address is shown without what may be secret.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import av
import av.container
import av.error
import av.video.stream

from realtime_er.addresses import without_secrets
from realtime_er.clock import Clock
from realtime_er.config import CameraConfig
from realtime_er.errors import DeviceLost, DeviceNotFound, MediaError
from realtime_er.messages import ImageArray
from realtime_er.sources.camera_stream import FoundCamera
from realtime_er.sources.http_stream import Allowance, HttpStream
from realtime_er.sources.media_decode import upright

MAX_PX = 4096
"""Larger pictures are refused: nobody needs them, and they could fill the memory."""

MAX_BYTES = 32_000_000
"""More than this without a whole picture in it, and the camera counts as lost."""

_SCHEMES = ("http", "https", "rtsp")
_RTSP_PROTOCOLS = "rtsp,rtp,udp,tcp"
# Not hls, dash, concat, sdp and the like: they make the library open what they name.
_HTTP_FORMATS = (
    "mpjpeg,mjpeg,jpeg_pipe,h264,hevc,mpegts,matroska,webm,mov,mp4,flv,mpeg,mpegvideo,avi,ogg,asf"
)
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
        self._allowance = Allowance(timeout_s, MAX_BYTES)
        self._body: HttpStream | None = None
        self._container: av.container.InputContainer | None = None
        self._frames: Iterator[av.VideoFrame] | None = None

    def open(self) -> dict[str, Any]:
        """Connect.

        Raises:
            DeviceNotFound: nothing answers, or what answers is not a video.
        """
        self._allowance.renew()
        try:
            container = self._container = self._connect()
        except av.error.FFmpegError as error:
            raise self._failure() or DeviceNotFound(
                f"cannot be reached, or serves no video: {_what(error)}"
            ) from None
        if not container.streams.video:
            raise DeviceNotFound("the address does not serve a video")
        stream = container.streams.video[0]
        context = stream.codec_context
        if context is None:
            raise DeviceNotFound("the address serves a video that cannot be decoded")
        context.options = {"max_pixels": str(MAX_PX * MAX_PX)}
        if context.name == "mjpeg":
            # Or a damaged picture is filled up with grey; each is whole in itself, so none is missed.
            context.options |= {"err_detect": "explode"}
        self._check_size(context.width, context.height)
        self._frames = self._decode(container, stream)
        return {
            "format": container.format.name,
            "codec": context.name,
            "width_px": context.width,
            "height_px": context.height,
        }

    def _connect(self) -> av.container.InputContainer:
        options = {
            "fflags": "nobuffer",
            "flags": "low_delay",
            "probesize": "65536",
            "analyzeduration": "100000",
            "max_pixels": str(MAX_PX * MAX_PX),
        }
        timeout = (self._timeout_s, self._timeout_s)
        if self._scheme == "rtsp":
            options |= {"protocol_whitelist": _RTSP_PROTOCOLS, "rtsp_transport": "tcp"}
            return av.open(self._url, options=options, timeout=timeout, metadata_errors="replace")
        body = self._body = HttpStream(self._url, self._allowance)
        # Without the hint, MJPEG over HTTP is often not recognised from its first bytes.
        hint = "mpjpeg" if body.content_type.startswith("multipart/") else None
        options |= {"protocol_whitelist": "", "format_whitelist": _HTTP_FORMATS}
        return av.open(
            body, "r", format=hint, options=options, timeout=timeout, metadata_errors="replace"
        )

    @staticmethod
    def _check_size(width_px: int, height_px: int) -> None:
        if max(width_px, height_px) > MAX_PX:
            raise MediaError(f"its {width_px}x{height_px} pictures exceed {MAX_PX} px")

    def _decode(
        self, container: av.container.InputContainer, stream: av.video.stream.VideoStream
    ) -> Iterator[av.VideoFrame]:
        for packet in container.demux(stream):
            # FFmpeg's own deadline, rtsp's only one, begins anew with each packet.
            self._allowance.seconds_left()
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue  # one damaged picture, or one too large; the next may be whole
            yield from frames

    def read(self, stop: threading.Event) -> tuple[float, ImageArray]:
        """Wait for a frame; its time is when it arrived.

        Raises:
            DeviceLost: the connection ended or nothing came in time.
            MediaError: the picture is too large.
        """
        assert self._frames is not None  # open() comes first
        self._allowance.renew()
        frame, failure = self._next_frame(self._frames)
        if frame is None:
            lost = failure or DeviceLost("the camera closed the connection")
            raise lost.with_traceback(None)
        time_s = self._clock.now_s() - self._latency_s
        self._check_size(frame.width, frame.height)
        return time_s, upright(frame)

    def _next_frame(
        self, frames: Iterator[av.VideoFrame]
    ) -> tuple[av.VideoFrame | None, DeviceLost | None]:
        """The next frame, or why there is none.

        What was raised within FFmpeg's loop stays here: whoever keeps it keeps the decoder alive, with
        its threads and buffers.
        """
        try:
            return next(frames), None
        except StopIteration:
            return None, self._failure()
        except DeviceLost as lost:
            return None, lost
        except av.error.FFmpegError as error:
            return None, self._failure() or DeviceLost(f"the connection failed: {_what(error)}")

    def _failure(self) -> DeviceLost | None:
        return None if self._body is None else self._body.failure

    def close(self) -> None:
        """Disconnect."""
        self._frames = None
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._body is not None:
            self._body.close()
            self._body = None


def find_network_camera(url: str, config: CameraConfig, clock: Clock) -> FoundCamera:
    """The camera at ``url``; nothing is opened.

    Raises:
        DeviceNotFound: a scheme other than http, https and rtsp, or no host.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise DeviceNotFound(f"camera {without_secrets(url)}: not an address") from None
    if parts.scheme.lower() not in _SCHEMES or not parts.hostname:
        known = ", ".join(f"{scheme}://HOST" for scheme in _SCHEMES)
        raise DeviceNotFound(
            f"camera {without_secrets(url)}: the address must be one of {known}/..."
        )
    timeout_s = min(_TIMEOUT_S, config.timeout_s)
    return FoundCamera(
        lambda: NetworkCapture(url, clock, config.latency_s, timeout_s), without_secrets(url)
    )


def _what(error: av.error.FFmpegError) -> str:
    """Why, in words; never the error's own text, which holds the address."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    return error.strerror or type(error).__name__
