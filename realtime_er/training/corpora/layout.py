"""Checks that a corpus lies as it is distributed, with errors that say what was looked for."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.manifest import ManifestRow


def found_in(folder: Path, most: int = 6) -> str:
    """What lies in a folder, for messages."""
    if not folder.is_dir():
        return "nothing" if not folder.exists() else "a file"
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return (", ".join(names[:most]) + (", ..." if len(names) > most else "")) or "nothing"


def first_dir(root: Path, choices: Sequence[str], corpus: str, layout: str) -> Path:
    """The first of several folders that is there; distributions differ in nesting.

    Args:
        root: the corpus' folder.
        choices: paths under it, best first.
        corpus: its name, for the message.
        layout: how it should look, in words.

    Raises:
        CorpusError: none is there; says what was expected and what was found.
    """
    for choice in choices:
        if (root / choice).is_dir():
            return root / choice
    raise CorpusError(
        f"{corpus}: {root / choices[0]} is missing; expected {layout}; "
        f"found in {root}: {found_in(root)}"
    )


def first_file(root: Path, choices: Sequence[str], corpus: str, what: str) -> Path:
    """The first of several files that is there.

    Raises:
        CorpusError: none is there; says what it is and what was found.
    """
    for choice in choices:
        if (root / choice).is_file():
            return root / choice
    raise CorpusError(
        f"{corpus}: {root / choices[0]} is missing ({what}); found in {root}: {found_in(root)}"
    )


def visible(folder: Path, pattern: str) -> list[Path]:
    """Files of a pattern in order, without the "._name" files that some archives carry."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def stable_share(names: Sequence[str], share: float) -> set[str]:
    """A share of names that depends on the names alone, not on their order or on a seed."""
    distinct = sorted(set(names), key=lambda name: (zlib.crc32(name.encode()), name))
    return set(distinct[: round(share * len(distinct))])


def carve_validation(rows: Sequence[ManifestRow], share: float = 0.1) -> tuple[ManifestRow, ...]:
    """Makes a selection part where a corpus' "val" is also what is reported (AFEW).

    Whole groups (or clips, where there are none) of "train" become "val", the former "val"
    becomes "test". A corpus that has a test part comes back as it is.

    Args:
        rows: one corpus.
        share: of the training groups.
    """
    if any(row.split == "test" for row in rows):
        return tuple(rows)
    moved = stable_share([row.group or row.id for row in rows if row.split == "train"], share)
    carved = []
    for row in rows:
        split = "test" if row.split == "val" else row.split
        if row.split == "train" and (row.group or row.id) in moved:
            split = "val"
        carved.append(replace(row, split=split))
    return tuple(carved)
