"""One table for every corpus: which clip lies where, in which part, under which own label.

A manifest is a CSV file with the columns ``COLUMNS``. Labels stand in it under the corpus' own
names; what they mean for a model is said by a ``LabelScheme`` (``label_schemes.py``), so another
map needs no second reading of the corpus and no second extraction of features.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from realtime_er.errors import CorpusError

COLUMNS = (
    "id",
    "corpus",
    "split",
    "video",
    "start_s",
    "end_s",
    "side",
    "audio",
    "speaker",
    "group",
    "native",
    "text",
)
SPLITS = ("train", "val", "test")
SIDES = ("", "left", "right")


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One labelled clip.

    Attributes:
        id: unique over corpora, "meld/train/dia0_utt3" for instance.
        corpus: short name of the corpus.
        split: "train", "val" or "test".
        video: file with the pictures, relative to the corpus' folder; empty without pictures.
        audio: file with the sound, read whole; empty where the video's own sound is meant.
        native: the corpus' own labels, strongest first; several only in multi-label corpora.
        start_s: where the clip begins in ``video``; None for the whole file.
        end_s: where it ends; None for the whole file.
        side: half of the picture in which the speaker is ("left", "right"), or empty.
        speaker: unique within the corpus; empty where unknown.
        group: what must not be split between parts (dialogue, video); empty where nothing is.
        text: transcript that comes with the corpus; empty without one.
    """

    id: str
    corpus: str
    split: str
    video: str
    audio: str
    native: tuple[str, ...]
    start_s: float | None = None
    end_s: float | None = None
    side: str = ""
    speaker: str = ""
    group: str = ""
    text: str = ""

    def problem(self) -> str | None:
        """What is wrong with this row, or None."""
        checks = (
            (not self.id, "has no id"),
            (not self.corpus, "has no corpus"),
            (self.split not in SPLITS, f"split {self.split!r} is none of {', '.join(SPLITS)}"),
            (not (self.video or self.audio), "names neither a video nor an audio file"),
            (self.side not in SIDES, f"side {self.side!r} is neither left nor right"),
            (not self.native or not all(self.native), "has no label"),
        )
        for wrong, message in checks:
            if wrong:
                return message
        return self._problem_of_span()

    def _problem_of_span(self) -> str | None:
        if self.start_s is None and self.end_s is None:
            return None
        if self.start_s is None or self.end_s is None:
            return "has only one of start_s and end_s"
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s)):
            return f"start_s {self.start_s} or end_s {self.end_s} is not finite"
        if not 0.0 <= self.start_s < self.end_s:
            return f"span {self.start_s} to {self.end_s} is not one"
        return None

    @property
    def place(self) -> tuple[object, ...]:
        """Where the clip is; two rows of one place are one clip twice."""
        return (self.corpus, self.video, self.start_s, self.end_s, self.side, self.audio)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A clip that a reader left out, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """What a reader found: rows in the order of the corpus, and what it left out."""

    rows: tuple[ManifestRow, ...]
    skipped: tuple[Skipped, ...] = ()

    def counts(self) -> dict[str, int]:
        """Rows of each part."""
        found = Counter(row.split for row in self.rows)
        return {split: found[split] for split in SPLITS}


def check_rows(rows: Sequence[ManifestRow], where: str) -> None:
    """Refuses rows that cannot be, and clips that stand twice.

    Args:
        rows: the manifest, in order.
        where: the file or reader, for the message; rows are counted as its lines, header first.

    Raises:
        CorpusError: names the first bad row, and how many more there are.
    """
    problems: list[str] = []
    ids: dict[str, int] = {}
    places: dict[tuple[object, ...], int] = {}
    for line, row in enumerate(rows, start=2):
        problem = row.problem()
        if problem is None and row.id in ids:
            problem = f"stands twice (first in line {ids[row.id]})"
        if problem is None and row.place in places:
            problem = f"is the clip of line {places[row.place]} again"
        ids.setdefault(row.id, line)
        places.setdefault(row.place, line)
        if problem is not None:
            problems.append(f"{where}, line {line}: {row.id or 'a row'} {problem}")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CorpusError(f"{problems[0]}{more}; correct the manifest or write it anew")


