"""A network camera that wants us to fetch, to wait, to fill the memory or to tell its password."""

from __future__ import annotations

import json
import socket
import threading
import traceback

import cv2
import numpy as np
import pytest

from realtime_er.addresses import without_secrets
from realtime_er.clock import SessionClock
from realtime_er.config import CameraConfig, load_config
from realtime_er.errors import DeviceLost, DeviceNotFound, SourceError
from realtime_er.sources import network_camera
from realtime_er.sources.camera import open_camera
from realtime_er.sources.network_camera import NetworkCapture, find_network_camera
from tests.sources.media import painted
from tests.sources.raw_server import JPEG, MULTIPART, Reply, answer, part, sending, serving
from tests.sources.rtsp import answering, interleaved, motion_jpeg

SECRET = "s3cret"


def _read_all(url: str, timeout_s: float = 0.3) -> tuple[int, SourceError]:
    """How many pictures come, and what ends it."""
    capture = NetworkCapture(url, SessionClock(), timeout_s=timeout_s)
    n_pictures = 0
    try:
        capture.open()
        while True:
            capture.read(threading.Event())
            n_pictures += 1
    except SourceError as error:
        return n_pictures, error
    finally:
        capture.close()


def test_pictures_come_and_a_damaged_or_giant_one_is_left_out() -> None:
    giant = cv2.imencode(".jpg", np.zeros((4500, 4500, 3), np.uint8))[1].tobytes()
    damaged = JPEG[:40] + bytes(len(JPEG) - 40)
    pictures = [JPEG, damaged, JPEG, giant, JPEG, JPEG]  # the last one shows in the next part only
    with serving(sending(MULTIPART, *map(part, pictures))) as server:
        n_pictures, error = _read_all(server.url())
    assert 3 <= n_pictures <= 4  # the decoder may make something of the damaged one
    assert "closed the connection" in str(error)


@pytest.mark.parametrize(
    "location",
    ["file:///etc/hostname", "ftp://127.0.0.1/x", "http://localhost:1/x", "udp://127.0.0.1:9", ""],
)
def test_redirects_lead_nowhere_else(location: str) -> None:
    with serving(sending(answer("302 Found", f"Location: {location}"))) as server:
        n_pictures, error = _read_all(server.url())
    assert (n_pictures, type(error)) == (0, DeviceNotFound)
    assert len(server.requests) <= 5  # one that redirects to itself is asked a few times


def test_a_redirect_to_another_server_is_not_followed() -> None:
    with serving(sending(MULTIPART, part(JPEG))) as inner:
        moved = answer("302 Found", f"Location: http://127.0.0.1:{inner.port}/admin")
        with serving(sending(moved)) as server:
            _, error = _read_all(server.url())
    assert "another server" in str(error)
    assert inner.requests == []


def test_a_redirect_on_the_same_server_is_followed() -> None:
    def reply(client: socket.socket, request: str) -> None:
        moved = request.startswith("GET /video ")
        client.sendall(
            answer("302 Found", "Location: /live") if moved else MULTIPART + part(JPEG) * 4
        )

    with serving(reply) as server:
        n_pictures, _ = _read_all(server.url())
    assert n_pictures == 3


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("application/vnd.apple.mpegurl", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n"),
        ("text/plain", "ffconcat version 1.0\nfile '{}'\n"),
        ("application/sdp", "v=0\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 26\r\n"),
        ("application/dash+xml", "<MPD><Period><BaseURL>{}</BaseURL></Period></MPD>"),
    ],
)
def test_formats_that_name_other_files_are_not_opened(kind: str, text: str) -> None:
    with serving(sending(MULTIPART, part(JPEG))) as inner:
        body = text.format(inner.url()).encode()
        with serving(sending(answer("200 OK", f"Content-Type: {kind}", body=body))) as server:
            n_pictures, error = _read_all(server.url())
    assert (n_pictures, type(error)) == (0, DeviceNotFound)
    assert inner.requests == []


def _endless(first: bytes, more: bytes) -> Reply:
    def reply(client: socket.socket, _request: str) -> None:
        client.sendall(first)
        while True:
            client.sendall(more)

    return reply


@pytest.mark.parametrize(
    "lie", [part(b"", 2_000_000_000)[:-2], b"--frame\r\nContent-Type: image/jpeg\r\n\r\n", b""]
)
def test_a_flood_ends_at_its_cap(lie: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_camera, "MAX_BYTES", 3_000_000)
    with serving(_endless(MULTIPART + part(JPEG) * 4 + lie, bytes(100_000))) as server:
        _, error = _read_all(server.url(), timeout_s=20.0)
    assert "3 MB came without a picture" in str(error)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX-", MULTIPART, MULTIPART + b"--fra"])
def test_a_server_that_keeps_us_waiting_is_left(begun: bytes) -> None:
    released = threading.Event()

    def reply(client: socket.socket, _request: str) -> None:
        client.sendall(begun)
        # A byte now and then, as a server does that wants to be waited for.
        while not released.wait(0.02):
            client.sendall(b"a")

    clock = SessionClock()
    with serving(reply) as server:
        try:
            _, error = _read_all(server.url())
        finally:
            released.set()
    assert "in time" in str(error) or "within" in str(error)
    assert clock.now_s() < 10


