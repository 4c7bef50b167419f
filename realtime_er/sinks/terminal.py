"""The terminal dashboard: seven scores, what each modality contributed, words, states, health.

``render`` is a pure function of a snapshot; ``Dashboard`` pulls one a few times a second in rich's
own refresh thread, so that the pipeline never waits for the terminal. Made for 80 x 24 characters;
wider terminals get longer bars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from realtime_er.ladder import reduced_quality
from realtime_er.messages import (
    LABELS,
    MODALITIES,
    PRESENT,
    Absence,
    Estimate,
    Health,
    RecordingStatus,
    Snapshot,
)
from realtime_er.palette import COLOURS

REFRESH_HZ = 8.0
HISTORY_S = 30.0
MIN_WIDTH = 60

_SPARKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"
_TRANSCRIPT_LINES = 3
_LOW_DISK_S = 300.0
_BROKEN = (Absence.UNAVAILABLE, Absence.LOST, Absence.BUSY, Absence.FROZEN, Absence.BEHIND)
_FULL_CONTRIBUTION = 0.5  # a contribution of this size fills its half of the bar


class Watched(Protocol):
    """What a display needs of a session."""

    def snapshot(self) -> Snapshot:
        """Everything to show, read at once. Any thread."""
        ...


def leading(estimate: Estimate | None) -> str | None:
    """The label with the highest score, also while the estimate abstains; None without scores."""
    if estimate is None or bool(np.isnan(estimate.probabilities).all()):
        return None
    return estimate.label or LABELS[int(np.nanargmax(estimate.probabilities))]


def bar(value: float, width: int) -> str:
    """``value`` in [0, 1] as a bar of exactly ``width`` characters, in eighths of a character."""
    eighths = 0 if math.isnan(value) else round(min(max(value, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width)


def sparkline(history: Sequence[Estimate], label_index: int, now_s: float, width: int) -> str:
    """One label's last ``HISTORY_S`` seconds in ``width`` characters; blank where there is none."""
    sums, counts = np.zeros(width), np.zeros(width)
    for estimate in history:
        value = float(estimate.probabilities[label_index])
        column = width - 1 - int((now_s - estimate.time_s) / HISTORY_S * width)
        if 0 <= column < width and not math.isnan(value):
            sums[column] += value
            counts[column] += 1
    return "".join(
        _SPARKS[min(int(total / count * len(_SPARKS)), len(_SPARKS) - 1)] if count else " "
        for total, count in zip(sums, counts, strict=True)
    )


def render(snapshot: Snapshot, width: int = 80) -> RenderableType:
    """The whole dashboard, ``width`` characters wide and at most 24 lines high. Any thread."""
    width = max(width, MIN_WIDTH)
    estimate = snapshot.estimate
    return Group(
        _headline(snapshot, width),
        Panel(_scores(snapshot, width - 4), title="scores", border_style="dim", width=width),
        Panel(
            _modalities(snapshot, width - 4),
            title=f"contributions to {leading(estimate) or 'the score'}",
            border_style="dim",
            width=width,
        ),
        Panel(_transcript(snapshot, width - 4), title="words", border_style="dim", width=width),
        _health(snapshot.health, width),
        _notice(snapshot, width),
    )


def _one_line(text: Text, width: int) -> Text:
    text.no_wrap = True
    text.truncate(width, overflow="ellipsis")
    return text


