"""The part of ``realtime-er models`` that is about the published encoders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.encoders.bundle import load_card, sha256_of
from realtime_er.encoders.paper.hub import (
    FACE_FILES,
    SIDE_FILES,
    WEIGHT_FILES,
    find_weights,
    is_hub_id,
)
from realtime_er.encoders.paper.locked import (
    GET,
    CheckedFile,
    LockedModel,
    State,
    cache_root,
    check_folder,
    lock_of,
    locked_folder,
)
from realtime_er.errors import ConfigError, ModelError, WeightsMissing
from realtime_er.fusion.paper_head import head_file
from realtime_er.messages import MODALITIES

if TYPE_CHECKING:
    from realtime_er.config import Config

WEIGHTS = {"face": FACE_FILES, "audio": WEIGHT_FILES, "text": WEIGHT_FILES}
"""Modality to the names of its weights, best first."""
UNKNOWN = "unknown"


def sources(config: Config) -> dict[str, str]:
    """Modality to where its encoder comes from: a hub id, a folder or a file."""
    return {name: str(getattr(config.paper, name)) for name in MODALITIES}


def revisions(given: list[str]) -> dict[str, str]:
    """``["face=0123abc"]`` as modality to revision.

    Raises:
        ConfigError: it is written otherwise.
    """
    found = {}
    for one in given:
        name, equals, revision = one.partition("=")
        if name not in MODALITIES or not equals or not revision:
            raise ConfigError(
                f"--revision {one}: write it as MODALITY=COMMIT, for instance face=0123abc; "
                f"modalities are {', '.join(MODALITIES)}"
            )
        found[name] = revision
    return found


def get(config: Config, to: Path | None, pinned: dict[str, str]) -> dict[str, LockedModel]:
    """Fetches the encoders that the configuration names by hub id.

    Raises:
        ConfigError: it names none, or a revision is of one that is not fetched.
        ModelError: see ``download.fetch``.
    """
    import typer

    from realtime_er.encoders.paper.download import fetch

    wanted = {name: one for name, one in sources(config).items() if is_hub_id(one)}
    wanted = {name: one for name, one in wanted.items() if not Path(one).exists()}
    if not wanted or set(pinned) - set(wanted):
        raise ConfigError(
            "paper.face, paper.audio and paper.text name files and folders where they should name "
            "hub ids (owner/name); there is nothing to fetch"
        )
    return fetch(
        wanted,
        WEIGHTS,
        cache_root() if to is None else to.expanduser(),
        revisions=pinned,
        said=lambda line: typer.echo(line, err=True),
    )


def files(config: Config) -> list[tuple[str, CheckedFile]]:
    """Every file of the bundle as (kind, file): encoders, and the fusion head where one is named.

    Raises:
        ModelError: a lock or a card cannot be read.
    """
    found = []
    for name, source in sources(config).items():
        found += [(name, file) for file in _of_encoder(source, WEIGHTS[name])]
    if config.paper.head:
        found += [("fusion", file) for file in _of_head(Path(config.paper.head).expanduser())]
    return found


def _of_encoder(source: str, weights: tuple[str, ...]) -> list[CheckedFile]:
    path = Path(source).expanduser()
    folder = path if path.is_dir() else None
    if folder is None and is_hub_id(source) and not path.exists():
        folder = locked_folder(source)
    if folder is not None and lock_of(folder) is not None:
        return check_folder(folder)
    try:
        weights_path = find_weights(source, weights).path
    except WeightsMissing:
        return [CheckedFile(path, "missing", "", UNKNOWN)]
    beside = (weights_path.parent / name for name in SIDE_FILES)
    there = [weights_path, *(side for side in beside if side.is_file() and not path.is_file())]
    return [_unlocked(one) for one in there]


def _of_head(head: Path) -> list[CheckedFile]:
    try:
        found = head_file(head)
    except WeightsMissing:
        return [CheckedFile(head, "missing", "", UNKNOWN)]
    if found.is_file():
        return [_unlocked(found)]
    card = load_card(head, verify=False)
    listed = {card.file: card.sha256}
    for one in (card.raw.get("subset_heads") or {}).values():
        listed[one["file"]] = one["sha256"]
    rows = []
    for name, expected in listed.items():
        path = head / name
        actual = sha256_of(path) if path.is_file() else ""
        state: State = "ok" if actual == expected else "changed" if actual else "missing"
        rows.append(CheckedFile(path, state, actual, card.licence))
    return rows


def _unlocked(path: Path) -> CheckedFile:
    return CheckedFile(path, "unlocked", sha256_of(path), UNKNOWN)


def problems(config: Config) -> list[tuple[str, str]]:
    """(kind, what is wrong or "") of every encoder, and of the head where one is named."""
    found = []
    for name, source in sources(config).items():
        try:
            find_weights(source, WEIGHTS[name])
            found.append((name, ""))
        except ModelError as error:
            found.append((name, str(error)))
    if config.paper.head:
        try:
            parts = _of_head(Path(config.paper.head).expanduser())
            bad = [one for one in parts if one.state in WRONG]
            found.append(("fusion", f"{bad[0].path}: {bad[0].state}" if bad else ""))
        except ModelError as error:
            found.append(("fusion", str(error)))
    return found


WRONG = ("missing", "changed")
"""States of a file that make a check fail."""


def rows(config: Config) -> list[tuple[str, str, str]]:
    """(kind, where it is or how to get it, licence) of every encoder, without reading weights.

    Raises:
        ModelError: a lock cannot be read.
    """
    told = []
    for name, source in sources(config).items():
        path = Path(source).expanduser()
        folder = path if path.is_dir() else None if path.exists() else locked_folder(source)
        locked = lock_of(folder) if folder is not None else None
        if locked is not None:
            where = f"{locked.repo}@{locked.revision[:12]} in {folder}"
            told.append((name, where, locked.licence))
            continue
        try:
            where = str(find_weights(source, WEIGHTS[name]).path)
        except WeightsMissing:
            where = f"{source}: not here; run: {GET}"
        told.append((name, where, UNKNOWN))
    return told
