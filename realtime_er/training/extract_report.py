"""What an extraction says: progress, one line at the end, and a table of what is absent and why."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from realtime_er.training.clip_reading import Problem

_PATH = re.compile(r"^\S*[/\\]\S*?:? ")


@dataclass(frozen=True)
class ExtractProgress:
    """State after a shard: its number from 1, of how many, clips and problems so far."""

    shard: int
    shards: int
    clips: int
    problems: int
    elapsed_s: float


@dataclass
class ExtractReport:
    """What came of a corpus.

    Attributes:
        corpus: its name.
        path: the file of features.
        asked: clips in the manifest, with those that the reader had left out.
        kept: clips in the file.
        available: modality to how many of them have it.
        problems: everything that is absent.
        notes: sentences on the whole corpus.
    """

    corpus: str
    path: Path
    asked: int
    kept: int
    available: dict[str, int]
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def report_path(self) -> Path:
        """The table of problems, beside the features."""
        return self.path.with_name(f"{self.path.stem}.report.csv")

    def summary(self) -> str:
        """One line for the end of a run."""
        has = ", ".join(f"{name} {count}" for name, count in self.available.items())
        line = f"{self.corpus}: {self.kept} of {self.asked} clips described ({has})"
        counts = Counter(
            (problem.modality or "left out", _kind(problem.reason)) for problem in self.problems
        )
        if counts:
            told = "; ".join(
                f"{count} {what}: {why}" for (what, why), count in counts.most_common()
            )
            line += f"; {told}; see {self.report_path}"
        return "; ".join([line, *self.notes])

    def write(self) -> None:
        """Writes the table of problems: id, modality, reason."""
        with self.report_path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("id", "modality", "reason"))
            writer.writerows((p.id, p.modality or "all", p.reason) for p in self.problems)


def _kind(reason: str) -> str:
    """A reason without the file it begins with, so that equal ones can be counted."""
    return _PATH.sub("", reason)
