"""Tables in the publication's layout: our figure, and beside it the published one in brackets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Value:
    """One figure in percent.

    Attributes:
        here: mean over seeds; None where nothing was or could be measured.
        published: what the publication gives; None where it gives nothing.
        spread: standard deviation over seeds; None for one seed.
        interval_95: of the first seed, over speakers or dialogues.
        n: clips it was measured on.
    """

    here: float | None = None
    published: float | None = None
    spread: float | None = None
    interval_95: tuple[float, float] | None = None
    n: int = 0

    @classmethod
    def of(
        cls,
        shares: Sequence[float],
        published: float | None = None,
        *,
        interval_95: tuple[float, float] | None = None,
        n: int = 0,
    ) -> Value:
        """From shares of 1, one for each seed; NaN counts as not measured."""
        known = [100.0 * share for share in shares if math.isfinite(share)]
        if not known:
            return cls(None, published)
        spread = float(np.std(known, ddof=1)) if len(known) > 1 else None
        ends = None if interval_95 is None else (100 * interval_95[0], 100 * interval_95[1])
        return cls(float(np.mean(known)), published, spread, ends, n)

    def told(self) -> str:
        """Our figure as it stands in a table."""
        if self.here is None:
            return "-"
        return f"{self.here:.1f}" + ("" if self.spread is None else f" ± {self.spread:.1f}")


Cell = tuple[Value, ...]
"""What stands in one place: one value, or several with "/" between."""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: above it.
        corner: heading of the first column.
        columns: headings of the others.
        rows: name and cells.
        notes: sentences below it.
    """

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: list[tuple[str, list[Cell]]]
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """The table; bold is measured here, in brackets is published."""
        lines = [
            f"### {self.title}",
            "",
            f"| {' | '.join((self.corner, *self.columns))} |",
            "|" + "---|" * (1 + len(self.columns)),
        ]
        lines += [f"| {name} | {' | '.join(map(_told, cells))} |" for name, cells in self.rows]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def to_record(self) -> dict[str, Any]:
        """The table as plain values."""
        return {
            "title": self.title,
            "columns": list(self.columns),
            "rows": [
                {
                    "name": name,
                    "cells": [[_record(value) for value in cell] for cell in cells],
                }
                for name, cells in self.rows
            ],
            "notes": self.notes,
        }


def _told(cell: Cell) -> str:
    here = " / ".join(value.told() for value in cell)
    measured = any(value.here is not None for value in cell)
    known = any(value.published is not None for value in cell)
    published = " / ".join(
        "-" if value.published is None else f"{value.published:.1f}" for value in cell
    )
    if measured:
        return f"**{here}**" + (f" ({published})" if known else "")
    return f"({published})" if known else "-"


def _record(value: Value) -> dict[str, Any]:
    def short(number: float | None) -> float | None:
        return None if number is None else round(number, 2)

    ends = value.interval_95
    return {
        "here": short(value.here),
        "published": value.published,
        "spread": short(value.spread),
        "interval_95": None if ends is None else [round(end, 2) for end in ends],
        "n": value.n,
    }


def mean_value(values: Sequence[Value], published: float | None = None) -> Value:
    """The mean of our figures, where there are any."""
    known = [value.here for value in values if value.here is not None]
    return Value(float(np.mean(known)) if known else None, published)
