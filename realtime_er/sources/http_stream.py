"""The body of an HTTP answer as a file, for a server that nobody vouches for.

The standard library's opener, with only what is needed put into it: http and https, basic and digest
authentication, redirects on the same server. There is no handler for files, FTP or proxies, so
nothing else can be fetched whatever a server answers. Every wait counts against one deadline and
every byte against one allowance, which the caller renews for each picture.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import IO, Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit

from realtime_er.errors import DeviceLost, DeviceNotFound

_READ_ERRORS = (OSError, http.client.HTTPException, ValueError)
"""What reading may raise; the last for a chunk's length that is no number."""


class Allowance:
    """How long, and for how many bytes, may still be waited. One thread.

    Args:
        seconds: For each renewal.
        most_bytes: For each renewal.
    """

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self.renew()

    def renew(self) -> None:
        """Begin anew: the last picture has come."""
        self._until_s = time.perf_counter() + self._seconds
        self._bytes_left = self._most_bytes

    def seconds_left(self) -> float:
        """Time that may still be waited, above zero.

        Raises:
            DeviceLost: it has passed.
        """
        left_s = self._until_s - time.perf_counter()
        if left_s <= 0:
            raise self._late()
        return left_s

    def take(self, count: int) -> None:
        """Count bytes that have come.

        Raises:
            DeviceLost: more than allowed.
        """
        self._bytes_left -= count
        if self._bytes_left < 0:
            megabytes = self._most_bytes / 1e6
            raise DeviceLost(f"more than {megabytes:.0f} MB came without a picture in them")

    def _late(self) -> DeviceLost:
        return DeviceLost(f"no picture within {self._seconds:g} s")


class _Reader(io.RawIOBase):
    """What a socket receives, within the allowance."""

    def __init__(self, connected: socket.socket, allowance: Allowance) -> None:
        self._socket = connected
        self._allowance = allowance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        self._socket.settimeout(self._allowance.seconds_left())
        count = self._socket.recv_into(buffer)
        self._allowance.take(count)
        return count


class _Guarded:
    """The part of a socket that ``http.client`` uses. ``_Handler`` closes the real one."""

    def __init__(self, connected: socket.socket, allowance: Allowance) -> None:
        self._socket = connected
        self._allowance = allowance

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self._allowance.seconds_left())
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._socket, self._allowance))

    def close(self) -> None:
        """The file made of it stays open, as with a real socket."""


class _Handler(request.HTTPSHandler, request.HTTPHandler):
    """Opens connections whose every wait is limited."""

    def __init__(self, allowance: Allowance) -> None:
        # Cameras sign their own certificates: the line is encrypted, who is at its end is not known.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(context=context)
        self._context = context
        self._allowance = allowance
        self._connected: list[socket.socket] = []

    def hang_up(self) -> None:
        """Close every connection, also those that ended in a redirect or a question."""
        while self._connected:
            self._connected.pop().close()

    def http_open(self, req: request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._connection(http.client.HTTPConnection), req)

    def https_open(self, req: request.Request) -> http.client.HTTPResponse:
        return self.do_open(
            self._connection(http.client.HTTPSConnection), req, context=self._context
        )

    def _connection(self, base: type[http.client.HTTPConnection]) -> Any:  # noqa: ANN401
        allowance, connected = self._allowance, self._connected

        class Limited(base):  # type: ignore[valid-type, misc]
            sock: Any

            def connect(self) -> None:
                self.timeout = allowance.seconds_left()
                super().connect()
                connected.append(self.sock)
                self.sock = _Guarded(self.sock, allowance)

        return Limited


class _SameServer(request.HTTPRedirectHandler):
    """Follows a redirect to another path of the same server, and no other."""

    def redirect_request(
        self,
        req: request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> request.Request | None:
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            raise DeviceNotFound(
                "it sends us to another server, which is not followed; give that address itself"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class HttpStream:
    """A file-like object for PyAV: an answer's body, as it comes. One thread.

    Args:
        url: http or https, user and password in it as usual.
        allowance: Renewed by the caller.

    Attributes:
        content_type: What the server says that it sends, in small letters; "" when nothing.
        failure: Why nothing more comes, None while all is well.

    Raises:
        DeviceNotFound: nothing answers there, or it answers with an error or a redirect elsewhere.
        DeviceLost: not in time.
    """

    def __init__(self, url: str, allowance: Allowance) -> None:
        parts = urlsplit(url)
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        opener = request.OpenerDirector()
        self._connections = _Handler(allowance)
        handlers: list[request.BaseHandler] = [
            self._connections,
            _SameServer(),
            request.HTTPErrorProcessor(),
            request.HTTPDefaultErrorHandler(),
        ]
        if parts.username is not None:
            passwords = request.HTTPPasswordMgrWithDefaultRealm()
            user, password = unquote(parts.username), unquote(parts.password or "")
            passwords.add_password(None, bare, user, password)
            handlers += [
                request.HTTPDigestAuthHandler(passwords),
                request.HTTPBasicAuthHandler(passwords),
            ]
        for handler in handlers:
            opener.add_handler(handler)
        self.failure: DeviceLost | None = None
        try:
            self._response = self._open(opener, bare)
        except (DeviceNotFound, DeviceLost):
            self._connections.hang_up()
            raise
        self.content_type = str(self._response.headers.get("Content-Type", "")).lower()

    @staticmethod
    def _open(opener: request.OpenerDirector, url: str) -> Any:  # noqa: ANN401 - HTTPResponse
        # Nothing below names the cause: its text may hold the address with the password.
        try:
            return opener.open(url)
        except HTTPError as error:
            error.close()
            raise DeviceNotFound(
                f"it answers with error {error.code} ({http.client.responses.get(error.code, '?')})"
            ) from None
        except URLError as error:
            reason = error.reason
            if isinstance(reason, TimeoutError):
                raise DeviceNotFound("cannot be reached: no answer in time") from None
            what = reason.strerror if isinstance(reason, OSError) else str(reason)
            raise DeviceNotFound(f"cannot be reached: {what}") from None
        except TimeoutError:
            raise DeviceNotFound("cannot be reached: no answer in time") from None
        except (DeviceNotFound, DeviceLost):
            raise
        except Exception as error:  # noqa: BLE001 - what the library makes of an answer that is none
            raise DeviceNotFound(
                f"does not speak HTTP as it should ({type(error).__name__})"
            ) from None

    def read(self, count: int) -> bytes:
        """Some of what comes next, ``count`` bytes at most; b"" at the end, and after a failure.

        PyAV cannot pass on what is raised here, so it is kept in ``failure``.
        """
        if self.failure is not None:
            return b""
        try:
            data: bytes = self._response.read1(count)
        except DeviceLost as error:
            self.failure = error
        except TimeoutError:
            self.failure = DeviceLost("no picture in time")
        except _READ_ERRORS as error:
            self.failure = DeviceLost(f"the connection failed ({type(error).__name__})")
        else:
            return data
        return b""

    def close(self) -> None:
        """Hang up. Idempotent."""
        self._response.close()
        self._connections.hang_up()
