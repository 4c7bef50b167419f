"""Models from the hub to a folder: resumable, every file checked against what the hub declares.

The hub's own client starts an interrupted file anew, so files are kept half done here and gone on
with. Public repositories only; no account is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from realtime_er.encoders.bundle import sha256_of
from realtime_er.encoders.paper.hub import SIDE_FILES, WEIGHT_FILES, is_hub_id
from realtime_er.encoders.paper.locked import (
    GET,
    LockedFile,
    LockedModel,
    read_lock,
    write_lock,
)
from realtime_er.errors import ConfigError, ModelError, WeightsMissing

KNOWN_LICENCES = {"ElenaRyumina/face_emotion_recognition": "mit"}
"""Of repositories whose page declares none to programs."""
_SHA256 = 64


@dataclass(frozen=True)
class Declared:
    """A file as the hub declares it.

    Attributes:
        name: in the repository, no folders.
        size: bytes.
        digest: sha256 (hex, 64) of a large file, git's sha1 (40) of a small one.
    """

    name: str
    size: int
    digest: str

    def is_in(self, path: Path) -> bool:
        """Whether this very file is there."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        if len(self.digest) == _SHA256:
            return sha256_of(path) == self.digest
        # Small files are declared by the name git has for them.
        blob = hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)
        blob.update(path.read_bytes())
        return blob.hexdigest() == self.digest

    def locked(self, path: Path) -> LockedFile:
        """For the lock; this file is there."""
        large = len(self.digest) == _SHA256
        return LockedFile(self.size, self.digest if large else sha256_of(path))


@dataclass(frozen=True)
class Listing:
    """A repository at one commit, as far as it is wanted."""

    repo: str
    revision: str
    licence: str
    files: tuple[Declared, ...]


def fetch(
    sources: Mapping[str, str],
    weights: Mapping[str, Sequence[str]],
    root: Path,
    *,
    revisions: Mapping[str, str] | None = None,
    said: Callable[[str], None] = lambda line: None,
) -> dict[str, LockedModel]:
    """Fetches models that are not there yet, and locks them.

    Args:
        sources: modality to hub id.
        weights: modality to the names of its weights, best first.
        root: folder that gets one folder for each modality, and the lock.
        revisions: modality to commit, tag or branch; the newest where none is named.
        said: called with one line for each file.

    Returns:
        All of the lock.

    Raises:
        WeightsMissing: no network, no such repository, revision or file, or it broke off; what
            there is stays for the next run.
        ModelError: a file is not the one that the hub declares, or the disk is full.
        ConfigError: a source is not a hub id.
    """
    for name, repo in sources.items():
        if not is_hub_id(repo):
            raise ConfigError(f"{name}: {repo} is not a hub id (owner/name), so nothing to fetch")
    wanted = {
        name: _listing(repo, weights.get(name, WEIGHT_FILES), (revisions or {}).get(name))
        for name, repo in sources.items()
    }
    root.mkdir(parents=True, exist_ok=True)
    _need_room(root, wanted)
    models = read_lock(root)
    for name, listing in wanted.items():
        folder = root / name
        folder.mkdir(exist_ok=True)
        for file in listing.files:
            if file.is_in(folder / file.name):
                said(f"{folder / file.name}: there already")
                continue
            _fetch_file(listing, file, folder)
            said(f"{folder / file.name}: fetched, {file.size / 1e6:.1f} MB, hash as declared")
        models[name] = LockedModel(
            listing.repo,
            listing.revision,
            listing.licence,
            {file.name: file.locked(folder / file.name) for file in listing.files},
        )
        write_lock(root, models)
    return models


def _listing(repo: str, weights: Sequence[str], revision: str | None) -> Listing:
    where = f"{repo}@{revision}" if revision else repo
    with _hub_faults(where):
        import huggingface_hub as hub

        # The environment is read now, not when the client was first imported.
        info = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=False).model_info(
            repo, revision=revision, files_metadata=True
        )
    there = {one.rfilename: one for one in info.siblings or ()}
    chosen = next((name for name in weights if name in there), None)
    if chosen is None:
        raise WeightsMissing(f"{where}: none of {', '.join(weights)} is on the hub there")
    files = []
    for name in (chosen, *(name for name in SIDE_FILES if name in there)):
        one = there[name]
        digest = one.lfs.sha256 if one.lfs is not None else one.blob_id
        size = one.lfs.size if one.lfs is not None else one.size
        if digest is None or size is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest):
            raise ModelError(f"{where}: the hub declares no hash of {name}; nothing was fetched")
        files.append(Declared(name, size, digest))
    if not info.sha:
        raise ModelError(f"{where}: the hub names no commit; nothing was fetched")
    card = info.card_data.to_dict() if info.card_data is not None else {}
    licence = card.get("license") or KNOWN_LICENCES.get(repo) or "unknown"
    return Listing(repo, info.sha, str(licence), tuple(files))


def _need_room(root: Path, wanted: Mapping[str, Listing]) -> None:
    missing = sum(
        file.size
        for name, listing in wanted.items()
        for file in listing.files
        if not (root / name / file.name).is_file()
    )
    free = shutil.disk_usage(root).free
    if missing > free:
        raise ModelError(
            f"{root}: {missing / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free; "
            "make room, or choose another disk with --to DIR"
        )


def _fetch_file(listing: Listing, file: Declared, folder: Path) -> None:
    where = f"{listing.repo}/{file.name}"
    # Named by its hash, so that what is gone on with is the same file.
    part = folder / f".{file.name}.{file.digest[:12]}.part"
    done = part.stat().st_size if part.is_file() else 0
    if done > file.size:
        part.unlink()
        done = 0
    with _hub_faults(where):
        import huggingface_hub as hub
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        url = hub.hf_hub_url(
            listing.repo,
            file.name,
            revision=listing.revision,
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
        with part.open("ab") as stream:
            http_get(
                url,
                stream,
                resume_size=done,
                headers=build_hf_headers(token=False),
                expected_size=file.size,
                displayed_filename=file.name,
            )
    if not file.is_in(part):
        part.unlink()
        raise ModelError(
            f"{where}: what arrived is not what the hub declares (hash {file.digest[:12]}); "
            f"deleted, run it again: {GET}"
        )
    part.replace(folder / file.name)


@contextmanager
def _hub_faults(where: str) -> Iterator[None]:
    """Everything that can go wrong between here and the hub, as one line."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise WeightsMissing(
            f"{where}: needs the hub's client; run: pip install 'realtime_er[paper]'"
        ) from error
    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise WeightsMissing(f"{where}: no such revision on the hub") from error
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
        raise WeightsMissing(
            f"{where}: no such public model on the hub; check the name, or give a folder with its "
            "files (paper.face, paper.audio, paper.text)"
        ) from error
    except errors.EntryNotFoundError as error:
        raise WeightsMissing(f"{where}: not on the hub any more; try --revision") from error
    # Its bases are the HTTP library's own base class, whichever the client uses, and OSError.
    except errors.HfHubHTTPError.__bases__ as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise WeightsMissing(
            f"{where}: cannot be fetched ({reason}); check the connection and run it again, it "
            f"goes on where it stopped: {GET}"
        ) from error
