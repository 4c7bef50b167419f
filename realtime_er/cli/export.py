"""``realtime-er export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import notice
from realtime_er.errors import ConfigError

if TYPE_CHECKING:
    from realtime_er.recording.reader import RecordedSession


def export(
    session: Annotated[Path, typer.Argument(metavar="SESSION", help="Folder of the recording.")],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="csv, parquet, eaf, vtt, srt, xdf or report; may be given several times.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where the files go [SESSION/export]."),
    ] = None,
    import_eaf: Annotated[
        Path | None,
        typer.Option(
            "--import-eaf",
            metavar="FILE",
            help="Bring annotations that were corrected in ELAN back into the session.",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Write a recorded session for other programs, or bring annotations back from ELAN."""
    from realtime_er.recording.reader import RecordedSession

    if not to and import_eaf is None:
        raise ConfigError("say what to write with --to csv|parquet|eaf|vtt|srt|xdf|report")
    with RecordedSession.open(session) as recorded:
        if import_eaf is not None:
            _import(recorded, import_eaf)
        _export(recorded, to or [], out or session / "export")


def _import(session: RecordedSession, path: Path) -> None:
    from realtime_er.recording.export.eaf_import import import_eaf

    done = import_eaf(session, path)
    for line in done.skipped:
        notice(f"note: left out: {line}")
    for database in done.databases:
        typer.echo(f"written: {database}")
    if not done.databases:
        typer.echo(f"{path}: nothing in it is new")


def _export(session: RecordedSession, formats: list[str], out: Path) -> None:
    from realtime_er.recording.export.formats import FORMATS, export_session

    unknown = [name for name in formats if name not in FORMATS]
    if unknown:  # before anything is written
        raise ConfigError(f"--to {unknown[0]}: choose from {', '.join(FORMATS)}")
    for name in formats:
        for path in export_session(session, name, out):
            typer.echo(str(path))
