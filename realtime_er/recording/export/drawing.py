"""The report's timeline and small charts, as SVG without scripts.

Colours that depend on light or dark are CSS variables of the page: ink, soft, rule, absent.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from realtime_er.messages import LABELS, MODALITIES
from realtime_er.palette import COLOURS, MODALITY_COLOURS
from realtime_er.recording.export.files import clean
from realtime_er.recording.export.overview import Estimates, FloatArray
from realtime_er.recording.export.segments import Lane, Segment
from realtime_er.recording.labels import default_colour

WIDTH_PX = 1120
_LEFT_PX, _RIGHT_PX = 150, 100
_PLOT_PX = WIDTH_PX - _LEFT_PX - _RIGHT_PX
_LETTER_PX = 6.4  # of 11 px text, on average
_MOST_RECTANGLES = 1500
_MOST_LANES = 4
_MOST_TEXTS = 40
_TICK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def text_of(text: str) -> str:
    """Any text, safe inside HTML and SVG."""
    return html.escape(clean(text))


def clock(time_s: float) -> str:
    """m:ss, or h:mm:ss from an hour on."""
    seconds = max(0, int(time_s + 1e-6))
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}:{seconds:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


class Timeline:
    """Panels below each other on one axis of time."""

    def __init__(self, duration_s: float) -> None:
        self._duration_s = max(duration_s, 1e-3)
        self._parts: list[str] = []
        self._y_px = 8.0

    def svg(self, title: str) -> str:
        """The finished picture."""
        height = self._y_px + 26
        return (
            f'<svg viewBox="0 0 {WIDTH_PX} {height:.0f}" role="img" aria-label="{text_of(title)}">'
            f"{''.join(self._axis())}{''.join(self._parts)}</svg>"
        )

    def x_px(self, time_s: float) -> float:
        """Where a time is, inside the plot."""
        share = min(max(time_s / self._duration_s, 0.0), 1.0)
        return _LEFT_PX + share * _PLOT_PX

    def scores(self, estimates: Estimates) -> None:
        """The seven scores."""
        height = 230.0
        self._frame("score", height, (0.0, 0.5, 1.0), (0.0, 1.0))
        for times_s, values in estimates.thinned(estimates.scores):
            for index, label in enumerate(LABELS):
                heights = self._y_px + height * (1.0 - values[:, index])
                self._line(times_s, heights, COLOURS[label], 1.7)
        ends = []
        for index, label in enumerate(LABELS):
            known = np.flatnonzero(~np.isnan(estimates.scores[:, index]))
            if len(known):
                ends.append((float(1.0 - estimates.scores[known[-1], index]) * height, label))
        for y_px, label in _spread(ends, 17.0, height):
            self._key(self._y_px + y_px, label, COLOURS[label])
        self._y_px += height + 16

    def contributions(self, estimates: Estimates) -> None:
        """What each modality adds to the label it reads as."""
        height = 90.0
        self._y_px += 8
        lines = list(estimates.thinned(estimates.leading()))
        most = max([0.1, *(float(np.nanmax(np.abs(v), initial=0.0)) for _, v in lines)])
        self._frame("contribution to it", height, (-most, 0.0, most), (-most, most))
        for times_s, values in lines:
            for index, modality in enumerate(MODALITIES):
                heights = self._y_px + height * (0.5 - values[:, index] / (2 * most))
                self._line(times_s, heights, MODALITY_COLOURS[modality], 1.5)
        for index, modality in enumerate(MODALITIES):
            self._key(self._y_px + 20 + 24 * index, modality, MODALITY_COLOURS[modality])
        self._y_px += height + 14

    def states(self, estimates: Estimates) -> None:
        """Which modality took part, and why not."""
        for modality in MODALITIES:
            self._name(modality)
            for start_s, end_s, state in estimates.state_runs(modality):
                present = state == "present"
                colour = MODALITY_COLOURS[modality] if present else "var(--absent)"
                self._box(start_s, end_s, colour, "" if present else state, state)
            self._y_px += 21
        self._y_px += 6

    def row(self, name: str, found: Sequence[Segment], colours: dict[str, str] | str) -> None:
        """One row of segments, with their texts where they fit."""
        self._name(name)
        if len(found) > _MOST_RECTANGLES:
            found = _merged(found, self._duration_s)
        for segment in found:
            colour = colours if isinstance(colours, str) else _colour(segment.text, colours)
            start_s, end_s = segment.start_ms / 1000, segment.end_ms / 1000
            self._box(start_s, end_s, colour, segment.text, segment.text)
        self._y_px += 21

    def marks(self, found: Iterable[Lane]) -> None:
        """Everybody's annotations; more lanes than can be seen are drawn together."""
        groups: dict[tuple[str, str, str], list[Lane]] = {}
        for lane in found:
            groups.setdefault((lane.rater, lane.tier, lane.kind), []).append(lane)
        for (rater, tier, kind), lanes in groups.items():
            name = f"{rater}: {tier}" + (" (points)" if kind == "point" else "")
            together = len(lanes) > _MOST_LANES
            if kind != "interval":
                self._ticks(name, [segment for lane in lanes for segment in lane.segments])
                continue
            rows = [[s for lane in lanes for s in lane.segments]] if together else [
                lane.segments for lane in lanes]  # fmt: skip
            for number, segments in enumerate(rows):
                colours = {segment.text: default_colour(segment.text) for segment in segments}
                self.row(name if number == 0 else "", segments, colours)
        self._y_px += 6

    def gaps(self, found: dict[str, list[Segment]]) -> None:
        """Spans without data."""
        for stream, spans in found.items():
            self.row(f"no {stream}", spans, "var(--gap)")

    # --- pieces ------------------------------------------------------------------------------

    def _axis(self) -> Iterable[str]:
        step_s = next((s for s in _TICK_STEPS_S if self._duration_s / s <= 12), 28_800)
        bottom = self._y_px
        for number in range(int(self._duration_s / step_s) + 1):
            x = self.x_px(number * step_s)
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{bottom:.1f}" class="rule"/>'
            yield (
                f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle" class="soft">'
                f"{clock(number * step_s)}</text>"
            )

    def _frame(
        self, name: str, height: float, ticks: Sequence[float], span: tuple[float, float]
    ) -> None:
        for tick in ticks:
            y = self._y_px + height * (1 - (tick - span[0]) / (span[1] - span[0]))
            number = "0" if tick == 0 else f"{tick:+.2f}" if span[0] < 0 else f"{tick:.1f}"
            self._parts.append(
                f'<line x1="{_LEFT_PX}" x2="{_LEFT_PX + _PLOT_PX}" y1="{y:.1f}" y2="{y:.1f}" '
                f'class="rule"/><text x="{_LEFT_PX - 8}" y="{y + 4:.1f}" text-anchor="end" '
                f'class="soft">{number}</text>'
            )
        self._parts.append(
            f'<text x="4" y="{self._y_px + height / 2 + 4:.1f}" class="ink">{text_of(name)}</text>'
        )

    def _line(self, times_s: FloatArray, heights: FloatArray, colour: str, width: float) -> None:
        commands: list[str] = []
        fresh = True
        for time_s, height in zip(times_s.tolist(), heights.tolist(), strict=True):
            if np.isnan(height):
                fresh = True
                continue
            commands.append(f"{'M' if fresh else 'L'}{self.x_px(time_s):.1f} {height:.1f}")
            fresh = False
        if commands:
            self._parts.append(
                f'<path d="{"".join(commands)}" fill="none" stroke="{colour}" '
                f'stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round"/>'
            )

    def _key(self, y_px: float, text: str, colour: str) -> None:
        x = _LEFT_PX + _PLOT_PX + 8
        self._parts.append(
            f'<rect x="{x}" y="{y_px - 5:.1f}" width="10" height="10" rx="2" fill="{colour}"/>'
            f'<text x="{x + 15}" y="{y_px + 4:.1f}" class="ink">{text_of(text)}</text>'
        )

    def _name(self, name: str) -> None:
        shown = name if len(name) <= 23 else f"{name[:22]}…"
        self._parts.append(
            f'<text x="4" y="{self._y_px + 13:.1f}" class="ink bidi"><title>{text_of(name)}</title>'
            f"{text_of(shown)}</text>"
        )

    def _box(self, start_s: float, end_s: float, colour: str, text: str, hint: str) -> None:
        first, last = self.x_px(start_s), self.x_px(end_s)
        width = max(last - first, 0.7)
        self._parts.append(
            f'<rect x="{first:.1f}" y="{self._y_px:.1f}" width="{width:.1f}" height="18" '
            f'fill="{colour}"><title>{text_of(hint)}</title></rect>'
        )
        letters = int((width - 6) / _LETTER_PX)
        if text and (len(text) <= letters or letters >= 8):
            shown = text if len(text) <= letters else f"{text[: letters - 1]}…"
            kind = "soft" if colour.startswith("var") else "on"
            self._parts.append(
                f'<text x="{first + width / 2:.1f}" y="{self._y_px + 13:.1f}" '
                f'text-anchor="middle" class="{kind} bidi">{text_of(shown)}</text>'
            )

    def _ticks(self, name: str, found: Sequence[Segment]) -> None:
        self._name(name)
        columns = {round(self.x_px(s.start_ms / 1000)): s.text for s in reversed(found)}
        for x, text in sorted(columns.items()):
            self._parts.append(
                f'<rect x="{x - 1}" y="{self._y_px:.1f}" width="2.4" height="18" '
                f'fill="{default_colour(text)}"><title>{text_of(text)}</title></rect>'
            )
        self._y_px += 21


