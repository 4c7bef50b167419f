"""``realtime-er sessions``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options

if TYPE_CHECKING:
    from realtime_er.recording.listing import SessionEntry


def sessions(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of recorded sessions.")
    ] = Path("recordings"),
    debug: options.Debug = False,
) -> None:
    """List recorded sessions."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from realtime_er.recording.listing import list_sessions

    entries = list_sessions(folder)
    if not entries:
        typer.echo(f"{folder}: no recorded sessions; make one with: realtime-er live --record DIR")
        return
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("session", overflow="fold")
    table.add_column("started", min_width=10)
    for name in ("length", "faces", "words", "gaps"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("reads as", no_wrap=True)
    table.add_column("marks", justify="right", overflow="fold")
    table.add_column("state", min_width=8)
    for entry in entries:
        table.add_row(*(Text(cell) for cell in _cells(entry)))
    console.print(table)
    for entry in entries:
        for line in _remarks(entry):
            console.print(f"{entry.name}: {line}", soft_wrap=True, markup=False)


def _cells(entry: SessionEntry) -> tuple[str, ...]:
    minutes, seconds = divmod(round(entry.duration_s), 60)
    label, share = max(entry.shares.items(), key=lambda item: item[1], default=(None, None))
    by = f" ({', '.join(entry.raters)})" if entry.raters else ""
    return (
        entry.name,
        entry.started_at[:16].replace("T", " "),
        f"{minutes}:{seconds:02d}",
        str(entry.faces),
        f"{entry.words:,}",
        str(entry.gaps),
        "-" if share is None else f"{label or 'not sure'} {100 * share:.0f} %",
        f"{entry.marks}{by}",
        _state(entry),
    )


def _state(entry: SessionEntry) -> str:
    if not entry.complete:
        return "damaged" if entry.problem else "cut off"
    return {True: "verified", False: "not as written", None: "not verified"}[entry.verified]


def _remarks(entry: SessionEntry) -> list[str]:
    remarks = [entry.problem] if entry.problem else []
    if entry.gaps:
        gaps = "one gap" if entry.gaps == 1 else f"{entry.gaps} gaps"
        remarks.append(f"{entry.gap_s:.1f} s without data in {gaps}")
    if not entry.complete and not entry.problem:
        remarks.append(f"the recording was cut off; try: realtime-er repair {entry.path}")
    return remarks
