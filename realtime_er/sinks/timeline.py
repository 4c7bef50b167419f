"""A recording in one picture: scores, who contributed what, who was there, and the words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from realtime_er.messages import LABELS, MODALITIES, Absence, Estimate, Hypothesis
from realtime_er.palette import COLOURS, MODALITY_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]

_SIZE_IN, _DPI = (16.0, 9.0), 100
_INK, _FAINT, _ABSENT = "#333333", "#999999", "#eeeeee"
_LETTERS = 185  # of the words' font across the picture
_ROWS = 4
_FONT: dict[str, Any] = {"fontsize": 11, "color": _INK}


def save_timeline(
    estimates: Sequence[Estimate],
    finals: Sequence[Hypothesis],
    path: Path,
    title: str = "",
) -> None:
    """Draw the timeline as a PNG of 1600 x 900 pixels; any thread, no pyplot state.

    Where nothing could be read there is a gap in the traces, never a line across.

    Args:
        estimates: In the order of their times; may be empty.
        finals: Final hypotheses, for the words along the bottom.
        path: File to write; the same input gives the same bytes.
        title: Above the picture.

    Raises:
        OSError: ``path`` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_IN, dpi=_DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(
        4, 1, sharex=True, gridspec_kw={"height_ratios": [5, 2, 1.3, 1.3], "hspace": 0.12}
    )
    figure.subplots_adjust(left=0.07, right=0.92, top=0.92, bottom=0.07)
    axes[0].set_title(title or "timeline", loc="left", fontsize=15, color=_INK)
    times_s = np.array([estimate.time_s for estimate in estimates], np.float64)
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.1
    end_s = float(times_s[-1]) if len(times_s) else 1.0
    for area in axes:
        area.set_xlim(0.0, end_s)
        area.tick_params(colors=_INK, labelsize=10)
        for side in ("top", "right"):
            area.spines[side].set_visible(False)
    _draw_scores(axes[0], estimates, times_s, step_s)
    _draw_contributions(axes[1], estimates, times_s, step_s)
    _draw_presence(axes[2], estimates, times_s, step_s, end_s)
    _draw_words(axes[3], finals, end_s)
    axes[3].set_xlabel("seconds", **_FONT)
    # Without "Software" the bytes do not name a version. Packed less hard than usual: a tenth larger,
    # in half the time.
    canvas.print_figure(
        path,
        dpi=_DPI,
        format="png",
        metadata={"Software": None},
        pil_kwargs={"compress_level": 3},
    )


def with_gaps(
    times_s: FloatArray, values: FloatArray, step_s: float
) -> tuple[FloatArray, FloatArray]:
    """Put NaN where estimates are missing, so that no line is drawn across.

    Args:
        times_s: float64 (n,), increasing.
        values: float64 (n,) or (n, k).
        step_s: Usual distance; more than one and a half of it is a gap.
    """
    holes = np.flatnonzero(np.diff(times_s) > 1.5 * step_s) + 1
    return (
        np.insert(times_s, holes, times_s[holes - 1] + step_s if len(holes) else 0.0),
        np.insert(values, holes, np.nan, axis=0),
    )


def _draw_scores(
    area: Axes, estimates: Sequence[Estimate], times_s: FloatArray, step_s: float
) -> None:
    area.set_ylim(0.0, 1.0)
    area.set_ylabel("score", **_FONT)
    area.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    if not estimates:
        area.text(0.5, 0.5, "no estimates", transform=area.transAxes, ha="center", **_FONT)
        return
    scores = np.stack([estimate.probabilities for estimate in estimates]).astype(np.float64)
    plot_times_s, plot_scores = with_gaps(times_s, scores, step_s)
    ends = []
    for index, label in enumerate(LABELS):
        area.plot(plot_times_s, plot_scores[:, index], color=COLOURS[label], linewidth=2.0)
        known = np.flatnonzero(~np.isnan(scores[:, index]))
        if len(known):
            ends.append((float(scores[known[-1], index]), label))
    for height, label in _spread(ends, 0.052):
        area.text(
            1.008,
            height,
            label,
            transform=area.get_yaxis_transform(),
            va="center",
            fontsize=12,
            fontweight="bold",
            color=COLOURS[label],
        )


def _spread(ends: list[tuple[float, str]], least: float) -> list[tuple[float, str]]:
    """Move label heights apart to at least ``least``, keeping their order, inside [0, 1]."""
    placed: list[tuple[float, str]] = []
    low = 0.0
    for count, (height, label) in enumerate(sorted(ends)):
        high = 1.0 - (len(ends) - 1 - count) * least
        height = min(max(height, low), high)
        placed.append((height, label))
        low = height + least
    return placed


