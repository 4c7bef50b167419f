"""Looks at a session once a minute, writes down what it sees as it goes, and judges at the end."""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import numpy as np

from realtime_er.bench.machine import rss_mb
from realtime_er.messages import SAMPLE_RATE_HZ, Estimate
from realtime_er.recompute import check
from realtime_er.session import Session
from tests.soak.material import BEEP, LOUD

SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"

MOST_SLOPE_MB_H = 1.0
MOST_AV_ERROR_S = 0.020
MOST_AGE_DRIFT_S = 0.02
"""Between the medians of p95, first and last quarter."""


def open_handles() -> int:
    """Handles of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def system_threads() -> int:
    """Threads of this process, those of libraries included."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def memory_parts() -> dict[str, float]:
    """Of what the resident memory is made, MB; what this system does not tell is not there.

    ``anonymous`` and ``file`` as the kernel counts them. Of the C library's heaps: what programs hold
    (``held``), in blocks of their own (``mapped``), and what was given back to it and kept (``kept``).
    """
    told: dict[str, float] = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("RssAnon", "RssFile"):
            told[{"RssAnon": "anonymous", "RssFile": "file"}[name]] = int(rest.split()[0]) / 1024
    look = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if look is not None:
        look.restype = _Mallinfo2
        found = look()
        told |= {
            "held": found.uordblks / 2**20,
            "mapped": found.hblkhd / 2**20,
            "kept": found.fordblks / 2**20,
        }
    return {name: round(value, 2) for name, value in told.items()}


class Watch:
    """Takes every estimate of a session; one row every ``every_s`` of its time."""

    def __init__(
        self,
        session: Session,
        folder: Path,
        *,
        every_s: float = 60.0,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._session = session
        self._path = folder / SAMPLES
        self._path.write_text("")
        self._every_s = every_s
        self._next_s = every_s
        self._ages_s: list[float] = []
        self._absent: dict[str, int] = {}
        self._began_s = perf_counter()
        self._say = say

    def see(self, estimate: Estimate) -> None:
        """Take the next estimate."""
        if estimate.timing.age_s is not None:
            self._ages_s.append(estimate.timing.age_s)
        for modality, why in estimate.absent.items():
            key = f"{modality}: {why}"
            self._absent[key] = self._absent.get(key, 0) + 1
        if estimate.time_s >= self._next_s:
            self._next_s += self._every_s
            self._look(estimate.time_s)

    def _look(self, time_s: float) -> None:
        edges = self._session.edges()
        ages_s = np.array(self._ages_s or [np.nan])
        row = {
            "time_s": round(time_s, 1),
            "wall_s": round(perf_counter() - self._began_s, 1),
            "rss_mb": round(rss_mb(), 2),
            "memory_mb": memory_parts(),
            "handles": open_handles(),
            "threads": threading.active_count(),
            "system_threads": system_threads(),
            "age_p50_s": round(float(np.quantile(ages_s, 0.5)), 4),
            "age_p95_s": round(float(np.quantile(ages_s, 0.95)), 4),
            "age_max_s": round(float(ages_s.max()), 4),
            "estimates": len(self._ages_s),
            "waiting": {edge.name: edge.in_flight for edge in edges},
            "high_water": {edge.name: edge.high_water for edge in edges},
            "dropped": {edge.name: edge.dropped for edge in edges if edge.dropped},
            "unbalanced": [edge.name for edge in edges if not edge.balanced],
            "absent": self._absent,
            "finals": len(self._session.finals),
        }
        self._ages_s, self._absent = [], {}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._say(
            f"{time_s / 60:7.1f} min, wall {row['wall_s'] / 60:5.1f} min, {row['rss_mb']} MB, "
            f"{row['handles']} handles, {row['system_threads']} threads, "
            f"age p95 {row['age_p95_s']} s, {row['finals']} finals"
        )


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """What a run has written so far."""
    return [json.loads(line) for line in (folder / SAMPLES).read_text().splitlines()]


# --- afterwards -----------------------------------------------------------------------------------


def trend(rows: list[dict[str, Any]], warm_up_s: float) -> dict[str, Any]:
    """Growth and drift after the warm-up; empty when too little came after it."""
    rest = [row for row in rows if row["time_s"] > warm_up_s]
    if len(rest) < 4:
        return {}
    hours = np.array([row["time_s"] for row in rest]) / 3600
    quarter = max(1, len(rest) // 4)

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in rest], float)

    def moved(name: str) -> float:
        """Median of the last quarter less that of the first: faults come and go between."""
        values = column(name)
        return float(np.median(values[-quarter:]) - np.median(values[:quarter]))

    p95 = column("age_p95_s")
    return {
        "from_s": rest[0]["time_s"],
        "to_s": rest[-1]["time_s"],
        "rss_slope_mb_h": round(float(np.polyfit(hours, column("rss_mb"), 1)[0]), 3),
        "rss_first_mb": rest[0]["rss_mb"],
        "rss_last_mb": rest[-1]["rss_mb"],
        "rss_most_mb": float(column("rss_mb").max()),
        "handles_growth": moved("handles"),
        "threads_growth": moved("threads"),
        "system_threads_growth": moved("system_threads"),
        "age_p50_s": round(float(np.median(column("age_p50_s"))), 4),
        "age_p95_s": round(float(np.median(p95)), 4),
        "age_most_s": float(column("age_max_s").max()),
        "age_p95_drift_s": round(moved("age_p95_s"), 4),
        "most_waiting": {
            name: max(row["high_water"].get(name, 0) for row in rows)
            for name in rows[-1]["high_water"]
        },
    }


