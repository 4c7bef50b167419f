"""CSV for people and Parquet for programs: the same tables with the same columns.

``columns.py`` defines them; a file ``columns.csv`` beside the tables says what each one means.
Estimates have the columns of ``analyze`` in the same order, save the transcript so far, which would
grow with the square of the session's length: it has a table of its own.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from realtime_er.recording import columns
from realtime_er.recording.export.files import whole_file
from realtime_er.recording.reader import RecordedSession

EXPORTED = ("estimates", "transcript", "words", "annotations", "events", "gaps", "health", "faces")

_BOOLS = ("false", "true")


def export_csv(session: RecordedSession, folder: Path) -> list[Path]:
    """Write one CSV file per table: UTF-8, comma, header row, LF line ends, empty for missing.

    Times have microseconds or, on the session clock, every digit; scores six decimals.

    Raises:
        RecordingError: the session is damaged, or a file cannot be written.
    """
    paths = []
    for name in EXPORTED:
        formats = [_format(column) for column in columns.TABLES[name].columns]
        rows = (
            [
                "" if cell is None else to_text(cell)
                for cell, to_text in zip(row, formats, strict=True)
            ]
            for row in session.rows(name)
        )
        paths.append(_write_csv(folder / f"{name}.csv", columns.TABLES[name].names, rows))
    return [*paths, _describe(folder)]


def export_parquet(session: RecordedSession, folder: Path) -> list[Path]:
    """Write one Parquet file per table; what a column means stands in its metadata.

    Raises:
        RecordingError: the session is damaged, or a file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"float64": pa.float64(), "float32": pa.float32(), "int64": pa.int64(),
             "bool": pa.bool_(), "string": pa.string(), "blob": pa.binary()}  # fmt: skip
    consent = {} if session.consent is None else {"consent": session.consent.line()}
    paths = []
    for name in EXPORTED:
        table = columns.TABLES[name]
        fields = [
            pa.field(column.name, kinds[column.type], metadata={"meaning": column.meaning})
            for column in table.columns
        ]
        schema = pa.schema(fields, metadata={"meaning": table.meaning, **consent})
        path = folder / f"{name}.parquet"
        with (
            whole_file(path) as part,
            # Fixed options: the defaults have changed between versions of pyarrow.
            pq.ParquetWriter(
                part, schema, compression="snappy", version="2.6", data_page_version="1.0"
            ) as writer,
        ):
            for cells in session.cells(name):
                arrays = [
                    pa.array([None if v is None else bool(v) for v in values], pa.bool_())
                    if field.type == pa.bool_()
                    else pa.array(values, field.type)
                    for field, values in zip(fields, cells, strict=True)
                ]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
        paths.append(path)
    return [*paths, _describe(folder)]


def _format(column: columns.Column) -> Any:  # noqa: ANN401 - a function of any cell
    if column.type == "float32":
        return "{:.6f}".format
    if column.type == "bool":
        return lambda cell: _BOOLS[bool(cell)]
    return repr if column.type == "float64" else str


def _describe(folder: Path) -> Path:
    rows = (
        (name, column.name, column.type, column.meaning)
        for name in EXPORTED
        for column in columns.TABLES[name].columns
    )
    return _write_csv(folder / "columns.csv", ("table", "column", "type", "meaning"), rows)


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> Path:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return path
