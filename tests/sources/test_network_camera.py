"""A real MJPEG server on this machine: frames, loss without a hang, and refusal."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import pytest
from av.video.stream import VideoStream

from realtime_er.clock import SessionClock
from realtime_er.config import CameraConfig
from realtime_er.errors import DeviceLost, DeviceNotFound
from realtime_er.messages import Event, ImageArray, VideoFrame
from realtime_er.sources.base import SourceMessage
from realtime_er.sources.camera import open_camera
from realtime_er.sources.network_camera import NetworkCapture
from tests.sources.media import Collected, OpenPacer, painted, read_painted
from tests.sources.raw_server import serving
from tests.sources.rtsp import answering, h264, motion_jpeg


class MjpegServer:
    """Serves numbered frames, or ``pictures`` (JPEG) over and over.

    ``silent`` keeps the connection but sends nothing more.
    """

    def __init__(self, pictures: list[bytes] | None = None, period_s: float = 0.01) -> None:
        self.stopping = threading.Event()
        self.silent = threading.Event()
        self.width_px = 128
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                index = 0
                try:
                    while not owner.stopping.wait(period_s):
                        if owner.silent.is_set():
                            continue
                        if pictures:
                            data = pictures[index % len(pictures)]
                        else:
                            image = painted(index % 1000, owner.width_px, 64)
                            data = cv2.imencode(".jpg", image)[1].tobytes()
                        self.wfile.write(
                            b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: "
                            + str(len(data)).encode()
                            + b"\r\n\r\n"
                            + data
                            + b"\r\n"
                        )
                        index += 1
                except (BrokenPipeError, ConnectionResetError):
                    return  # the client went away

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/video"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self.stopping.set()
            self.server.shutdown()
            self.server.server_close()
            self._thread.join()


@contextmanager
def _serving(pictures: list[bytes] | None = None) -> Iterator[MjpegServer]:
    server = MjpegServer(pictures)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def serving_pictures(pictures: list[bytes]) -> Iterator[str]:
    """Serve JPEG pictures at 25 frames a second; yields the address."""
    server = MjpegServer(pictures, 0.04)
    try:
        yield server.url
    finally:
        server.stop()


class Running:
    """A camera stream in its producer thread."""

    def __init__(self, url: str, timeout_s: float = 0.4) -> None:
        config = CameraConfig(source=url, timeout_s=timeout_s)
        self.clock = SessionClock()
        self.stream = open_camera(config, self.clock)
        self.messages: list[SourceMessage] = []
        self.stop = threading.Event()
        self.ten_frames = threading.Event()
        self.lost = threading.Event()
        self.stream.open()
        self._thread = threading.Thread(
            target=self.stream.run, args=(self._emit, OpenPacer(), self.stop)
        )
        self._thread.start()

    def _emit(self, message: SourceMessage) -> None:
        self.messages.append(message)
        if sum(isinstance(item, VideoFrame) for item in self.messages) == 10:
            self.ten_frames.set()
        if isinstance(message, Event) and message.kind == "camera lost":
            self.lost.set()

    def end(self) -> float:
        """Close and say how long that took."""
        before_s = self.clock.now_s()
        self.stop.set()
        self.stream.close()
        self._thread.join(3)
        assert not self._thread.is_alive()
        return self.clock.now_s() - before_s


@pytest.mark.parametrize("camera", [motion_jpeg, h264])
def test_an_rtsp_camera_shows_its_pictures(
    camera: Callable[[list[ImageArray]], list[bytes]],
) -> None:
    pieces = camera([painted(number, 128, 64) for number in range(60)])
    seen = []
    with serving(answering(pieces)) as server:
        capture = NetworkCapture(server.url().replace("http", "rtsp"), SessionClock())
        try:
            assert capture.open()["width_px"] == 128
            with suppress(DeviceLost):
                while True:
                    seen.append(read_painted(capture.read(threading.Event())[1]))
        finally:
            capture.close()
    # The first ones tell what comes, and are not shown: live pictures do not wait.
    assert seen == list(range(60 - len(seen), 60))
    assert len(seen) > 20


def test_frames_arrive_in_order_on_the_session_clock() -> None:
    with _serving() as server:
        running = Running(server.url)
        assert running.ten_frames.wait(5)
        running.end()
    collected = Collected(running.messages)
    collected.check_contract()
    indices = [read_painted(frame.image) for frame in collected.frames]
    assert indices == sorted(set(indices))
    assert all(0 < frame.time_s < running.clock.now_s() for frame in collected.frames)
    assert running.stream.info()["granted"]["width_px"] == 128


@pytest.mark.parametrize("how", ["stops", "falls silent"])
def test_a_server_that_goes_away_is_noticed(how: str) -> None:
    with _serving() as server:
        running = Running(server.url)
        assert running.ten_frames.wait(5)
        if how == "stops":
            server.stop()
        else:
            server.silent.set()
        assert running.lost.wait(4)
        assert running.end() < 2.5
    lost = [event for event in Collected(running.messages).events if event.kind == "camera lost"]
    assert len(lost) == 1


def _decoders() -> set[int]:
    """Those that are alive. Not by isinstance: that wakes objects of other tests, and some warn."""
    return {id(one) for one in gc.get_objects() if type(one) is VideoStream}


@pytest.mark.parametrize("how", ["falls silent", "sends damaged pictures"])
def test_who_keeps_the_error_does_not_keep_the_decoder(how: str) -> None:
    """It has threads and buffers of its own, and a session remembers why its camera was lost."""
    pictures = [cv2.imencode(".jpg", painted(1, 128, 64))[1].tobytes()]
    with _serving(pictures) as server:
        gc.collect()
        before = _decoders()
        camera = NetworkCapture(server.url, SessionClock(), timeout_s=0.2)
        camera.open()
        if how == "falls silent":
            server.silent.set()
        else:
            pictures[0] = pictures[0][:300] + bytes(200)

        def until_lost() -> None:
            for _ in range(1000):
                camera.read(threading.Event())

        with pytest.raises(DeviceLost) as kept:
            until_lost()
        gc.disable()
        try:
            camera.close()
            assert _decoders() <= before
        finally:
            gc.enable()
        assert kept.value


def test_close_while_nothing_comes_returns() -> None:
    with _serving() as server:
        running = Running(server.url, timeout_s=30.0)
        assert running.ten_frames.wait(5)
        server.silent.set()
        assert running.end() < 2.5


def test_what_cannot_be_used_is_one_clear_line() -> None:
    with _serving() as server:
        url = server.url
    for bad, says in (
        (url, "cannot be reached"),
        ("ftp://host/x", "must be one of"),
        ("http:///x", "must be one of"),
        ("file:///etc/passwd", "must be one of"),
    ):
        with pytest.raises(DeviceNotFound, match=says) as caught:
            open_camera(CameraConfig(source=bad), SessionClock()).open()
        assert "\n" not in str(caught.value)


def test_pictures_that_are_too_large_are_refused() -> None:
    with _serving() as server:
        server.width_px = 4112
        with pytest.raises(DeviceNotFound, match="exceed 4096"):
            open_camera(CameraConfig(source=server.url), SessionClock()).open()


def test_a_password_is_not_shown() -> None:
    camera = open_camera(CameraConfig(source="http://me:secret@host/v"), SessionClock())
    assert "secret" not in str(camera.info())
