"""A server on this machine that answers with exactly the bytes it is given."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
MULTIPART = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
Reply = Callable[[socket.socket, str], None]
"""Answers one request: the connection and the request's text."""


def part(data: bytes, length: int | None = None) -> bytes:
    """One picture of a multipart answer; ``length`` lies about its size."""
    size = len(data) if length is None else length
    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + data + b"\r\n"


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def sending(*data: bytes) -> Reply:
    """Sends it and hangs up."""

    def reply(client: socket.socket, _request: str) -> None:
        for piece in data:
            client.sendall(piece)

    return reply


class RawServer:
    """Answers each connection in a thread of its own; ``requests`` holds what was asked."""

    def __init__(self, reply: Reply) -> None:
        self.requests: list[str] = []
        self._reply = reply
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def url(self, user: str = "", path: str = "/video") -> str:
        return f"http://{user + '@' if user else ''}127.0.0.1:{self.port}{path}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return  # closed
            self._clients.append(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            request = b""
            while b"\r\n\r\n" not in request and (more := client.recv(4096)):
                request += more
            self.requests.append(request.decode("latin-1"))
            self._reply(client, self.requests[-1])
        except OSError:
            return  # the client went away
        finally:
            client.close()

    def close(self) -> None:
        # shutdown() wakes the thread that accepts; close() alone would leave it there.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._threads[0].join(5)
        for client in self._clients:
            client.close()
        for thread in self._threads:
            thread.join(5)


@contextmanager
def serving(reply: Reply) -> Iterator[RawServer]:
    """A server while the body runs."""
    server = RawServer(reply)
    try:
        yield server
    finally:
        server.close()