def _spread(ends: list[tuple[float, str]], least: float, height: float) -> list[tuple[float, str]]:
    """Move heights apart to at least ``least``, keeping their order."""
    placed: list[tuple[float, str]] = []
    low = 4.0
    for count, (y_px, label) in enumerate(sorted(ends)):
        high = height - (len(ends) - 1 - count) * least
        y_px = min(max(y_px, low), high)
        placed.append((y_px, label))
        low = y_px + least
    return placed


def _merged(found: Sequence[Segment], duration_s: float) -> list[Segment]:
    """In each pixel what covers most of it; for rows with more segments than pixels."""
    column_ms = max(1.0, duration_s * 1000 / _PLOT_PX)
    spans = np.array([segment[:2] for segment in found]) / column_ms
    firsts, lasts = np.minimum(spans, _PLOT_PX - 1).astype(np.int64).T
    codes = {text: code for code, (text, _) in enumerate(_most_common(found))}
    of_each = np.array([codes.get(segment.text, -1) for segment in found])
    changes = np.zeros((len(codes), _PLOT_PX + 1), np.int64)
    known = of_each >= 0
    np.add.at(changes, (of_each[known], firsts[known]), 1)
    np.add.at(changes, (of_each[known], lasts[known] + 1), -1)
    covered = changes.cumsum(axis=1)
    texts = list(codes)
    result: list[Segment] = []
    for number in range(_PLOT_PX):
        code = int(covered[:, number].argmax())
        if not covered[code, number]:
            continue
        text = texts[code]
        start_ms, end_ms = round(number * column_ms), round((number + 1) * column_ms)
        if result and result[-1].text == text and result[-1].end_ms == start_ms:
            result[-1] = result[-1]._replace(end_ms=end_ms)
        else:
            result.append(Segment(start_ms, end_ms, text))
    return result


