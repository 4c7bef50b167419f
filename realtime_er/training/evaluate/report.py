"""What an evaluation says: rows with intervals, as Markdown and as JSON, with the machine named."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import Card
from realtime_er.training.metrics import Metric, bootstrap_interval

SEED = 1
RESAMPLES = 1000


@dataclass(frozen=True)
class Goal:
    """What a figure should be: at least, or at most, ``bound``."""

    bound: float
    at_least: bool = True

    def met_by(self, value: float) -> bool:
        """Whether a value reaches it."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        """As it stands in a table."""
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        on: what it was measured on.
        measure: what was measured, with its unit when it has one.
        value: the figure; NaN where there is none.
        interval_95: bootstrap interval, or None.
        n: how many items.
        unit: what the interval draws again ("faces", "speakers").
        goal: what it should be, if anything was asked for.
        met: whether it is; None without a goal.
        note: anything else.
    """

    on: str
    measure: str
    value: float
    interval_95: tuple[float, float] | None = None
    n: int = 0
    unit: str = ""
    goal: str = ""
    met: bool | None = None
    note: str = ""


@dataclass
class Report:
    """One model's figures.

    Attributes:
        name: "face" and so on.
        split: as it was asked for.
        model: the card's id.
        sha256: of the model's file.
        rows: the figures.
        notes: sentences below the table.
        pictures: files written beside the report.
        machine: what it ran on.
        seed: of everything random.
    """

    name: str
    split: str
    model: str
    sha256: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=lambda: machine())
    seed: int = SEED

    @classmethod
    def of(cls, name: str, split: str, card: Card) -> Report:
        """An empty report on a model."""
        return cls(name, split, card.id, card.sha256)

    def add(
        self,
        on: str,
        measure: str,
        value: float,
        *,
        n: int = 0,
        goal: Goal | None = None,
        interval: tuple[float, float] | None = None,
        unit: str = "",
        note: str = "",
    ) -> None:
        """Adds a figure; says whether it reaches its goal."""
        met = None if goal is None else bool(goal.met_by(value))
        shown = "" if goal is None else str(goal)
        self.rows.append(Row(on, measure, float(value), interval, n, unit, shown, met, note))

    def measure(
        self,
        on: str,
        name: str,
        metric: Metric,
        truth: npt.NDArray[Any],
        prediction: npt.NDArray[Any],
        *,
        unit: str,
        groups: npt.NDArray[Any] | None = None,
        goal: Goal | None = None,
        note: str = "",
    ) -> None:
        """Adds a metric with its bootstrap interval; nothing when there is no row."""
        if len(truth) == 0:
            return
        low_high = None
        if groups is None or len(np.unique(groups)) > 1:
            low_high = bootstrap_interval(
                metric, truth, prediction, RESAMPLES, self.seed, groups=groups
            )
        else:
            note = f"{note}; " if note else ""
            note += f"one of the {unit} only, no interval"
        self.add(
            on, name, metric(truth, prediction), n=len(truth), goal=goal, interval=low_high,
            unit=unit, note=note,
        )  # fmt: skip

    def markdown(self) -> str:
        """The report as Markdown."""
        lines = [f"## {self.name} ({self.split})", ""]
        if not self.rows:
            return "\n".join([*lines, *(f"- {note}" for note in self.notes)]) + "\n"
        lines += [
            f"Model `{self.model}` (sha256 {self.sha256[:12]}), seed {self.seed}; "
            f"{self.machine['cpu']}, {self.machine['cores']} cores, {self.machine['system']}.",
            "",
            "| on | measure | value | 95 % interval | n | goal | met |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            interval = "" if row.interval_95 is None else _interval(row)
            met = {None: "", True: "yes", False: "**no**"}[row.met]
            count = str(row.n) if row.n else ""
            lines.append(
                f"| {row.on} | {row.measure} | {_shown(row.value)} | {interval} | {count} "
                f"| {row.goal} | {met} |"
            )
        notes = [f"{row.on}, {row.measure}: {row.note}." for row in self.rows if row.note]
        for note in self.notes + notes:
            lines += ["", f"- {note}"] if lines[-1].startswith("|") else [f"- {note}"]
        return "\n".join(lines) + "\n"

    def to_record(self) -> dict[str, Any]:
        """The report as plain values; NaN is null."""
        record = asdict(self)
        for row in record["rows"]:
            if not np.isfinite(row["value"]):
                row["value"] = None
        return record

    def write(self, folder: Path) -> None:
        """Writes ``NAME-SPLIT.md`` and ``.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{self.name}-{self.split}"
        (folder / f"{stem}.md").write_text(self.markdown(), encoding="utf-8")
        text = json.dumps(self.to_record(), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8")


def _shown(value: float) -> str:
    if not np.isfinite(value):
        return "-"
    if 0 < abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def _interval(row: Row) -> str:
    low, high = row.interval_95 or (np.nan, np.nan)
    unit = f" ({row.unit})" if row.unit else ""
    return f"{_shown(low)} to {_shown(high)}{unit}"


def machine() -> dict[str, Any]:
    """The processor's model, its cores, the system and the versions that decide a result."""
    import onnxruntime

    return {
        "cpu": _cpu_model(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _cpu_model(path: Path) -> str:
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "processor unknown"


def mean_of(_: npt.NDArray[Any], values: npt.NDArray[Any]) -> float:
    """The mean of the second argument, as a metric: for figures that are averages already."""
    return float(np.mean(values))


def median_of(_: npt.NDArray[Any], values: npt.NDArray[Any]) -> float:
    """The median of the second argument, as a metric."""
    return float(np.median(values))


def recall_of(label: int) -> Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]:
    """The recall of one class as a metric; 0 when a resample has no row of it."""

    def recall(truth: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float:
        rows = truth == label
        return float(np.mean(prediction[rows] == label)) if rows.any() else 0.0

    return recall


def add_recalls(
    report: Report,
    on: str,
    names: Sequence[str],
    truth: npt.NDArray[np.int64],
    prediction: npt.NDArray[np.int64],
    *,
    unit: str,
) -> None:
    """One row per class that occurs: its recall. The interval draws again within the class."""
    for index, name in enumerate(names):
        rows = truth == index
        if rows.any():
            report.measure(
                on, f"recall {name}", recall_of(index), truth[rows], prediction[rows], unit=unit
            )
