"""The figures of the publication's tables, from predictions; single-label and multi-label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.training.metrics import (
    accuracy,
    bootstrap_interval,
    macro_f1,
    unweighted_average_recall,
    weighted_f1,
)
from realtime_er.training.metrics_multilabel import (
    mean_weighted_f1,
    positive_recall,
    sample_f1,
    sample_jaccard,
    weighted_accuracy,
)

Flags = npt.NDArray[Any]
Measure = Callable[[Flags, Flags], float]

THRESHOLD = 0.5
"""A class of a multi-label head is there from this probability on."""


def _single(metric: Callable[[Any, Any], float]) -> Measure:
    return lambda truth, guess: metric(truth.argmax(axis=1), guess.argmax(axis=1))


SINGLE: dict[str, Measure] = {
    "Acc": _single(accuracy),
    "wF1": _single(weighted_f1),
    "mF1": _single(macro_f1),
    "UAR": _single(unweighted_average_recall),
}
"""Columns of the single-label tables. Acc is the weighted average recall (WAR)."""

MULTI: dict[str, Measure] = {
    "wAcc": weighted_accuracy,
    "wF1": mean_weighted_f1,
    "Acc": sample_jaccard,
    "F1": sample_f1,
    "UAR": positive_recall,
}
"""Columns of MOSEI's tables; UAR is the mean recall of what is there."""


def decide(scores: npt.NDArray[np.floating], *, multi: bool) -> npt.NDArray[np.float32]:
    """Probabilities [N, C] to decisions, float32 [N, C] of 0 and 1.

    Single-label rows have exactly one 1; multi-label rows those at ``THRESHOLD`` or more.
    """
    if multi:
        return (scores >= THRESHOLD).astype(np.float32)
    chosen = np.zeros(scores.shape, np.float32)
    chosen[np.arange(len(scores)), scores.argmax(axis=1)] = 1.0
    return chosen


def measure(truth: Flags, guess: Flags, *, multi: bool) -> dict[str, float]:
    """Every column of the tables, as shares of 1; NaN where a figure is not defined.

    Args:
        truth: [N, C] of 0 and 1.
        guess: [N, C] of 0 and 1.
        multi: whether a row may have several classes.
    """
    return {name: _or_nan(metric, truth, guess) for name, metric in _metrics(multi=multi).items()}


def _metrics(*, multi: bool) -> dict[str, Measure]:
    return MULTI if multi else SINGLE


def _or_nan(metric: Measure, truth: Flags, guess: Flags) -> float:
    try:
        return metric(truth, guess)
    except ValueError:
        return float("nan")  # a small part may lack every row that the figure is about


def class_recalls(truth: Flags, guess: Flags) -> list[float]:
    """Recall of each class (of its positive rows), NaN for one that never occurs."""
    there = truth.sum(axis=0)
    hits = (truth * guess).sum(axis=0)
    return [
        float(hit / count) if count else float("nan")
        for hit, count in zip(hits, there, strict=True)
    ]


def interval(
    name: str, truth: Flags, guess: Flags, groups: npt.NDArray[Any], *, multi: bool, resamples: int
) -> tuple[float, float] | None:
    """95 % interval of a column over redrawn groups; None with fewer than two groups.

    Args:
        name: the column.
        truth: [N, C].
        guess: [N, C].
        groups: [N], speaker or dialogue of each row.
        multi: as for ``measure``.
        resamples: how many; 0 for no interval.
    """
    if resamples < 1 or len(np.unique(groups)) < 2:
        return None
    metric = _metrics(multi=multi)[name]

    def safe(one: Flags, other: Flags) -> float:
        return _or_nan(metric, one, other)

    low, high = bootstrap_interval(safe, truth, guess, resamples, groups=groups)
    return None if np.isnan(low) or np.isnan(high) else (low, high)
