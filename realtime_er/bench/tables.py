"""What a part of the bench hands back: rows of figures, for a table and for JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        key: its name in the JSON and for a goal, unique in its section.
        what: the same for people.
        value: None where there is nothing to measure; ``note`` says why.
        unit: "s", "ms", "cores", "x", ...
        spread: lowest and highest of the repeats, where it is a median.
        note: what a reader has to know.
    """

    key: str
    what: str
    value: float | None
    unit: str
    spread: tuple[float, float] | None = None
    note: str = ""

    def to_record(self) -> dict[str, Any]:
        """Plain values; no figure is NaN."""
        value = None if self.value is None or not math.isfinite(self.value) else self.value
        record: dict[str, Any] = {"what": self.what, "value": value, "unit": self.unit}
        if self.spread is not None:
            record["spread"] = list(self.spread)
        if self.note:
            record["note"] = self.note
        return record


@dataclass(frozen=True, slots=True)
class Section:
    """One table."""

    key: str
    title: str
    rows: tuple[Row, ...]

    def row(self, key: str) -> Row | None:
        """The row of this name; None when it was not measured."""
        return next((row for row in self.rows if row.key == key), None)

    def to_record(self) -> dict[str, Any]:
        """Plain values."""
        return {"title": self.title, "rows": {row.key: row.to_record() for row in self.rows}}


def absent(key: str, what: str, unit: str, why: str) -> Row:
    """A row for what cannot be measured here."""
    return Row(key, what, None, unit, note=why)


def median_row(key: str, what: str, values: Sequence[float], unit: str, note: str = "") -> Row:
    """The median of repeats, with its spread.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError(f"no measurement of {what}")
    spread = (float(min(values)), float(max(values)))
    return Row(key, what, float(np.median(values)), unit, spread, note)


def quantile_rows(key: str, what: str, values_s: Sequence[float], note: str = "") -> list[Row]:
    """p50, p95 and p99 of durations, in milliseconds."""
    if not values_s:
        return [absent(f"{key}_p95", f"{what}, p95", "ms", "there was none")]
    return [
        Row(
            f"{key}_p{share}",
            f"{what}, p{share}",
            1e3 * float(np.quantile(values_s, share / 100)),
            "ms",
            note=note if share == 50 else "",
        )
        for share in (50, 95, 99)
    ]


def alternate(
    runs: dict[str, Callable[[], float]], repeats: int, *, warm: bool = True
) -> dict[str, list[float]]:
    """Run A, B, A, B, ...: what else the machine does then falls on all alike.

    Args:
        runs: name to a function that returns what it measured.
        repeats: how often each.
        warm: run each once before, not counted.

    Returns:
        Name to measurements, in order.
    """
    measured: dict[str, list[float]] = {name: [] for name in runs}
    if warm:
        for run in runs.values():
            run()
    for _ in range(repeats):
        for name, run in runs.items():
            measured[name].append(run())
    return measured


def ratios(first: Iterable[float], second: Iterable[float]) -> list[float]:
    """How many times as much the first is as the second, round by round."""
    return [a / max(b, 1e-9) for a, b in zip(first, second, strict=True)]
