"""Reads a recorded session; nothing in its folder is changed.

with RecordedSession.open("sessions/2026-11-21") as session:
    estimates = session.estimates()      # a pandas frame
    print(estimates.groupby("label").size())
"""

from __future__ import annotations

import importlib.util
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from realtime_er.consent import Consent
from realtime_er.errors import ClosedError, RealtimeERError, RecordingError
from realtime_er.recording import columns
from realtime_er.recording.columns import Table
from realtime_er.recording.database import open_database
from realtime_er.recording.manifest import DATABASE, Manifest, read_manifest
from realtime_er.recording.marks import (
    Mark,
    count_standing,
    database_path,
    last_shown_s,
    open_annotations,
    raters,
    standing,
)

Cells = tuple[Any, ...]

_BATCH_ROWS = 65_536
# What a cell may be in SQLite; a REAL column of a hand-made file may hold anything.
_STORED = {
    "float64": (float, int),
    "float32": (float, int),
    "int64": (int,),
    "bool": (int,),
    "string": (str,),
    "blob": (bytes,),
}


class RecordedSession:
    """A session's folder, read-only. One thread at a time.

    Two clocks: columns named ``time_s``, ``start_s`` and ``end_s`` count from the recording's start
    and fit ``media.mkv``; those named ``session_*`` are the pipeline's own times. The difference is
    ``start_s`` of this object.
    """

    def __init__(self, path: Path, manifest: Manifest, connection: sqlite3.Connection) -> None:
        """Use ``open``."""
        self.path = path
        self.manifest = manifest
        self._connection: sqlite3.Connection | None = connection

    @property
    def start_s(self) -> float:
        """Session time of the recording's start; time stamp zero of the media."""
        return self.manifest.start_s

    @classmethod
    def open(cls, path: Path | str) -> RecordedSession:
        """Open a recorded session.

        Args:
            path: Its folder.

        Raises:
            RecordingError: it is none, it is damaged, or it is of a newer version.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        return cls(folder, manifest, open_database(manifest.database_path(folder)))

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open database, for queries of your own."""
        if self._connection is None:
            raise ClosedError(f"{self.path}: the recorded session is closed")
        return self._connection

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.resolve().name

    @property
    def consent(self) -> Consent | None:
        """Of the person who was recorded; None when none was recorded.

        Raises:
            RecordingError: it is damaged.
        """
        return self.manifest.given_consent()

    @property
    def media_path(self) -> Path | None:
        """The media file, None when only numbers were recorded."""
        path = self.manifest.media_path(self.path)
        return path if path is not None and path.is_file() else None

    @cached_property
    def span_s(self) -> tuple[float, float]:
        """Session times of the recording's start and of its end."""
        if self.manifest.end_s is not None:
            return self.start_s, max(self.start_s, self.manifest.end_s)
        ends = [
            self._one("SELECT max(time_s) FROM estimates"),
            self._one("SELECT max(time_s) FROM frames"),
            self._one("SELECT max(start_s + n_samples / 16000.0) FROM sound"),
        ]
        return self.start_s, max((end for end in ends if end is not None), default=self.start_s)

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return self.span_s[1] - self.span_s[0]

    @cached_property
    def gap_s(self) -> float:
        """Time in which at least one stream had no data; what overlaps counts once."""
        total_s, until_s = 0.0, -math.inf
        for _, start_s, end_s, *_ in self.rows("gaps"):
            total_s += max(0.0, end_s - max(start_s, until_s))
            until_s = max(until_s, end_s)
        return total_s

    @property
    def raters(self) -> tuple[str, ...]:
        """Who annotated it."""
        return raters(self.path)

    def counts(self) -> dict[str, int]:
        """Rows of each table, annotations without those that were taken back."""
        found = {
            name: int(self._one(f"SELECT count(*) {table.source}") or 0)
            for name, table in columns.TABLES.items()
            if table.source
        }
        found["annotations"] = 0
        for rater in self.raters:
            path = database_path(self.path, rater)
            with closing(open_annotations(path)) as connection:
                found["annotations"] += count_standing(connection, str(path))
        return found

    def transcript(self) -> list[str]:
        """Text of all final transcripts, in order of time."""
        return [row[2] for row in self.rows("transcript")]

    # --- frames ------------------------------------------------------------------------------

    def frame(self, name: str) -> Any:  # noqa: ANN401 - pandas is optional
        """A table of ``columns.TABLES`` as a pandas DataFrame; NULL is NaN or None.

        Raises:
            RealtimeERError: pandas is not installed.
            RecordingError: the session is damaged.
        """
        if importlib.util.find_spec("pandas") is None:
            raise RealtimeERError(
                "tables as frames need pandas; install it with: pip install 'realtime_er[export]'"
            )
        import pandas as pd

        table = columns.TABLES[name]
        parts = [
            pd.DataFrame(
                {
                    column.name: _array(column.type, values)
                    for column, values in zip(table.columns, cells, strict=True)
                }
            )
            for cells in self.cells(name)
        ]
        whole = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        numbers = {c.name: "Int64" for c in table.columns if c.type == "int64"}
        return whole.astype(numbers)

    def estimates(self) -> Any:  # noqa: ANN401
        """One row per estimate: scores, label, contributions, states, ages."""
        return self.frame("estimates")

    def embeddings(self) -> Any:  # noqa: ANN401
        """What the encoders made; ``vector`` holds float32 arrays."""
        return self.frame("embeddings")

    def hypotheses(self) -> Any:  # noqa: ANN401
        """All transcripts, partial and final."""
        return self.frame("hypotheses")

    def words(self) -> Any:  # noqa: ANN401
        """Words of the final transcripts."""
        return self.frame("words")

    def events(self) -> Any:  # noqa: ANN401
        """Device lost or back, target selected, muted, and the like."""
        return self.frame("events")

    def gaps(self) -> Any:  # noqa: ANN401
        """Known spans without data."""
        return self.frame("gaps")

    def health(self) -> Any:  # noqa: ANN401
        """How the program was doing, once a second."""
        return self.frame("health")

    def annotations(self) -> Any:  # noqa: ANN401
        """Marks that stand, of all raters."""
        return self.frame("annotations")

    # --- rows --------------------------------------------------------------------------------

    def rows(self, name: str) -> Iterator[Cells]:
        """Rows of a table of ``columns.TABLES``, read as they are asked for.

        Raises:
            RecordingError: the session is damaged.
        """
        table = columns.TABLES[name]
        if name == columns.ANNOTATIONS.name:
            return self._annotation_rows()
        return self._checked_rows(table)

    def cells(self, name: str) -> Iterator[list[Cells]]:
        """The table column by column, some ten thousand rows at a time; at least one batch."""
        rows = self.rows(name)
        n_columns = len(columns.TABLES[name].columns)
        part = list(islice(rows, _BATCH_ROWS))
        yield list(zip(*part, strict=True)) if part else [()] * n_columns
        while part := list(islice(rows, _BATCH_ROWS)):
            yield list(zip(*part, strict=True))

    def marks(self, rater: str) -> Iterator[Mark]:
        """Marks of one rater that stand, in order of time, in session seconds."""
        path = database_path(self.path, rater)
        with closing(open_annotations(path)) as connection:
            yield from standing(connection, str(path))

    def intervals(self, rater: str) -> Iterator[tuple[Mark, float]]:
        """Each mark and its end: one that was left open ends at the last time the rater saw."""
        path = database_path(self.path, rater)
        with closing(open_annotations(path)) as connection:
            newest_s = last_shown_s(connection, str(path))
            for mark in standing(connection, str(path)):
                end_s = mark.end_s
                if end_s is None:
                    end_s = mark.start_s if newest_s is None else newest_s - mark.reaction_s
                yield mark, max(mark.start_s, end_s)

    def _annotation_rows(self) -> Iterator[Cells]:
        def since(time_s: float | None) -> float | None:
            return None if time_s is None else round(time_s - self.start_s, 6)

        for rater in self.raters:
            for mark in self.marks(rater):
                yield (
                    rater,
                    mark.tier,
                    mark.label,
                    mark.kind,
                    since(mark.start_s),
                    since(mark.end_s),
                    since(mark.shown_start_s),
                    since(mark.shown_end_s),
                    mark.frame_index,
                    mark.reaction_s,
                    mark.text,
                    mark.made_at,
                    mark.start_s,
                    mark.end_s,
                )

    def _checked_rows(self, table: Table) -> Iterator[Cells]:
        where = f"{self.path / DATABASE}: table {table.name}"
        allowed = [(*_STORED[column.type], type(None)) for column in table.columns]
        has_blobs = any(column.type == "blob" for column in table.columns)
        good: set[tuple[type, ...]] = set()
        try:
            for row in self.connection.execute(table.select, {"start_s": self.start_s}):
                types = tuple(map(type, row))
                if has_blobs or types not in good:
                    for value, column, kinds in zip(row, table.columns, allowed, strict=True):
                        odd = isinstance(value, bytes) and len(value) % 4
                        if odd or not isinstance(value, kinds):
                            raise RecordingError(
                                f"{where}: {column.name} holds {value!r:.60} where a "
                                f"{column.type} belongs; it was not written by this program"
                            )
                    good.add(types)
                yield row
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise RecordingError(
                f"{where} cannot be read ({error}); try: realtime-er repair {self.path}"
            ) from error

    def _one(self, statement: str) -> float | None:
        where = self.path / DATABASE
        try:
            value = self.connection.execute(statement).fetchone()[0]
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise RecordingError(
                f"{where}: cannot be read ({error}); try: realtime-er repair {self.path}"
            ) from error
        if value is not None and not isinstance(value, float | int):
            raise RecordingError(f"{where}: holds {value!r:.60} where a number belongs")
        return value


def _array(kind: str, values: Any) -> Any:  # noqa: ANN401 - numpy arrays of any type
    if kind in ("float64", "float32"):
        with np.errstate(over="ignore"):  # what does not fit into a float32 is infinite
            return np.array([np.nan if value is None else value for value in values], kind)
    if kind == "int64" and None not in values:
        return np.array(values, np.int64)
    if kind == "bool":
        return np.array([bool(value) for value in values], np.bool_)
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        array[index] = np.frombuffer(value, "<f4") if kind == "blob" else value
    return array
