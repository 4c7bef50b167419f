"""Recordings to tables and pictures, resumable: what ``realtime-er analyze`` runs.

For each recording NAME: ``NAME.csv``, ``NAME.parquet`` (see ``sinks.tables``) and ``NAME.png``; one
row for each in ``summary.csv``. All are written under temporary names and moved into place, the
summary's row last, so a recording with a row is finished and one without is done again. Nothing
written depends on how long it took or on when it was made.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from realtime_er.bundles import bundle_of
from realtime_er.clock import Clock
from realtime_er.config import Config
from realtime_er.encoders.bundle import bundle_dir, load_card, sha256_of
from realtime_er.errors import RealtimeERError, SourceError
from realtime_er.messages import LABELS, MODALITIES, Estimate, Hypothesis
from realtime_er.perception.detectors import detector_name
from realtime_er.sinks.tables import rows_of, write_csv, write_parquet
from realtime_er.sinks.timeline import save_timeline

_AUDIO_SUFFIXES = (
    ".aac",
    ".aif",
    ".aiff",
    ".flac",
    ".m4a",
    ".mp3",
    ".ogg",
    ".opus",
    ".wav",
    ".wma",
)
_VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".webm", ".wmv"),
)
MEDIA_SUFFIXES = frozenset((*_AUDIO_SUFFIXES, *_VIDEO_SUFFIXES))
"""What is taken from a folder; a file that is named is taken whatever its suffix."""

SUMMARY_COLUMNS = (
    "name",
    "file",
    "duration_s",
    "label",
    "confidence",
    *LABELS,
    *(f"contribution_{modality}" for modality in MODALITIES),
    "transcript",
    "sha256",
    "config",
    "models",
)


class AnalyzedSession(Protocol):
    """The part of a session that a batch needs."""

    @property
    def notices(self) -> tuple[str, ...]:
        """One-line notices."""
        ...

    @property
    def finals(self) -> Sequence[Hypothesis]:
        """Final hypotheses so far."""
        ...

    def estimates(self) -> Iterator[Estimate]:
        """Estimates until the file ends."""
        ...

    def stop(self) -> None:
        """End early."""
        ...

    def whole(self) -> dict[str, Any]:
        """One score for the whole recording."""
        ...


OpenSession = Callable[[Path], AbstractContextManager[AnalyzedSession]]
Progress = Callable[[AnalyzedSession, Estimate], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one recording.

    ``status`` is "done", "skipped" (finished earlier) or "failed" (``reason`` says why in one line).
    ``record`` is its row in the summary; empty when it failed. ``elapsed_s`` is None unless done.
    """

    path: Path
    status: str
    reason: str = ""
    record: dict[str, str] = field(default_factory=dict)
    elapsed_s: float | None = None


class BatchStoppedError(RealtimeERError):
    """The batch was stopped; what had been finished stays."""