def av_errors(media: Path, troubled: Callable[[float], bool] = lambda _time_s: False) -> np.ndarray:
    """Seconds from each recorded flash to its beep, by the file's own time stamps.

    Not of those at a ``troubled`` time: a device that hands pictures or sound over late, or with times
    of the past, moves them by just that.
    """
    lights, was_light = [], False
    with av.open(str(media)) as container:
        for frame in container.decode(video=0):
            is_light = bool(frame.to_ndarray(format="gray").mean() > 245)
            if is_light and not was_light:
                lights.append(float(frame.pts * frame.time_base))
            was_light = is_light
    beeps: list[float] = []
    threshold = 0.5 * (LOUD + BEEP) * 32768
    with av.open(str(media)) as container:
        for packet in container.demux(audio=0):
            loud = np.flatnonzero(
                np.abs(np.frombuffer(bytes(packet), "<i2").astype(int)) > threshold
            )
            if len(loud) and packet.pts is not None:
                time_s = float(packet.pts * packet.time_base) + loud[0] / SAMPLE_RATE_HZ
                if not beeps or time_s - beeps[-1] > 1.0:
                    beeps.append(time_s)
    # A fault may have taken either of a pair.
    found = np.array(beeps)
    return np.array(
        [
            found[np.abs(found - light).argmin()] - light
            for light in lights
            if len(found) and np.abs(found - light).min() < 0.5 and not troubled(light)
        ]
    )


def accounts(session: Session) -> dict[str, Any]:
    """What the accounts of a closed session say, and how its recording was read back."""
    accounting = session.accounting()
    told: dict[str, Any] = {
        "balanced": accounting.balanced,
        "unaccounted": sum(abs(edge.unaccounted) for edge in accounting.edges),
        "accounting": accounting.to_record(),
        "lines": accounting.lines(),
        "finals": len(session.finals),
        "gaps": len(session.gaps),
    }
    for report in session.recordings():
        told["recording"] = {"ok": report.ok, "lost": report.lost, "line": report.line()}
    return told


def replayed(folder: Path) -> dict[str, Any]:
    """Whether the recorded evidence gives the recorded estimates again."""
    compared = check(folder)
    return {"equal": compared.equal, "line": compared.line()}


def verdicts(summary: dict[str, Any]) -> dict[str, bool]:
    """What the goals say of a run; a goal that could not be measured is not there."""
    told: dict[str, bool] = {}
    found, after = summary.get("trend"), summary.get("after")
    if found:
        told["memory slope < 1 MB/h"] = found["rss_slope_mb_h"] < MOST_SLOPE_MB_H
        told["no handles more"] = found["handles_growth"] <= 0
        told["no threads more"] = max(found["threads_growth"], found["system_threads_growth"]) <= 0
        told["no drift of score age"] = found["age_p95_drift_s"] < MOST_AGE_DRIFT_S
    if after:
        told["everything accounted for"] = after["balanced"] and after["unaccounted"] == 0
        if "recording" in after:
            told["recording whole"] = after["recording"]["ok"] and not after["recording"]["lost"]
    if "replay" in summary:
        told["replay equal"] = summary["replay"]["equal"]
    if summary.get("av_error_s"):
        told["A/V error <= 20 ms"] = summary["av_error_s"]["most"] <= MOST_AV_ERROR_S
    return told


def errors_told(errors_s: np.ndarray) -> dict[str, float] | None:
    """Of A/V errors: how many, the largest, and where they begin and end."""
    if not len(errors_s):
        return None
    tenth = max(1, len(errors_s) // 10)
    return {
        "n": len(errors_s),
        "most": round(float(np.abs(errors_s).max()), 5),
        "p95": round(float(np.quantile(np.abs(errors_s), 0.95)), 5),
        "first_tenth": round(float(errors_s[:tenth].mean()), 5),
        "last_tenth": round(float(errors_s[-tenth:].mean()), 5),
    }


def write_summary(folder: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """Add the verdicts and keep it; returns it."""
    summary["verdicts"] = verdicts(summary)
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1))
    return summary