def list_rows(rows: Iterable[ManifestRow], skipped: Iterable[Skipped] = ()) -> Listing:
    """A reader's result: what cannot be, or stands twice, is left out with the reason.

    A corpus of thousands has a few odd entries; they must not stop a run, and are reported.
    """
    kept: list[ManifestRow] = []
    left_out = list(skipped)
    ids: set[str] = set()
    places: set[tuple[object, ...]] = set()
    for row in rows:
        reason = row.problem()
        if reason is None and row.id in ids:
            reason = "stands twice"
        if reason is None and row.place in places:
            reason = "is another entry's clip again"
        if reason is not None:
            left_out.append(Skipped(row.id, reason))
            continue
        ids.add(row.id)
        places.add(row.place)
        kept.append(row)
    return Listing(tuple(kept), tuple(left_out))


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Writes a manifest, checked, UTF-8 with a header.

    Raises:
        CorpusError: a row cannot be, or stands twice.
    """
    check_rows(rows, str(path))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for row in rows:
            values = {
                **{name: getattr(row, name) for name in COLUMNS},
                "native": "|".join(row.native),
                "start_s": "" if row.start_s is None else repr(float(row.start_s)),
                "end_s": "" if row.end_s is None else repr(float(row.end_s)),
            }
            writer.writerow([values[name] for name in COLUMNS])


def read_manifest(path: Path) -> tuple[ManifestRow, ...]:
    """Reads a manifest and checks every row.

    Raises:
        CorpusError: the file is missing or empty, has other columns, or holds a row that cannot
            be, stands twice or names a file outside the corpus' folder; the message names file and
            line.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such manifest; write one with: realtime-er extract --help")
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            _check_columns(path, reader.fieldnames or ())
            rows = tuple(_parse(path, line, values) for line, values in enumerate(reader, start=2))
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: is not a table of text ({error}); write it anew") from error
    if not rows:
        raise CorpusError(f"{path}: holds no row")
    check_rows(rows, str(path))
    return rows


def _check_columns(path: Path, names: Iterable[str]) -> None:
    given = tuple(names)
    missing = [name for name in COLUMNS if name not in given]
    unknown = [name for name in given if name not in COLUMNS]
    if missing or unknown:
        found = f"unknown column {unknown[0]!r}" if unknown else f"no column {missing[0]!r}"
        raise CorpusError(f"{path}: {found}; a manifest has the columns {','.join(COLUMNS)}")


def _parse(path: Path, line: int, values: dict[str, str | None]) -> ManifestRow:
    if None in values or None in values.values():
        raise CorpusError(f"{path}, line {line}: has not as many cells as there are columns")
    cells = {name: str(values[name]) for name in COLUMNS}
    spans: dict[str, float | None] = {}
    for name in ("start_s", "end_s"):
        try:
            spans[name] = float(cells[name]) if cells[name] else None
        except ValueError as error:
            raise CorpusError(f"{path}, line {line}: {name} {cells[name]!r}: no number") from error
    for name in ("video", "audio"):
        if leads_out(cells[name]):
            raise CorpusError(
                f"{path}, line {line}: {name} {cells[name]!r} leads out of the corpus' folder; "
                "name files relative to it (a link inside it may lead anywhere)"
            )
    return ManifestRow(
        id=cells["id"],
        corpus=cells["corpus"],
        split=cells["split"],
        video=cells["video"],
        audio=cells["audio"],
        native=tuple(cells["native"].split("|")),
        start_s=spans["start_s"],
        end_s=spans["end_s"],
        side=cells["side"],
        speaker=cells["speaker"],
        group=cells["group"],
        text=cells["text"],
    )


def leads_out(name: str) -> bool:
    """Whether a file's name is absolute or goes up; a manifest may come from somebody else."""
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    up = ".." in posix.parts or ".." in windows.parts
    return up or posix.is_absolute() or bool(windows.anchor) or "\0" in name


def missing_files(rows: Iterable[ManifestRow], root: Path) -> list[Skipped]:
    """Rows whose files are not under ``root``, with the file; a run reports and passes them by."""
    lost = []
    for row in rows:
        for name in (row.video, row.audio):
            if name and not (root / name).is_file():
                lost.append(Skipped(row.id, f"{root / name} is missing"))
                break
    return lost
