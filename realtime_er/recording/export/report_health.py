"""How devices and program did, for the report: devices, gaps, events, ages, once a second."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from realtime_er.recording.columns import HEALTH
from realtime_er.recording.export.drawing import clock, sparkline
from realtime_er.recording.export.html_parts import (
    NOTHING,
    Cell,
    figure,
    quantity,
    seconds,
    table,
)
from realtime_er.recording.export.overview import Estimates, FloatArray
from realtime_er.recording.reader import RecordedSession

_MOST_ROWS = 300
_SHOWN = (
    ("score_age_p95_s", "score age, 95th percentile (s)"),
    ("video_fps", "pictures per second"),
    ("estimates_hz", "estimates per second"),
    ("encoded_faces_hz", "faces read per second"),
    ("dropped_frames", "pictures dropped so far"),
    ("dropped_samples", "samples dropped so far"),
)


def age_quantile(estimates: Estimates, share: float) -> float:
    """A quantile of the scores' ages, NaN when they are not known."""
    known = estimates.ages_s[~np.isnan(estimates.ages_s)]
    return float(np.quantile(known, share)) if len(known) else float("nan")


def health(session: RecordedSession, estimates: Estimates) -> Iterator[str]:
    """The chapter about devices, gaps and timing."""
    yield '<h2>Devices, gaps and timing</h2><div class="two"><section><h3>Devices</h3>'
    yield _devices(session)
    gaps: list[tuple[Cell, ...]] = [
        (Cell(stream), Cell(clock(start_s), "n"), Cell(seconds(end_s - start_s), "n"), Cell(reason))
        for stream, start_s, end_s, reason, *_ in session.rows("gaps")
    ]
    yield "<h3>Gaps</h3>"
    yield _some(("no data from", ">at", ">for", "because"), gaps)
    events: list[tuple[Cell, ...]] = [
        (Cell(clock(time_s), "n"), Cell(kind), Cell(detail))
        for time_s, kind, detail, _ in session.rows("events")
    ]
    yield "<h3>Events</h3>"
    yield _some((">at", "what", ""), events)
    yield "</section><section><h3>How old the scores were when they were shown</h3>"
    if np.isnan(age_quantile(estimates, 0.5)):
        yield "<p>Not known: this session did not run live.</p>"
    else:
        ages = [seconds(age_quantile(estimates, share)) for share in (0.5, 0.95, 1.0)]
        yield table((">median", ">95th percentile", ">oldest"), [[Cell(x, "n") for x in ages]])
    yield "<h3>Once a second</h3>"
    yield _once_a_second(session)
    yield "</section></div>"


def _devices(session: RecordedSession) -> str:
    rows: list[tuple[Cell, ...]] = []
    for stream, said in session.manifest.devices.items():
        for what, values in said.items():
            shown = values if isinstance(values, dict) else {"": values}
            text = ", ".join(f"{name} {value}".strip() for name, value in shown.items())
            rows.append((Cell(stream), Cell(str(what)), Cell(text)))
    return _some(("stream", "", ""), rows)


def _some(header: tuple[str, ...], rows: list[tuple[Cell, ...]]) -> str:
    return table(header, rows[:_MOST_ROWS], len(rows)) if rows else NOTHING


def _once_a_second(session: RecordedSession) -> str:
    parts = [np.array(cells, np.float64) for cells in session.cells("health")]
    joined: FloatArray = np.concatenate(parts, axis=1)
    if not joined.shape[1]:
        return NOTHING
    of_name = dict(zip(HEALTH.names, joined, strict=True))
    rows = []
    for name, title in _SHOWN:
        values = of_name[name]
        chart = sparkline(of_name["time_s"], values, session.duration_s, title)
        median, largest = figure(np.median, values), figure(np.max, values)
        rows.append(
            (
                Cell(title),
                Cell(chart, safe=True),
                Cell(quantity(median), "n"),
                Cell(quantity(largest), "n"),
            )
        )
    return table(("", "over time", ">median", ">largest"), rows)
