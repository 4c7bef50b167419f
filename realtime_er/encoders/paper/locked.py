"""Folders of models as ``realtime-er models get paper`` leaves them, and the lock beside them.

    face/  audio/  text/
    realtime_er-lock.json    where each came from, its licence, size and sha256 of every file

The lock is written from what the hub declares, so a file that changed later is found out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_cache_dir

from realtime_er.encoders.bundle import sha256_of
from realtime_er.errors import SpecMismatch, WeightsMissing

LOCK_FILE = "realtime_er-lock.json"
GET = "realtime-er models get paper"
_FORMAT = 1

State = Literal["ok", "missing", "changed", "unlocked"]
"""Of a file: as the lock says, not there, another than the lock says, or in no lock."""


@dataclass(frozen=True)
class LockedFile:
    """Size in bytes and sha256 (hex) of a file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class LockedModel:
    """Where a model came from.

    Attributes:
        repo: hub id.
        revision: commit.
        licence: as the hub declares it, or "unknown".
        files: name to size and hash.
    """

    repo: str
    revision: str
    licence: str
    files: Mapping[str, LockedFile]


@dataclass(frozen=True)
class CheckedFile:
    """One file of a model; ``sha256`` is that of what is there, empty where nothing is."""

    path: Path
    state: State
    sha256: str
    licence: str


def cache_root() -> Path:
    """Where models lie unless another folder is asked for."""
    return Path(user_cache_dir("realtime_er")) / "models" / "paper"


def read_lock(root: Path) -> dict[str, LockedModel]:
    """Modality to model; empty without a lock.

    Raises:
        SpecMismatch: it cannot be read.
    """
    path = root / LOCK_FILE
    if not path.is_file():
        return {}
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != _FORMAT:
            raise ValueError(f"format {raw['format']}, this program reads {_FORMAT}")
        return {name: _parsed(model) for name, model in raw["models"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SpecMismatch(
            f"{path}: no lock that can be read ({type(error).__name__} {error}); delete it and run: {GET}"
        ) from error


def _parsed(model: dict[str, Any]) -> LockedModel:
    files = {
        name: LockedFile(int(one["size"]), str(one["sha256"]))
        for name, one in model["files"].items()
    }
    return replace(LockedModel(**{**model, "files": {}}), files=files)


def write_lock(root: Path, models: Mapping[str, LockedModel]) -> None:
    """Writes the lock; it appears whole or not at all."""
    text = json.dumps(
        {"format": _FORMAT, "models": {name: asdict(one) for name, one in models.items()}},
        indent=2,
    )
    unfinished = root / f"{LOCK_FILE}.unfinished"
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(root / LOCK_FILE)


def locked_folder(repo: str, revision: str | None = None) -> Path | None:
    """Where a hub model lies that was fetched into the cache; None where it was not.

    Raises:
        SpecMismatch: the lock cannot be read.
    """
    root = cache_root()
    for name, model in read_lock(root).items():
        if model.repo == repo and revision in (None, model.revision):
            return root / name
    return None


def lock_of(folder: Path) -> LockedModel | None:
    """What the lock beside a model's folder says of it; None without a lock.

    Raises:
        SpecMismatch: the lock cannot be read.
    """
    return read_lock(folder.resolve().parent).get(folder.resolve().name)


def check_folder(folder: Path) -> list[CheckedFile]:
    """Every file that the lock names, with its state; empty without a lock.

    Raises:
        SpecMismatch: the lock cannot be read.
    """
    model = lock_of(folder)
    return [] if model is None else [_checked(folder / n, f, model) for n, f in model.files.items()]


def _checked(path: Path, locked: LockedFile, model: LockedModel) -> CheckedFile:
    if not path.is_file():
        return CheckedFile(path, "missing", "", model.licence)
    found = sha256_of(path)
    state: State = "ok" if found == locked.sha256 else "changed"
    return CheckedFile(path, state, found, model.licence)


def verified(folder: Path) -> dict[str, str]:
    """Name to sha256 of every locked file, all as the lock says; empty without a lock.

    Raises:
        WeightsMissing: a file is not there.
        SpecMismatch: a file is another, or the lock cannot be read.
    """
    hashes = {}
    for file in check_folder(folder):
        if file.state == "missing":
            raise WeightsMissing(f"{file.path}: missing; fetch it again: {GET}")
        if file.state == "changed":
            raise SpecMismatch(
                f"{file.path}: not the file that was fetched (sha256 {file.sha256[:12]}, "
                f"{LOCK_FILE} says otherwise); fetch it again: {GET}"
            )
        hashes[file.path.name] = file.sha256
    return hashes
