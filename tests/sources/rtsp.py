"""An RTSP camera's side of a conversation, built by hand: answers, and pictures in RTP packets.

RFC 2326 (RTSP, pictures interleaved in its TCP connection), RFC 2435 (motion JPEG), RFC 6184 (H.264).
"""

from __future__ import annotations

import base64
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

from realtime_er.messages import ImageArray
from tests.sources.raw_server import Reply

_MOST = 200
"""Bytes of a picture in one packet: little, so that every picture is put together from several."""
_FPS = 25
_TICKS = 90_000 // _FPS
_JPEG, _H264 = 26, 96


def conversation(describe: str, packets: bytes) -> list[bytes]:
    """What the camera says: to OPTIONS, DESCRIBE, SETUP and PLAY, then pictures.

    Args:
        describe: What it sends, as SDP.
        packets: The pictures; ``interleaved``.
    """
    sdp = describe.replace("\n", "\r\n").encode()
    media = f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n".encode()
    return [
        _answer(1, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"),
        _answer(2)[:-2] + media + sdp,
        _answer(3, "Session: 1; timeout=60", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
        _answer(4, "Session: 1", "RTP-Info: url=track1;seq=1;rtptime=0") + packets,
    ]


def _answer(number: int, *headers: str) -> bytes:
    return "\r\n".join(["RTSP/1.0 200 OK", f"CSeq: {number}", *headers, "", ""]).encode()


def answering(pieces: Sequence[bytes]) -> Reply:
    """Answers each request of a connection with the next piece, then hangs up."""

    def reply(client: socket.socket, _request: str) -> None:
        for place, piece in enumerate(pieces):
            request = b"\r\n\r\n" if place == 0 else b""  # the first one has been read
            while b"\r\n\r\n" not in request:
                more = client.recv(4096)
                if not more:
                    return
                request += more
            client.sendall(piece)

    return reply


def interleaved(kind: int, pictures: Iterable[Iterable[bytes]]) -> bytes:
    """RTP packets, framed as in a TCP connection of RTSP.

    Args:
        kind: Payload type.
        pictures: The payloads of each.
    """
    sent, number = b"", 0
    for index, payloads in enumerate(pictures):
        parts = list(payloads)
        for place, payload in enumerate(parts):
            number += 1
            marker = 0x80 if place == len(parts) - 1 else 0
            head = struct.pack(">BBHII", 0x80, kind | marker, number, index * _TICKS, 7)
            sent += struct.pack(">BBH", ord("$"), 0, len(head) + len(payload)) + head + payload
    return sent


def _sdp(kind: int, *lines: str) -> str:
    head = ("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "t=0 0", f"m=video 0 RTP/AVP {kind}")
    return "\n".join([*head, *lines, "a=control:track1", ""])


def motion_jpeg(images: Iterable[ImageArray]) -> list[bytes]:
    """A camera that sends JPEG. Sides of pictures: multiples of 16, below 2048."""
    return conversation(_sdp(_JPEG), interleaved(_JPEG, map(_jpeg_payloads, images)))


def _jpeg_payloads(image: ImageArray) -> Iterator[bytes]:
    data = cv2.imencode(".jpg", image)[1].tobytes()
    tables, scan, at = b"", b"", 2
    while not scan:
        marker, length = struct.unpack_from(">HH", data, at)
        body = data[at + 4 : at + 2 + length]
        if marker == 0xFFDB:
            tables += b"".join(body[start + 1 : start + 65] for start in range(0, len(body), 65))
        if marker == 0xFFDA:
            scan = data[at + 2 + length : -2]
        at += 2 + length
    height, width = image.shape[:2]
    for offset in range(0, len(scan), _MOST):
        head = struct.pack(">IBBBB", offset, 1, 255, width // 8, height // 8)
        if not offset:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        yield head + scan[offset : offset + _MOST]


def h264(images: Sequence[ImageArray]) -> list[bytes]:
    """A camera that sends H.264, small units together and large ones in fragments."""
    units = [_units(data) for data in _encoded(images)]
    sets = [unit for unit in units[0] if unit[0] & 31 in (7, 8)]
    sprop = ",".join(base64.b64encode(unit).decode() for unit in sets)
    describe = _sdp(
        _H264,
        f"a=rtpmap:{_H264} H264/90000",
        f"a=fmtp:{_H264} packetization-mode=1;sprop-parameter-sets={sprop}",
    )
    return conversation(describe, interleaved(_H264, map(_h264_payloads, units)))


def _encoded(images: Sequence[ImageArray]) -> Iterator[bytes]:
    context: Any = av.CodecContext.create("libx264", "w")
    context.height, context.width = images[0].shape[:2]
    context.pix_fmt, context.time_base = "yuv420p", Fraction(1, _FPS)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "4"}
    for index, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        frame.pts = index
        for packet in context.encode(frame):
            yield bytes(packet)


def _units(data: bytes) -> list[bytes]:
    """The units of an Annex B stream, without their start codes."""
    return [unit.rstrip(b"\0") for unit in data.split(b"\0\0\1") if unit.strip(b"\0")]


def _h264_payloads(units: Sequence[bytes]) -> Iterator[bytes]:
    small = [unit for unit in units if len(unit) <= _MOST // 4]
    if len(small) > 1:
        yield bytes([24]) + b"".join(struct.pack(">H", len(unit)) + unit for unit in small)
    for unit in units:
        if unit in small and len(small) > 1:
            continue
        if len(unit) <= _MOST:
            yield unit
            continue
        rest = [unit[start : start + _MOST] for start in range(1, len(unit), _MOST)]
        for place, part in enumerate(rest):
            ends = (0x80 if place == 0 else 0) | (0x40 if place == len(rest) - 1 else 0)
            yield bytes([unit[0] & 0xE0 | 28, ends | unit[0] & 31]) + part
