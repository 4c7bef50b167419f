"""``realtime-er purge``."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import FAILED, notice
from realtime_er.errors import ConfigError, RecordingError

if TYPE_CHECKING:
    from realtime_er.recording.purge import Candidate


def purge(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of recorded sessions, or one session.")
    ] = Path("recordings"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    debug: options.Debug = False,
) -> None:
    """Delete recorded sessions whose date has passed.

    A session without consent on record has no date and is kept; so is what the program did not write.
    """
    from realtime_er.recording.purge import candidates

    now = datetime.now().astimezone()
    found = candidates(folder, now.date(), now)
    for candidate in found:
        if candidate.problem:
            notice(f"note: {candidate.path}: kept: {candidate.kept}")
        else:
            typer.echo(_line(candidate))
        for foreign in () if candidate.kept else candidate.foreign:
            typer.echo(f"  stays, the program did not write it: {foreign}")
    doomed = [candidate for candidate in found if not candidate.kept]
    size = sum(candidate.n_bytes for candidate in doomed) / 1e6
    if not doomed:
        typer.echo(f"{folder}: nothing is past its date")
        return
    what = f"{len(doomed)} session{'s' if len(doomed) > 1 else ''}, {size:,.1f} MB"
    if dry_run:
        typer.echo(f"would be deleted: {what}")
        return
    if not yes and not _agreed(what):
        typer.echo("nothing was deleted")
        return
    _delete(doomed)


def _line(candidate: Candidate) -> str:
    if candidate.kept or candidate.consent is None:
        return f"{candidate.path}: kept: {candidate.kept}"
    return f"{candidate.path}: past its date: {candidate.consent.line()}"


def _agreed(what: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(f"{what} to delete, and nobody is here to ask: give --yes, or --dry-run")
    try:
        return input(f"Delete {what}, for good (y/n)? ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _delete(doomed: list[Candidate]) -> None:
    from realtime_er.recording.purge import delete

    failed = False
    for candidate in doomed:
        try:
            delete(candidate)
        except RecordingError as error:
            notice(f"error: {error}")
            failed = True
        else:
            typer.echo(f"deleted: {candidate.path}")
    if failed:
        raise typer.Exit(FAILED)
