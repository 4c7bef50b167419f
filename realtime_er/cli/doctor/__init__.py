"""``realtime-er doctor``: is everything here that the program needs, and if not, what to do.

finding.py   one line of the report        machine.py   system, memory, disk, clock, GPU
packages.py  what is installed             trouble.py   versions with known trouble
devices.py   cameras, sound, window        models.py    models, their hashes, words
report.py    what a bug report needs
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.doctor.finding import Finding
from realtime_er.cli.guard import FAILED, notice

if TYPE_CHECKING:
    from realtime_er.config import Config

_STYLES = {"ok": "green", "note": "yellow", "broken": "bold red"}


def doctor(
    config: options.ConfigName = None,
    settings: options.Settings = None,
    bundle_report: Annotated[
        Path | None,
        typer.Option(
            "--bundle-report",
            metavar="FILE",
            help="Write what a bug report needs there, as JSON: no pictures, no sound, no words.",
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Check installation, models, devices, disk and clock.

    Exit code 1 when something is broken that everything needs.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    settled = options.configure(config, settings, "live")
    findings = list(examine(settled))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        state = Text(finding.state, _STYLES[finding.state])
        table.add_row(finding.what, state, Text(finding.detail))
        if finding.fix:
            table.add_row("", "", Text(f"-> {finding.fix}"))
    Console(highlight=False).print(table)
    if bundle_report is not None:
        from realtime_er.cli.doctor.report import write_report

        write_report(bundle_report, findings, settled)
        typer.echo(f"\n{bundle_report}: read it before you send it; it is plain text")
    broken = [finding.what for finding in findings if finding.state == "broken"]
    if broken:
        notice(f"error: broken: {', '.join(broken)}; what to do stands in the table above")
        raise typer.Exit(FAILED)


def examine(config: Config) -> Iterator[Finding]:
    """All findings, in the order of the data flow."""
    from realtime_er.cli.doctor import machine, packages, trouble

    yield from machine.system()
    missing = False
    for finding in packages.imports():
        missing = missing or finding.state == "broken"
        yield finding
    yield from packages.requirements()
    yield from trouble.known()
    if missing:
        return  # the checks below need them
    from realtime_er.cli.doctor import devices, models

    yield from models.examine(config)
    yield from devices.cameras()
    yield from devices.sound()
    yield devices.window()
    yield from machine.graphics()
    yield from machine.folders()
    yield from machine.clock()
