"""A run's samples as a picture: memory, handles and threads, score age, what waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.soak.watch import read_rows

_GREY = "#666666"
_POINTS = 120
"""A line has at most so many; each is the largest of the minutes that it stands for."""


def plot(folder: Path, picture: Path) -> None:
    """Draw what has been sampled so far into a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = read_rows(folder)
    last_s = rows[-1]["time_s"]
    unit_s, unit = (3600.0, "hours") if last_s > 2 * 3600 else (60.0, "minutes")
    group = -(-len(rows) // _POINTS)
    starts = range(0, len(rows), group)
    times = np.array([rows[k]["time_s"] for k in starts]) / unit_s

    def most(values: list[float]) -> list[float]:
        """Of each group of rows the largest."""
        return [max(values[k : k + group]) for k in starts]

    figure, axes = pyplot.subplots(2, 2, figsize=(9, 4.6), dpi=72, sharex=True)
    memory, held, age, waiting = axes.flat

    def line(axis: Any, name: str, label: str) -> None:
        axis.plot(times, most([row[name] for row in rows]), lw=1, label=label)

    line(memory, "rss_mb", "resident")
    if all("held" in row["memory_mb"] for row in rows):
        held_mb = most([row["memory_mb"]["held"] for row in rows])
        memory.plot(
            times, held_mb, lw=1, label="of it held by the program in the C library's heaps"
        )
    memory.set_title("memory, MB", fontsize=9)
    line(held, "handles", "open handles")
    line(held, "system_threads", "threads")
    held.set_title("handles and threads", fontsize=9)
    for name, label in (("age_p50_s", "median"), ("age_p95_s", "p95"), ("age_max_s", "most")):
        line(age, name, label)
    age.set_title("score age of each minute, s", fontsize=9)
    for name in rows[0]["waiting"]:
        values = [row["waiting"][name] / (16000 if "microphone" in name else 1) for row in rows]
        shown = f"{name}, s" if "microphone" in name else name
        if max(values) > 0:
            waiting.plot(times, most(values), lw=1, label=shown)
    waiting.set_title("what waits (mailboxes that were ever seen with anything)", fontsize=9)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_ylim(0, 1.15 * axis.get_ylim()[1])
    for axis in axes.flat:
        axis.legend(fontsize=7, frameon=False)
    for axis in axes[1]:
        axis.set_xlabel(unit, fontsize=8, color=_GREY)
    figure.tight_layout()
    figure.savefig(picture)
    pyplot.close(figure)
