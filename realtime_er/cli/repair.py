"""``realtime-er repair``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import FAILED


def repair(
    session: Annotated[Path, typer.Argument(metavar="SESSION", help="Folder of the recording.")],
    debug: options.Debug = False,
) -> None:
    """Make a recording whole again that was cut off or damaged; a whole one stays as it is."""
    from realtime_er.recording.repair import repair as mend

    report = mend(session)
    for line in report.done:
        typer.echo(f"  {line}")
    typer.echo(report.line())
    if not report.verification.ok:
        raise typer.Exit(FAILED)
