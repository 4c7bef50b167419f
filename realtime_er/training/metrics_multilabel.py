"""Metrics where a row may carry several labels, as CMU-MOSEI is scored. Truth comes first.

Truth and prediction are boolean (or 0 and 1) [N, C]. All functions are pure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.training.metrics import weighted_f1

Flags = npt.NDArray[Any]


def weighted_accuracy(truth: Flags, prediction: Flags) -> float:
    """Mean over classes of (TP N / P + TN) / (2 N): the mean of both recalls of each class.

    P and N are the class' positive and negative rows. A class that lacks either has no such value
    and is left out of the mean.

    Args:
        truth: [N, C].
        prediction: [N, C].

    Raises:
        ValueError: shapes differ, there is no row, values are not 0 or 1, or no class is defined.
    """
    true, guess = _check(truth, prediction)
    positives, negatives = true.sum(axis=0), (~true).sum(axis=0)
    defined = (positives > 0) & (negatives > 0)
    if not defined.any():
        raise ValueError("every class is always or never there; its accuracy is not defined")
    hits, rejections = (true & guess).sum(axis=0), (~true & ~guess).sum(axis=0)
    p, n = positives[defined].astype(np.float64), negatives[defined].astype(np.float64)
    values = (hits[defined] * n / p + rejections[defined]) / (2.0 * n)
    return float(values.mean())


def sample_jaccard(truth: Flags, prediction: Flags) -> float:
    """Mean over rows of intersection over union; 1 where both are empty ("Acc" of the paper).

    Args:
        truth: [N, C].
        prediction: [N, C].

    Raises:
        ValueError: shapes differ, there is no row, or values are not 0 or 1.
    """
    true, guess = _check(truth, prediction)
    both, either = (true & guess).sum(axis=1), (true | guess).sum(axis=1)
    return float(np.where(either > 0, both / np.maximum(either, 1), 1.0).mean())


def sample_f1(truth: Flags, prediction: Flags) -> float:
    """Mean over rows of F1; 1 where both are empty.

    Args:
        truth: [N, C].
        prediction: [N, C].

    Raises:
        ValueError: shapes differ, there is no row, or values are not 0 or 1.
    """
    true, guess = _check(truth, prediction)
    both, sizes = (true & guess).sum(axis=1), true.sum(axis=1) + guess.sum(axis=1)
    return float(np.where(sizes > 0, 2.0 * both / np.maximum(sizes, 1), 1.0).mean())


def positive_recall(truth: Flags, prediction: Flags) -> float:
    """Mean over classes of the recall of their positive rows ("UAR" of the multi-label tables).

    A class without a positive row is left out.

    Args:
        truth: [N, C].
        prediction: [N, C].

    Raises:
        ValueError: shapes differ, there is no row, values are not 0 or 1, or nothing is positive.
    """
    true, guess = _check(truth, prediction)
    positives = true.sum(axis=0)
    if not positives.any():
        raise ValueError("no row is positive in any class; recall is not defined")
    hits = (true & guess).sum(axis=0)
    return float((hits[positives > 0] / positives[positives > 0]).mean())


def mean_weighted_f1(truth: Flags, prediction: Flags) -> float:
    """Mean over classes of the weighted F1 of "there" against "not there".

    Args:
        truth: [N, C].
        prediction: [N, C].

    Raises:
        ValueError: shapes differ, there is no row, or values are not 0 or 1.
    """
    true, guess = _check(truth, prediction)
    columns = range(true.shape[1])
    return float(np.mean([weighted_f1(1 * true[:, c], 1 * guess[:, c]) for c in columns]))


def _check(truth: Flags, prediction: Flags) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    if truth.shape != prediction.shape or truth.ndim != 2 or 0 in truth.shape:
        raise ValueError(
            f"truth and prediction must be [N, C], N >= 1: {truth.shape}, {prediction.shape}"
        )
    for flags in (truth, prediction):
        if not np.isin(flags, (0, 1)).all():
            raise ValueError("truth and prediction must hold 0 or 1; threshold them first")
    return truth.astype(np.bool_), prediction.astype(np.bool_)
