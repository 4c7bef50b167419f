"""The row that every text corpus is read into, and the checks the readers share."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.messages import LABELS


@dataclass(frozen=True)
class TextRow:
    """One labelled text.

    Attributes:
        text: The words as published (punctuation and case included).
        target: Seven shares in the project's order; they sum to one. One-hot where the corpus
            gives one label.
        group: What must not be split between parts (dialogue, scene or comment).
        speaker: Speaker name, or an empty string where the corpus has none.
        corpus: Short corpus name.
    """

    text: str
    target: tuple[float, ...]
    group: str
    speaker: str
    corpus: str

    @property
    def label(self) -> int | None:
        """Index of the only label, or None where the target is shared between labels."""
        best = max(range(len(self.target)), key=self.target.__getitem__)
        return best if self.target[best] == 1.0 else None


def one_hot(label: str) -> tuple[float, ...]:
    """Seven shares with a one in the column of ``label``."""
    return tuple(1.0 if name == label else 0.0 for name in LABELS)


def require_file(path: Path, corpus: str) -> Path:
    """Give ``path`` back, or raise CorpusError saying which corpus misses which file."""
    if not path.is_file():
        raise CorpusError(
            f"{corpus}: {path} is missing; put the corpus there, or name the folder that holds "
            "it with --data DIR or REALTIME_ER_DATA"
        )
    return path


def read_text(path: Path, corpus: str) -> str:
    """The text of a corpus' file, UTF-8 with or without its mark; line ends as they are.

    Raises:
        CorpusError: The file is missing or is something else.
    """
    try:
        with require_file(path, corpus).open(encoding="utf-8-sig", newline="") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{corpus}: {path} is not a text in UTF-8: {error}") from error


def read_csv_rows(path: Path, corpus: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Read a CSV file with a header, checking that ``columns`` are there.

    Raises:
        CorpusError: The file is missing, is something else, lacks a column, or has a short line.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, corpus), newline=""))
    try:
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise CorpusError(f"{corpus}: {path} has no column {missing[0]!r}; is it another file?")
        rows = list(reader)
    except csv.Error as error:
        raise CorpusError(f"{corpus}: {path} cannot be read as CSV: {error}") from error
    for number, row in enumerate(rows, start=1):
        if any(row[name] is None for name in columns):
            raise CorpusError(f"{corpus}: {path}, row {number} is too short")
    return rows


def episode_of(row: dict[str, str], path: Path, corpus: str) -> tuple[int, int]:
    """Season and episode of a row.

    Raises:
        CorpusError: they are no numbers.
    """
    try:
        return int(row["Season"]), int(row["Episode"])
    except ValueError as error:
        raise CorpusError(f"{corpus}: {path}: season and episode: {error}") from error