@pytest.mark.parametrize("scheme", ["http://127.0.0.1", "file:///etc/hostname#", "udp://127.0.0.1"])
def test_an_rtsp_camera_sends_us_nowhere_else_and_does_not_hold_us_up(scheme: str) -> None:
    with serving(sending(MULTIPART, part(JPEG))) as inner:
        moved = f"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: {scheme}:{inner.port}/x\r\n\r\n"
        for reply in (sending(moved.encode() * 9), sending(b"")):
            with serving(reply) as server:
                _, error = _read_all(server.url("anna:" + SECRET).replace("http", "rtsp"))
            assert isinstance(error, DeviceNotFound)
            assert SECRET not in "".join(traceback.format_exception(error))
    assert inner.requests == []


def test_rtsp_pictures_that_cannot_be_decoded_do_not_hold_us_up() -> None:
    released = threading.Event()
    pieces = motion_jpeg([painted(number, 128, 64) for number in range(40)])
    broken = interleaved(26, [[b"\0\0\0\0\1\xff\x10\x08\0\0\0\x80" + b"\x10" * 200]])

    def reply(client: socket.socket, request: str) -> None:
        answering(pieces)(client, request)
        while not released.wait(0.02):
            client.sendall(broken)

    clock = SessionClock()
    with serving(reply) as server:
        try:
            n_pictures, error = _read_all(server.url().replace("http", "rtsp"))
        finally:
            released.set()
    assert n_pictures > 5
    assert "within 0.3 s" in str(error)
    assert clock.now_s() < 10


def test_endless_headers_are_refused() -> None:
    with serving(_endless(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 100)) as server:
        _, error = _read_all(server.url(), timeout_s=20.0)
    assert "does not speak HTTP" in str(error)


@pytest.mark.parametrize(
    ("challenge", "expected"),
    [
        ('Basic realm="cam"', "Basic YW5uYTpzM2NyZXQ="),
        ('Digest realm="cam", nonce="n", qop="auth"', 'Digest username="anna", realm="cam"'),
    ],
)
def test_a_password_is_given_when_asked_for(challenge: str, expected: str) -> None:
    def reply(client: socket.socket, request: str) -> None:
        given = "Authorization:" in request
        refused = answer("401 Unauthorized", f"WWW-Authenticate: {challenge}")
        client.sendall(MULTIPART + part(JPEG) * 3 if given else refused)

    with serving(reply) as server:
        n_pictures, _ = _read_all(server.url(f"anna:{SECRET}"))
    assert n_pictures == 2
    assert "Authorization" not in server.requests[0]
    assert expected in server.requests[1]


def test_a_wrong_password_is_one_clear_line_without_it() -> None:
    refused = answer("401 Unauthorized", 'WWW-Authenticate: Basic realm="cam"')
    with serving(sending(refused)) as server:
        camera = open_camera(
            CameraConfig(source=server.url(f"anna:{SECRET}", f"/v?pw={SECRET}")), SessionClock()
        )
        with pytest.raises(DeviceNotFound, match="error 401") as caught:
            camera.open()
    # What --debug would print, causes included.
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert SECRET not in json.dumps(camera.info())


def _what_opening_says(config: CameraConfig) -> str:
    try:
        return json.dumps(open_camera(config, SessionClock()).info())
    except SourceError as error:
        return "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("0", "0"),
        ("/dev/video0", "/dev/video0"),
        ("Logitech: C922", "Logitech: C922"),
        ("http://host:81/v", "http://host:81/v"),
        (f"rtsp://anna:{SECRET}@host/v", "rtsp://host/v"),
        (f"rtsp://anna:{SECRET}/#?@@host/v", "rtsp://host/v"),
        (f"http://host/v?user=anna&pwd={SECRET}#x", "http://host/v?..."),
        (f"rtsp://h/user=anna_password={SECRET}_c=1/x", "rtsp://h/user=anna_password=.../x"),
        (f"http://{SECRET}@[::1", "http://[::1"),
        (f"h264+rtsp://anna:{SECRET}@host/", "h264+rtsp://host/"),
        (f"anna:{SECRET}@host/v", "host/v"),
    ],
)
def test_addresses_are_shown_without_secrets(source: str, shown: str) -> None:
    assert without_secrets(source) == shown
    config = load_config("live", {"camera.source": source})
    assert SECRET not in json.dumps(config.to_dict())
    assert config.camera.source == source
    assert SECRET not in _what_opening_says(config.camera)


def test_what_a_reader_fails_with_does_not_hold_the_password() -> None:
    found = find_network_camera(
        f"rtsp://anna:{SECRET}@127.0.0.1:1/v", CameraConfig(), SessionClock()
    )
    capture = found.make()
    with pytest.raises((DeviceNotFound, DeviceLost)) as caught:
        capture.open()
    capture.close()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in found.where
