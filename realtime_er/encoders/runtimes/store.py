"""Where exported networks are kept, and what was found out about them on which machine.

    CACHE/runtimes/audio-0123456789ab-cdef0123/
        fp32.onnx  int8.onnx    about as large as the weights, and a quarter of them
        files.json              sha256 of each
        choices.json            machine and request to the form that is used there, and why

A folder belongs to one network (weights and settings) and to the versions of the packages that
exported and run it. When either changes there is a new folder, and the network's older ones go.
A file appears whole or not at all; one that is not what was written is made again; of two
processes that need it, one waits.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from realtime_er.encoders.bundle import sha256_of
from realtime_er.encoders.runtimes.machine import versions
from realtime_er.errors import ModelError

_WAIT_S = 1800.0


def default_root() -> Path:
    """Where exported networks of all kinds lie."""
    return Path(user_cache_dir("realtime_er")) / "runtimes"


class Store:
    """The folder of one network.

    Args:
        name: "face", "audio" or "text".
        identity: see ``Network``.
        root: instead of ``default_root()``.
    """

    def __init__(self, name: str, identity: str, root: Path | None = None) -> None:
        made_by = hashlib.sha256(json.dumps(versions(), sort_keys=True).encode()).hexdigest()
        self._root = root or default_root()
        self._of_network = f"{name}-{identity[:12]}-"
        self.folder = self._root / f"{self._of_network}{made_by[:8]}"

    def find(self, name: str) -> Path | None:
        """A file that is what it was when it was made; None where it is not there."""
        path = self.folder / name
        return path if self._is_intact(path) else None

    def file(self, name: str, make: Callable[[Path], None]) -> Path:
        """A file that is what it was when it was made; it is made where it is not there.

        Args:
            name: "fp32.onnx" for instance.
            make: writes it to the path that it is given.

        Raises:
            ModelError: it cannot be written, another process holds the folder, or ``make`` fails.
        """
        there = self.find(name)
        if there is not None:
            return there
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._root / f"{self.folder.name}.lock", timeout=_WAIT_S):
                if not self._is_intact(path):
                    self._make(path, make)
        except Timeout as error:
            raise ModelError(
                f"{self.folder}: another process has been exporting there for {_WAIT_S:.0f} s; "
                "end it, or set models.runtime=torch"
            ) from error
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be written: {error.strerror or error}; make room, or set "
                "models.runtime=torch"
            ) from error
        return path

    def _make(self, path: Path, make: Callable[[Path], None]) -> None:
        unfinished = path.with_name(f"{path.name}.unfinished")
        try:
            make(unfinished)
            self._note("files.json", path.name, sha256_of(unfinished))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        for older in self._root.glob(f"{self._of_network}*"):
            if older.is_dir() and older != self.folder:
                shutil.rmtree(older, ignore_errors=True)

    def _is_intact(self, path: Path) -> bool:
        return path.is_file() and sha256_of(path) == self._notes("files.json").get(path.name)

    def recall(self, key: str) -> dict[str, Any] | None:
        """What ``remember`` was given for this key; None where it was not."""
        found = self._notes("choices.json").get(key)
        return found if isinstance(found, dict) else None

    def remember(self, key: str, choice: dict[str, Any]) -> None:
        """Keeps what was decided, plain values, for later processes.

        Raises:
            ModelError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._note("choices.json", key, choice)
        except OSError as error:
            raise ModelError(
                f"{self.folder}: cannot be written: {error.strerror or error}; make room, or set "
                "models.runtime=torch"
            ) from error

    def _notes(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # as if nothing had been noted: everything in it can be found out again
        return found if isinstance(found, dict) else {}

    def _note(self, name: str, key: str, value: object) -> None:
        text = json.dumps({**self._notes(name), key: value}, indent=2, sort_keys=True)
        unfinished = self.folder / f"{name}.unfinished"
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(self.folder / name)


def clear(root: Path | None = None) -> int:
    """Deletes every exported network and every choice; gives the bytes that were freed."""
    root = root or default_root()
    if not root.is_dir():
        return 0
    freed = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    shutil.rmtree(root)
    return freed