def _most_common(found: Sequence[Segment]) -> list[tuple[str, int]]:
    return Counter(segment.text for segment in found).most_common(_MOST_TEXTS)


def sparkline(times_s: FloatArray, values: FloatArray, duration_s: float, title: str) -> str:
    """A small line of one figure over time, from zero to its largest value."""
    width, height = 260.0, 44.0
    known = values[~np.isnan(values)]
    most = max(float(known.max()), 1e-9) if len(known) else 1.0
    step = max(1, len(values) // 400)
    commands: list[str] = []
    fresh = True
    for time_s, value in zip(times_s[::step].tolist(), values[::step].tolist(), strict=True):
        if np.isnan(value):
            fresh = True
            continue
        x = min(time_s / max(duration_s, 1e-3), 1.0) * width
        commands.append(f"{'M' if fresh else 'L'}{x:.1f} {height - 2 - value / most * 40:.1f}")
        fresh = False
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="spark" role="img" '
        f'aria-label="{text_of(title)}"><line x1="0" x2="{width:.0f}" y1="{height - 1}" '
        f'y2="{height - 1}" class="rule"/><path d="{"".join(commands)}" fill="none" '
        'stroke="currentColor" stroke-width="1.3"/></svg>'
    )


def _colour(label: str, colours: dict[str, str]) -> str:
    """Of a label; a session that somebody else wrote may hold any."""
    return colours.get(label) or default_colour(label)