def _headline(snapshot: Snapshot, width: int) -> Text:
    estimate, lead = snapshot.estimate, leading(snapshot.estimate)
    text = Text(" ")
    if estimate is None:
        text.append("starting ...", "dim")
    elif lead is None:
        text.append("nothing to read: no face, no voice, no words", "dim")
    elif estimate.label is None:
        text.append("not sure", "bold")
        text.append(f"  (most like {lead}, {_percent(estimate.confidence)})", "dim")
    else:
        text.append("reads as ")
        text.append(lead, f"bold {COLOURS[lead]}")
        text.append(f" {_percent(estimate.confidence)}", "bold")
    clock = f"{snapshot.now_s:7.1f} s "
    text.append(" " * max(1, width - text.cell_len - len(clock)))
    text.append(clock, "dim")
    return _one_line(text, width)


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _scores(snapshot: Snapshot, width: int) -> Text:
    estimate = snapshot.estimate
    spark_width = max(12, (width - 20) // 3)
    bar_width = width - 10 - 7 - spark_width - 2
    text = Text(no_wrap=True)
    for index, label in enumerate(LABELS):
        value = math.nan if estimate is None else float(estimate.probabilities[index])
        is_label = estimate is not None and estimate.label == label
        text.append(f"{label:<10}", f"bold {COLOURS[label]}" if is_label else "")
        text.append(bar(value, bar_width), COLOURS[label])
        shown = "  -" if math.isnan(value) else _percent(value)
        text.append(f"{shown:>7}  ", "bold" if is_label else "")
        spark = sparkline(snapshot.history, index, snapshot.now_s, spark_width)
        text.append(spark, COLOURS[label])
        if index + 1 < len(LABELS):
            text.append("\n")
    return text


def _modalities(snapshot: Snapshot, width: int) -> Text:
    estimate, lead = snapshot.estimate, leading(snapshot.estimate)
    half = max(8, (width - 36) // 2)
    text = Text(no_wrap=True)
    for position, modality in enumerate(MODALITIES):
        absence = snapshot.states.get(modality, Absence.WAITING)
        text.append(f"{modality:<6}")
        if absence is None:
            text.append("● ", "green")
            text.append(f"{PRESENT[modality]:<19}", "green")
        else:
            style = "bold red" if absence in _BROKEN else "yellow"
            text.append("○ ", style)
            text.append(f"{absence!s:<19}", style)
        value = math.nan
        if estimate is not None and lead is not None and modality in estimate.contributions:
            value = float(estimate.contributions[modality][LABELS.index(lead)])
            if modality in estimate.absent and abs(value) < 0.005:
                value = math.nan  # what it said has faded: not a contribution of zero
        text.append_text(_diverging(value, half, COLOURS[lead] if lead else "dim"))
        text.append("" if math.isnan(value) else f"{value:+7.2f}", "bold")
        if position + 1 < len(MODALITIES):
            text.append("\n")
    return text


def _diverging(value: float, half: int, colour: str) -> Text:
    length = 0
    if not math.isnan(value):
        length = round(min(abs(value) / _FULL_CONTRIBUTION, 1.0) * half)
        if length == 0 and abs(value) >= 0.005:  # a figure of 0.01 must not look like nothing
            length = 1
    left, right = ("█" * length, "") if value < 0 else ("", "█" * length)
    return Text.assemble(
        (left.rjust(half), "dim " + colour), ("│", "dim"), (right.ljust(half), colour)
    )


def _transcript(snapshot: Snapshot, width: int) -> Text:
    words: list[tuple[str, str]] = []
    for final in snapshot.finals:
        words += [(word, "") for word in final.text.split()]
    current = snapshot.current
    if current is not None and not current.is_final:
        committed = current.committed.split()
        words += [(word, "bold") for word in committed]
        words += [(word, "dim italic") for word in current.text.split()[len(committed) :]]
    lines: list[Text] = [Text()]
    for word, style in words:
        if lines[-1].cell_len and lines[-1].cell_len + 1 + len(word) > width:
            lines.append(Text())
        lines[-1].append((" " if lines[-1].cell_len else "") + word, style)
    if not words:
        lines = [Text("nothing said yet", "dim")]
    shown = [_one_line(line, width) for line in lines[-_TRANSCRIPT_LINES:]]
    shown += [Text()] * (_TRANSCRIPT_LINES - len(shown))
    return Text("\n").join(shown)


def _health(health: Health, width: int) -> Text:
    def age(value_s: float | None) -> str:
        return "-" if value_s is None else f"{1000 * value_s:.0f} ms"

    dropped = health.dropped_frames + health.dropped_samples
    text = Text(" ")
    text.append(f"age {age(health.score_age_s)} (p95 {age(health.score_age_p95_s)})")
    text.append(f"  {health.estimates_hz:.0f}/s  {health.video_fps:.0f} fps")
    text.append(f"  {health.encoded_faces_hz:.0f} faces/s  mic {health.level_dbfs:.0f} dB")
    text.append(
        f"  drops {health.dropped_frames}+{health.dropped_samples}",
        "bold red" if dropped else "dim",
    )
    return _one_line(text, width)


def recording_warning(recording: RecordingStatus | None) -> str:
    """What is to be said of a recording in one line; empty while it goes well."""
    if recording is None:
        return ""
    if recording.failure:
        return f"recording {recording.folder}: {recording.failure}"
    if recording.left_s is not None and recording.left_s < _LOW_DISK_S:
        minutes, seconds = divmod(int(recording.left_s), 60)
        return f"recording {recording.folder}: the disk has room for {minutes}:{seconds:02d} more"
    return ""


def _notice(snapshot: Snapshot, width: int) -> Text:
    warning = recording_warning(snapshot.recording)
    if warning:
        return _one_line(Text(f" {warning}", "bold red"), width)
    reduced = reduced_quality(snapshot.events)
    if reduced:
        return _one_line(Text(f" this computer is too slow: {reduced}", "yellow"), width)
    if snapshot.notices:
        return _one_line(Text(f" {snapshot.notices[-1]}", "yellow"), width)
    return _one_line(Text(" how it reads, not what anybody feels; Ctrl-C ends", "dim"), width)


class Dashboard:
    """Shows a session on a terminal while the context is open; main thread enters and leaves it.

    Nothing is drawn when ``console`` is not a terminal.
    """

    def __init__(self, session: Watched, console: Console) -> None:
        self._session = session
        self._console = console
        self._live: Live | None = None

    def _draw(self) -> RenderableType:
        return render(self._session.snapshot(), self._console.width)

    def __enter__(self) -> Dashboard:
        if self._console.is_terminal:
            self._live = Live(
                console=self._console,
                screen=True,
                refresh_per_second=REFRESH_HZ,
                get_renderable=self._draw,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