def _lead(estimate: Estimate) -> int | None:
    if estimate.label is not None:
        return LABELS.index(estimate.label)
    if bool(np.isnan(estimate.probabilities).all()):
        return None
    return int(np.nanargmax(estimate.probabilities))


def _draw_contributions(
    area: Axes, estimates: Sequence[Estimate], times_s: FloatArray, step_s: float
) -> None:
    area.axhline(0.0, color=_FAINT, linewidth=0.8)
    area.set_ylabel("contribution\nto leading score", **_FONT)
    largest = 0.1
    heights = []
    for position, modality in enumerate(MODALITIES):
        values = np.full(len(estimates), np.nan)
        for index, estimate in enumerate(estimates):
            lead, vector = _lead(estimate), estimate.contributions.get(modality)
            if lead is not None and vector is not None and modality not in estimate.absent:
                values[index] = vector[lead]
        if not np.isnan(values).all():
            largest = max(largest, float(np.nanmax(np.abs(values))))
        gap_times_s, gap_values = with_gaps(times_s, values, step_s)
        colour = MODALITY_COLOURS[modality]
        area.plot(gap_times_s, gap_values, color=colour, linewidth=1.8)
        area.fill_between(gap_times_s, 0.0, gap_values, color=colour, alpha=0.18, linewidth=0)
        heights.append((0.8 - 0.3 * position, modality))
    area.set_ylim(-1.1 * largest, 1.1 * largest)
    for height, modality in heights:
        area.text(
            1.008,
            height,
            modality,
            transform=area.transAxes,
            va="center",
            fontsize=12,
            fontweight="bold",
            color=MODALITY_COLOURS[modality],
        )


def _draw_presence(
    area: Axes, estimates: Sequence[Estimate], times_s: FloatArray, step_s: float, end_s: float
) -> None:
    area.set_ylim(len(MODALITIES), 0)
    area.set_yticks([0.5, 1.5, 2.5], MODALITIES)
    area.tick_params(axis="y", length=0)
    area.spines["left"].set_visible(False)
    for row, modality in enumerate(MODALITIES):
        for first_s, last_s, absence in _runs(estimates, modality, times_s, step_s):
            colour = MODALITY_COLOURS[modality] if absence is None else _ABSENT
            area.barh(row + 0.5, last_s - first_s, left=first_s, height=0.78, color=colour)
            reason = "" if absence is None else str(absence)
            # About 0.55 em a letter at this size; what does not fit would cover its neighbours.
            if len(reason) * 0.0048 * end_s < last_s - first_s:
                middle_s = (first_s + last_s) / 2
                area.text(middle_s, row + 0.5, reason, ha="center", va="center", fontsize=9,
                          color="#555555", clip_on=True)  # fmt: skip


def _runs(
    estimates: Sequence[Estimate], modality: str, times_s: FloatArray, step_s: float
) -> list[tuple[float, float, Absence | None]]:
    """(start, end, reason or None) of each span in which the modality's state stays the same."""
    runs: list[tuple[float, float, Absence | None]] = []
    for estimate, time_s in zip(estimates, times_s.tolist(), strict=True):
        state = estimate.absent.get(modality)
        start_s = time_s - step_s
        if runs and runs[-1][2] == state and start_s - runs[-1][1] < 0.5 * step_s:
            runs[-1] = (runs[-1][0], time_s, state)
        else:
            runs.append((start_s, time_s, state))
    return runs


def _draw_words(area: Axes, finals: Sequence[Hypothesis], end_s: float) -> None:
    area.set_ylim(0.0, 1.0)
    area.set_yticks([])
    area.set_ylabel("words", rotation=0, ha="right", va="center", **_FONT)
    area.spines["left"].set_visible(False)
    said = [final for final in finals if final.text]
    starts_s = [final.start_s for final in said] + [end_s]
    for final, next_s in zip(said, starts_s[1:], strict=True):
        # An utterance stands where it begins, in as many letters as fit before the next one.
        letters = int((next_s - final.start_s) / end_s * _LETTERS)
        comfortable = int((final.end_s - final.start_s) / end_s * _LETTERS) + 6
        text = ""
        for width in (min(letters, comfortable), letters):
            if width >= 5:
                text = textwrap.fill(final.text, width, max_lines=_ROWS, placeholder=" …")
            if not text.endswith("…"):
                break
        area.text(final.start_s, 0.95, text, va="top", fontsize=10, color=_INK, clip_on=True)
    if not said:
        area.text(0.5, 0.5, "no words", transform=area.transAxes, ha="center", va="center",
                  fontsize=11, color=_FAINT)  # fmt: skip
