"""Metrics of classification and calibration, and how sure they are. Truth first, prediction second.

All functions are pure; they may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer]
Metric = Callable[[npt.NDArray[Any], npt.NDArray[Any]], float]


def accuracy(truth: Labels, prediction: Labels) -> float:
    """Share of rows predicted right.

    Args:
        truth: integer [N], class indices.
        prediction: integer [N], class indices.

    Raises:
        ValueError: the arrays are empty or of different lengths.
    """
    _check(truth, prediction)
    return float(np.mean(truth == prediction))


def unweighted_average_recall(truth: Labels, prediction: Labels) -> float:
    """Mean recall over the classes that occur in ``truth``, each counted once.

    A class without a true row has no recall and is left out of the mean; predicting it still
    costs the class that was right.

    Args:
        truth: integer [N], class indices.
        prediction: integer [N], class indices.

    Raises:
        ValueError: the arrays are empty or of different lengths.
    """
    _check(truth, prediction)
    classes, inverse = np.unique(truth, return_inverse=True)
    hits = np.bincount(inverse, weights=(truth == prediction).astype(np.float64))
    return float(np.mean(hits / np.bincount(inverse, minlength=len(classes))))


def macro_f1(truth: Labels, prediction: Labels) -> float:
    """Mean F1 over the classes that occur in ``truth`` or in ``prediction``.

    Args:
        truth: integer [N], class indices.
        prediction: integer [N], class indices.

    Raises:
        ValueError: the arrays are empty or of different lengths.
    """
    scores, _ = _f1(truth, prediction)
    return float(np.mean(scores))


def weighted_f1(truth: Labels, prediction: Labels) -> float:
    """Mean F1 over classes, weighted by how often each is true.

    Args:
        truth: integer [N], class indices.
        prediction: integer [N], class indices.

    Raises:
        ValueError: the arrays are empty or of different lengths.
    """
    scores, support = _f1(truth, prediction)
    return float(np.sum(scores * support) / np.sum(support))


def expected_calibration_error(
    truth: Labels,
    probabilities: npt.NDArray[np.floating],
    n_bins: int = 15,
    *,
    weights: npt.NDArray[np.floating] | None = None,
) -> float:
    """Mean gap between confidence and accuracy over equally wide bins of confidence.

    Args:
        truth: integer [N], class indices.
        probabilities: floating [N, C], rows summing to 1; the confidence is a row's largest.
        n_bins: bins over [0, 1]; a value on an edge belongs to the bin below it.
        weights: [N], how much each row counts; None for the same.

    Returns:
        The gap in 0..1, bins weighted by the rows they hold.

    Raises:
        ValueError: the shapes do not fit, there is no row, or ``n_bins`` is below 1.
    """
    if probabilities.ndim != 2 or len(truth) != len(probabilities) or len(truth) == 0:
        raise ValueError(f"need truth [N] and probabilities [N, C], got {probabilities.shape}")
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == truth).astype(np.float64)
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    own = np.ones(len(truth)) if weights is None else weights
    gap = np.bincount(bins, weights=own * (right - confidence), minlength=n_bins)
    return float(np.abs(gap).sum() / own.sum())


def bootstrap_interval(
    metric: Metric,
    truth: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    *,
    groups: npt.NDArray[Any] | None = None,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric.

    Args:
        metric: called with resampled truth and prediction.
        truth: [N, ...].
        prediction: [N, ...].
        n_resamples: how many resamples.
        seed: the same seed gives the same interval.
        level: coverage, between 0 and 1.
        groups: [N], any values that sort, the speaker of each row for instance. Given, whole
            groups are drawn instead of rows, because rows of one speaker are not independent.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: lengths differ, there is no row, or ``n_resamples`` or ``level`` is off.
    """
    n = len(truth)
    if n == 0 or len(prediction) != n or (groups is not None and len(groups) != n):
        raise ValueError("truth, prediction and groups must have the same length, at least 1")
    if n_resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"need n_resamples >= 1 and 0 < level < 1: {n_resamples}, {level}")
    random = np.random.default_rng(seed)
    members: list[npt.NDArray[np.intp]] = []
    if groups is not None:
        _, inverse = np.unique(groups, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        members = np.split(order, np.cumsum(np.bincount(inverse))[:-1])
    values = np.empty(n_resamples)
    for index in range(n_resamples):
        if members:
            drawn = random.integers(0, len(members), len(members))
            rows = np.concatenate([members[group] for group in drawn])
        else:
            rows = random.integers(0, n, n)
        values[index] = metric(truth[rows], prediction[rows])
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def _check(truth: Labels, prediction: Labels) -> None:
    if truth.shape != prediction.shape or truth.ndim != 1 or len(truth) == 0:
        raise ValueError(
            f"truth and prediction must be [N], N >= 1: {truth.shape}, {prediction.shape}"
        )


def _f1(
    truth: Labels, prediction: Labels
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """F1 and number of true rows of each class in truth or prediction; F1 is 0 without a hit."""
    _check(truth, prediction)
    classes, inverse = np.unique(np.concatenate([truth, prediction]), return_inverse=True)
    n = len(truth)
    support = np.bincount(inverse[:n], minlength=len(classes)).astype(np.float64)
    predicted = np.bincount(inverse[n:], minlength=len(classes)).astype(np.float64)
    hits = np.bincount(inverse[:n][truth == prediction], minlength=len(classes))
    # Every class here is true or predicted somewhere, so the denominator is at least 1.
    return 2.0 * hits / (support + predicted), support
