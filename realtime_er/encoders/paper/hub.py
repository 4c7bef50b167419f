"""Where a model's file is: a path, a folder in the hub's layout, or a hub id ("owner/name").

The network is touched only where ``download`` is asked for; otherwise a hub id means what
``realtime-er models get paper`` fetched, else what the hub's own cache has. Folders with a lock
beside them are checked against it, see ``locked.py``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from realtime_er.encoders.bundle import sha256_of
from realtime_er.encoders.paper.locked import GET, locked_folder, verified
from realtime_er.errors import SpecMismatch, WeightsMissing

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
"""What a model's weights are called in the hub's layout, best first."""
FACE_FILES = ("FER_static_ResNet50_AffectNet.pt", *WEIGHT_FILES)
"""The same of the published face encoder."""
SIDE_FILES = (
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)
HOW_TO_GET = f"fetch them with: {GET} (MER's), or this command's own --download"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Found:
    """A file of weights.

    Attributes:
        path: the file.
        config: what ``config.json`` beside it says; empty without one.
        locked: name to sha256 of the files that were checked against a lock.
    """

    path: Path
    config: dict[str, Any]
    locked: dict[str, str] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Of the file; read once."""
        return self.locked.get(self.path.name) or sha256_of(self.path)

    @property
    def identity(self) -> str:
        """sha256 (hex) of the weights and of the settings beside them, which they do not tell."""
        told = self.sha256 + json.dumps(self.config, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """Where it lies; a tokenizer's files may lie there too."""
        return self.path.parent


def is_hub_id(source: str) -> bool:
    """Whether this has the form of a hub id."""
    return _HUB_ID.fullmatch(source) is not None


def find_weights(
    source: str | Path,
    files: Sequence[str] = WEIGHT_FILES,
    *,
    download: bool = False,
    revision: str | None = None,
) -> Found:
    """Finds a model's weights.

    Args:
        source: a file, a folder, or a hub id.
        files: names to look for in a folder or on the hub, best first.
        download: whether a hub id may be fetched when it is not in the cache.
        revision: commit, tag or branch of a hub id.

    Raises:
        WeightsMissing: it is not there; the message says what was looked for and what to do.
        SpecMismatch: ``config.json`` beside it cannot be read, or a file is not the one that was
            fetched.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return Found(path, _config_beside(path))
    if path.is_dir():
        return _in_folder(path, files)
    text = str(source)
    if not is_hub_id(text):
        raise WeightsMissing(
            f"{text}: no such file or folder, and not a hub id (owner/name); "
            f"give one of the three, or {HOW_TO_GET}"
        )
    own = locked_folder(text, revision)
    if own is not None:
        return _in_folder(own, files)
    return _in_folder(_from_hub(text, files, download=download, revision=revision), files)


def _in_folder(folder: Path, files: Sequence[str]) -> Found:
    locked = verified(folder)
    for name in files:
        if (folder / name).is_file():
            return Found(folder / name, _config_beside(folder / name), locked)
    there = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
    raise WeightsMissing(
        f"{folder}: none of {', '.join(files)} is there (found: {shown or 'nothing'}); "
        f"name the file itself, or {HOW_TO_GET}"
    )


def _config_beside(path: Path) -> dict[str, Any]:
    config = path.parent / "config.json"
    if not config.is_file():
        return {}
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecMismatch(f"{config}: cannot be read as JSON: {error}; fetch it again") from error
    if not isinstance(values, dict):
        raise SpecMismatch(f"{config}: holds no settings; fetch it again")
    return values


def _from_hub(hub_id: str, files: Sequence[str], *, download: bool, revision: str | None) -> Path:
    try:
        import huggingface_hub as hub
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise WeightsMissing(
            f"{hub_id}: needs the hub's client; run: pip install 'realtime_er[paper]'"
        ) from error
    where = f"{hub_id}@{revision}" if revision else hub_id
    try:
        if not download:
            return Path(hub.snapshot_download(hub_id, revision=revision, local_files_only=True))
        on_hub = set(hub.HfApi().list_repo_files(hub_id, revision=revision))
        wanted = next((name for name in files if name in on_hub), None)
        if wanted is None:
            raise WeightsMissing(f"{where}: none of {', '.join(files)} is on the hub there")
        names = [wanted, *(name for name in SIDE_FILES if name in on_hub)]
        return Path(hub.snapshot_download(hub_id, revision=revision, allow_patterns=names))
    except LocalEntryNotFoundError as error:
        raise WeightsMissing(
            f"{where}: not on this machine; {HOW_TO_GET}, or give a folder with its files"
        ) from error
    # Its bases are the HTTP library's own base class, whichever the client uses, and OSError.
    except HfHubHTTPError.__bases__ as error:
        reason = next(iter(str(error).splitlines()), "")
        raise WeightsMissing(
            f"{where}: cannot be fetched ({type(error).__name__}: {reason}); "
            "check the name and the connection, or give a folder with its files"
        ) from error
