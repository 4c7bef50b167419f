"""A tiny model hub on this machine: the pages that a download reads, and faults on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves folders as public models; ``large`` names are declared by sha256, others as git does.

    Attributes:
        models: hub id to folder.
        licences: hub id to what its card says; absent where it says nothing.
        wrong: names of files whose declared hash is another file's.
        cut_after: name to bytes after which the connection breaks off, every time.
        log: (name, Range header or "") of every file that was asked for.
    """

    def __init__(self, models: dict[str, Path], licences: dict[str, str] | None = None) -> None:
        self.models = models
        self.licences = licences or {}
        self.wrong: set[str] = set()
        self.cut_after: dict[str, int] = {}
        self.log: list[tuple[str, str]] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub._answer(self)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *details):
        from huggingface_hub.utils import close_session

        close_session()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def info(self, hub_id: str) -> dict:
        """What the hub says of a model."""
        siblings = []
        for path in sorted(self.models[hub_id].iterdir()):
            content = path.read_bytes() + (b"?" if path.name in self.wrong else b"")
            git = hashlib.sha1(b"blob %d\0" % path.stat().st_size + content).hexdigest()
            one = {"rfilename": path.name, "size": path.stat().st_size, "blobId": git}
            if path.suffix in (".pt", ".bin", ".safetensors"):
                sha256 = hashlib.sha256(content).hexdigest()
                one["lfs"] = {"sha256": sha256, "size": path.stat().st_size, "pointerSize": 130}
            siblings.append(one)
        info = {"id": hub_id, "sha": COMMIT, "siblings": siblings}
        if hub_id in self.licences:
            info["cardData"] = {"license": self.licences[hub_id]}
        return info

    def _answer(self, request) -> None:
        path = request.path.partition("?")[0]
        if path.startswith("/api/models/"):
            parts = path.removeprefix("/api/models/").split("/")
            hub_id, revision = "/".join(parts[:2]), parts[3] if len(parts) > 3 else "main"
            if hub_id not in self.models:
                self._refuse(request, "RepoNotFound")
            elif revision not in ("main", COMMIT):
                self._refuse(request, "RevisionNotFound")
            else:
                self._send(request, json.dumps(self.info(hub_id)).encode(), "application/json")
            return
        owner, name, _, revision, file = path.lstrip("/").split("/")
        wanted = self.models[f"{owner}/{name}"] / file
        if revision != COMMIT or not wanted.is_file():
            self._refuse(request, "EntryNotFound")
            return
        content = wanted.read_bytes()
        span = request.headers.get("Range", "")
        self.log.append((file, span))
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        request.send_response(206 if span else 200)
        request.send_header("Content-Length", str(len(content) - start))
        if span:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        request.wfile.write(content[start : self.cut_after.get(file, len(content))])
        if file in self.cut_after:
            request.close_connection = True

    @staticmethod
    def _send(request, body: bytes, kind: str) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    @staticmethod
    def _refuse(request, code: str) -> None:
        request.send_response(404)
        request.send_header("X-Error-Code", code)
        request.send_header("Content-Length", "0")
        request.end_headers()