def find_media(paths: Iterable[Path]) -> list[Path]:
    """Files as they are named, folders searched to the bottom; sorted within a folder, no repeats.

    Raises:
        SourceError: a path does not exist, or a folder holds no recording.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in MEDIA_SUFFIXES)
            files = [p for p in inside if p.is_file() and not p.name.startswith(".")]
            if not files:
                raise SourceError(f"{path}: no recordings in this folder")
            found.update(dict.fromkeys(files))
        elif path.exists():
            found[path] = None
        else:
            raise SourceError(f"{path}: no such file or folder")
    return list(found)


def config_hash(config: Config) -> str:
    """First 16 hex digits of the SHA-256 of all settings."""
    text = json.dumps(config.to_dict(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def model_ids(config: Config, asr_model: Path | None) -> str:
    """Ids and hashes of everything that is loaded, "; " between them.

    Raises:
        ModelError: a file is missing, or a card is broken.
    """
    detector = detector_name(config.face)
    if detector == "compact":
        card = load_card(bundle_dir("compact", "detector"), verify=False)
        detector = f"{card.id}@{card.sha256[:12]}"
    ids = [detector, *bundle_of(config).identities()]
    weights = asr_model / "model.bin" if asr_model is not None else None
    if weights is not None and weights.is_file():
        ids.append(f"whisper@{sha256_of(weights)[:12]}")
    else:
        ids.append("whisper:none")
    return "; ".join(ids)


class Batch:
    """Analyses recordings into one folder, one after another. Owned by one thread.

    Args:
        out: Folder of the results; made when it is not there.
        open_session: Opens a session on a file, run as fast as possible.
        config: Hash of the settings, and
        models: ids of the models: a result made with others is made again.
        clock: Tells how long things take; only for ``Outcome.elapsed_s``.
        overwrite: Do finished recordings again.
    """

    def __init__(
        self,
        out: Path,
        open_session: OpenSession,
        *,
        config: str,
        models: str,
        clock: Clock,
        overwrite: bool = False,
    ) -> None:
        self._out = out
        self._open_session = open_session
        self._config = config
        self._models = models
        self._clock = clock
        self._overwrite = overwrite
        self._claimed: set[str] = set()
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f"{out}: cannot be made: {error.strerror}") from error
        self._summary = read_summary(out / "summary.csv")

    def run(self, path: Path, progress: Progress | None = None) -> Outcome:
        """Analyse one recording; a bad one is an outcome, not an exception.

        Args:
            path: The recording.
            progress: Called with the session and each estimate, in the caller's thread.

        Raises:
            BatchStoppedError: ``progress`` raised it; nothing is written.
        """
        try:
            digest = sha256_of(path)
            name = self._name_for(path, digest)
            if not self._overwrite and self._is_finished(name, digest):
                return Outcome(path, "skipped", record=self._summary[name])
            started_s = self._clock.now_s()
            record = self._analyse(path, name, digest, progress)
            return Outcome(path, "done", "", record, self._clock.now_s() - started_s)
        except BatchStoppedError:
            raise
        except RealtimeERError as error:
            return Outcome(path, "failed", " ".join(str(error).split()))
        except OSError as error:
            return Outcome(path, "failed", f"{path}: {error.strerror or error}")

    def _name_for(self, path: Path, digest: str) -> str:
        """The stem, unless another recording has it: then with the beginning of its hash."""
        for name, row in self._summary.items():
            if row["file"] == path.as_posix() and name not in self._claimed:
                self._claimed.add(name)
                return name
        name, count = path.stem, 1
        while name in self._claimed or self._belongs_to_another(name, digest):
            name = f"{path.stem}-{digest[:8]}" + (f"-{count}" if count > 1 else "")
            count += 1
        self._claimed.add(name)
        return name

    def _belongs_to_another(self, name: str, digest: str) -> bool:
        taken = self._summary.get(name)
        # "summary" would be written over by the summary itself.
        return name == "summary" or (taken is not None and taken["sha256"] != digest)

    def _files(self, name: str) -> list[Path]:
        return [self._out / f"{name}{suffix}" for suffix in (".csv", ".parquet", ".png")]

    def _is_finished(self, name: str, digest: str) -> bool:
        row = self._summary.get(name)
        if row is None or not all(file.is_file() for file in self._files(name)):
            return False
        made_with = (row["sha256"], row["config"], row["models"])
        return made_with == (digest, self._config, self._models)

    def _analyse(
        self, path: Path, name: str, digest: str, progress: Progress | None
    ) -> dict[str, str]:
        estimates: list[Estimate] = []
        with self._open_session(path) as session:
            for estimate in session.estimates():
                estimates.append(estimate)
                if progress is not None:
                    progress(session, estimate)
            finals = tuple(session.finals)
            whole = session.whole()
        rows = rows_of(estimates, finals)
        table, parquet, picture = self._files(name)
        _replace(table, lambda part: write_csv(rows, part))
        _replace(parquet, lambda part: write_parquet(rows, part))
        _replace(picture, lambda part: save_timeline(estimates, finals, part, path.name))
        duration_s = estimates[-1].time_s if estimates else 0.0
        record = {
            "name": name,
            "file": path.as_posix(),
            "duration_s": duration_s,
            "sha256": digest,
            "config": self._config,
            "models": self._models,
        }
        cells = {column: _cell(({**whole, **record}).get(column)) for column in SUMMARY_COLUMNS}
        self._summary[name] = cells
        _replace(self._out / "summary.csv", self._write_summary)
        return cells

    def _write_summary(self, path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, SUMMARY_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._summary[name] for name in sorted(self._summary))


def read_summary(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a ``summary.csv`` by name; empty when there is none, or of other columns."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != SUMMARY_COLUMNS:
            raise SourceError(f"{path}: not a summary of this program; give another --out")
        return {row["name"]: row for row in reader}


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    part = path.with_name(f".{path.name}.part")
    write(part)
    os.replace(part, path)  # noqa: PTH105 - says what happens to an existing file
