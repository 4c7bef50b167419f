"""``realtime-er sessions``."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.consent import NO_CONSENT

if TYPE_CHECKING:
    from realtime_er.recording.listing import SessionEntry

_WIDE = 100
"""A terminal of at least so many columns has room for the whole date and the raters."""


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
    wide = console.width >= _WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("session", overflow="fold")
    table.add_column("started (UTC)" if wide else "date", no_wrap=True)
    for name in ("length", "faces", "words", "gaps"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("reads as", no_wrap=True)
    table.add_column("marks", justify="right", overflow="fold")
    table.add_column("state", no_wrap=True)
    for entry in entries:
        table.add_row(*(Text(cell) for cell in _cells(entry, wide=wide)))
    console.print(table)
    today = datetime.now().astimezone().date()
    for entry in entries:
        for line in _remarks(entry, today):
            console.print(f"{entry.name}: {line}", soft_wrap=True, markup=False)


def _cells(entry: SessionEntry, *, wide: bool) -> tuple[str, ...]:
    """What the table says of a session; only where it is ``wide``, the whole date and the raters."""
    if not entry.readable:
        return (entry.name, *["-"] * 7, "error")
    minutes, seconds = divmod(round(entry.duration_s), 60)
    label, share = max(entry.shares.items(), key=lambda item: item[1], default=(None, None))
    by = f" ({', '.join(entry.raters)})" if wide and entry.raters else ""
    return (
        entry.name,
        _date(entry.started_at, wide=wide),
        f"{minutes}:{seconds:02d}",
        str(entry.faces),
        f"{entry.words:,}",
        str(entry.gaps),
        "-" if share is None else f"{label or 'not sure'} {100 * share:.0f}%",
        f"{entry.marks}{by}",
        _state(entry),
    )


def _date(started_at: str, *, wide: bool) -> str:
    try:
        return datetime.fromisoformat(started_at).strftime("%Y-%m-%d %H:%M" if wide else "%d %b")
    except ValueError:
        return "-"  # nobody knows any more


def _state(entry: SessionEntry) -> str:
    if not entry.complete:
        return "cut off"
    return {True: "verified", False: "differs", None: "unchecked"}[entry.verified]


def _remarks(entry: SessionEntry, today: date) -> list[str]:
    remarks = [entry.problem] if entry.problem else []
    if entry.consent is not None:
        past = entry.consent.past(today)
        hint = f"; delete it with: realtime-er purge {entry.path}" if past else ""
        remarks.append(f"{entry.consent.line()}{hint}")
    elif entry.readable:
        remarks.append(NO_CONSENT)
    if entry.gaps:
        gaps = "one gap" if entry.gaps == 1 else f"{entry.gaps} gaps"
        remarks.append(f"{entry.gap_s:.1f} s without data in {gaps}")
    if entry.readable and not entry.complete:
        remarks.append(
            f"still being recorded, or cut off; if so, try: realtime-er repair {entry.path}"
        )
    return remarks
