"""Seven scores over time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PySide6.QtWidgets import QWidget

from realtime_er.messages import LABELS
from realtime_er.palette import COLOURS
from realtime_er.sinks.display.shown import Shown
from realtime_er.sinks.display.theme import Style
from realtime_er.sinks.display.timeplot import EndLabel, TimePlot

MAX_POINTS = 700
"""More estimates than this are taken together before they are drawn."""

_STALE_S, _STALE_PERIODS = 0.6, 2.5


def stale_s(shown: Shown, group: int) -> float:
    """A curve whose last value is older than this has ended; ``group`` estimates make a point."""
    return group * max(_STALE_S, _STALE_PERIODS * shown.history.period_s)


class Traces(TimePlot):
    """The scores of all seven labels, each labelled at its right end."""

    def __init__(
        self, style: Style, zoom: Callable[[bool], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(
            style,
            [COLOURS[label] for label in LABELS],
            ((0.0, "0"), (0.25, ""), (0.5, "50"), (0.75, ""), (1.0, "100 %")),
            (0.0, 1.0),
            zoom,
            parent=parent,
        )

    def show_scores(self, shown: Shown) -> None:
        """Draw the part of the history that is shown."""
        start_s, end_s = shown.start_s, shown.end_s
        group = math.ceil(max(1, shown.history.n_estimates(start_s, end_s)) / MAX_POINTS)
        found = shown.history.scores(start_s, end_s, group)
        place = LABELS.index(shown.lead) if shown.lead else -1
        old_s = stale_s(shown, group)
        labels = end_labels(found.times_s, found.scores, end_s, place, old_s)
        self.emphasize(place)
        empty = "" if np.isfinite(found.scores).any() else "no scores yet"
        self.draw(shown, found.times_s, found.scores, labels, empty)


def end_labels(
    times_s: np.ndarray[tuple[int], np.dtype[np.float64]],
    scores: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    end_s: float,
    strong: int,
    old_s: float,
) -> list[EndLabel]:
    """A label for each curve at its last value; not connected where that is older than ``old_s``."""
    known = np.isfinite(scores)
    labels = []
    for place, label in enumerate(LABELS):
        rows = np.flatnonzero(known[:, place])
        if not len(rows):
            continue
        ended = bool(end_s - times_s[rows[-1]] > old_s)
        value = float(scores[rows[-1], place])
        labels.append(
            EndLabel(value, label, "", COLOURS[label], place == strong and not ended, ended)
        )
    return labels
