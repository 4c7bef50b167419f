"""The bench's figures as tables for people and as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.bench.run import Results
from realtime_er.bench.tables import Row, Section
from realtime_er.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def write_json(results: Results, path: Path) -> None:
    """All figures in one file, moved into place when it is whole.

    Raises:
        ConfigError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(results.to_record(), indent=1) + "\n", encoding="utf-8")
        os.replace(part, path)  # noqa: PTH105 - says what happens to an existing file
    except OSError as error:
        raise ConfigError(f"--json {path}: cannot be written: {error.strerror}") from error


def print_results(results: Results, console: Console) -> None:
    """The machine, a table for each part, and the goals."""
    from rich.text import Text

    for line in machine_lines(results):
        console.print(Text(line), soft_wrap=True)
    for note in results.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    for section in results.sections:
        console.print()
        console.print(_table(section))
    console.print()
    console.print(_goals(results))


def machine_lines(results: Results) -> list[str]:
    """What it was measured on."""
    machine = results.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    load = machine["load_before"]
    state = "" if load is None else f"; load before {load:g}"
    nice = f", niceness {machine['niceness']}" if machine["niceness"] else ""
    return [
        f"{machine['cpu']}, {machine['cores']} cores ({machine['threads']} usable), "
        f"{machine['memory_gb']:g} GB, {machine['os']}, {machine['python']}{state}{nice}",
        packages,
        f"bundle {results.bundle}",
    ]


def value_text(row: Row) -> str:
    """A figure with its unit and as many digits as it deserves."""
    if row.value is None:
        return "-"
    return f"{_digits(row.value)} {row.unit}"


def _digits(value: float) -> str:
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _table(section: Section) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(section.title), title_justify="left", box=None, pad_edge=False)
    with_spread = any(row.spread is not None for row in section.rows)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    if with_spread:
        table.add_column("lowest to highest", no_wrap=True)
    table.add_column("", overflow="fold")
    for row in section.rows:
        spread = "" if row.spread is None else " to ".join(_digits(v) for v in row.spread)
        cells = [Text(row.what), Text(value_text(row)), *([Text(spread)] if with_spread else [])]
        table.add_row(*cells, Text(row.note, "dim"))
    return table


def _goals(results: Results) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text("Goals"), title_justify="left", box=None, pad_edge=False)
    for name in ("", "goal", "measured", ""):
        table.add_column(name, no_wrap=True, justify="right" if name else "left")
    words = {
        None: Text("not measured", "dim"),
        True: Text("met", "green"),
        False: Text("not met", "bold red"),
    }
    for verdict in results.verdicts:
        goal = verdict.goal
        limit = f"{'<=' if goal.at_most else '>='} {goal.limit:g} {goal.unit}"
        measured = "-" if verdict.value is None else f"{_digits(verdict.value)} {goal.unit}"
        table.add_row(Text(goal.what), limit, measured, words[verdict.met])
    return table
