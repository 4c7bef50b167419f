"""Which formats there are, and the one function that writes any of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from realtime_er.errors import ConfigError, RecordingError
from realtime_er.recording.export.elan import export_eaf
from realtime_er.recording.export.report import export_report
from realtime_er.recording.export.subtitles import export_srt, export_vtt
from realtime_er.recording.export.tables import export_csv, export_parquet
from realtime_er.recording.export.xdf import export_xdf
from realtime_er.recording.reader import RecordedSession

FORMATS: dict[str, Callable[[RecordedSession, Path], list[Path]]] = {
    "csv": export_csv,
    "parquet": export_parquet,
    "eaf": export_eaf,
    "vtt": export_vtt,
    "srt": export_srt,
    "xdf": export_xdf,
    "report": export_report,
}
"""Name -> what writes it into a folder and returns the files."""


def export_session(session: RecordedSession, to: str, out: Path) -> list[Path]:
    """Write a recorded session in another format; files of an earlier export are replaced.

    Args:
        session: Stays as it is.
        to: One of ``FORMATS``.
        out: Folder, made when it is not there.

    Returns:
        The files, in ``out``.

    Raises:
        ConfigError: there is no such format.
        RecordingError: the session is damaged, or a file cannot be written.
    """
    if to not in FORMATS:
        raise ConfigError(f"format {to!r}: there is none; choose one of {', '.join(FORMATS)}")
    try:
        return FORMATS[to](session, out)
    except (OverflowError, ValueError) as error:
        raise RecordingError(
            f"{session.path}: holds a number that {to} has no place for ({error}); "
            f"try: realtime-er repair {session.path}"
        ) from error
    except sqlite3.DatabaseError as error:
        raise RecordingError(
            f"{session.path}: cannot be read ({error}); try: realtime-er repair {session.path}"
        ) from error
