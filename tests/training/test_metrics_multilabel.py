"""Multi-label metrics against scikit-learn and plain loops."""

import numpy as np
import pytest
from sklearn import metrics as reference

from realtime_er.training import metrics_multilabel as metrics


def case(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 120))
    truth = rng.random((n, 6)) < [0.5, 0.3, 0.2, 0.1, 0.1, 0.15]
    truth[:2] = [[True] * 6, [False] * 6]  # every class has both
    prediction = truth ^ (rng.random((n, 6)) < 0.3)
    prediction[1] = False  # a row where both are empty
    return truth, prediction


@pytest.mark.parametrize("seed", range(10))
def test_agrees_with_sklearn(seed):
    truth, prediction = case(seed)
    balanced = [reference.balanced_accuracy_score(truth[:, c], prediction[:, c]) for c in range(6)]
    assert metrics.weighted_accuracy(truth, prediction) == pytest.approx(np.mean(balanced))
    assert metrics.sample_jaccard(truth, prediction) == pytest.approx(
        reference.jaccard_score(truth, prediction, average="samples", zero_division=1)
    )
    assert metrics.sample_f1(truth, prediction) == pytest.approx(
        reference.f1_score(truth, prediction, average="samples", zero_division=1)
    )
    assert metrics.positive_recall(truth, prediction) == pytest.approx(
        reference.recall_score(truth, prediction, average="macro")
    )
    weighted = [
        reference.f1_score(truth[:, c], prediction[:, c], average="weighted", zero_division=0)
        for c in range(6)
    ]
    assert metrics.mean_weighted_f1(truth, prediction) == pytest.approx(np.mean(weighted))


def test_agrees_with_the_equations_row_by_row():
    truth, prediction = case(3)
    total = 0.0
    for c in range(6):
        pairs = list(zip(truth[:, c], prediction[:, c], strict=True))
        p, n = sum(t for t, _ in pairs), sum(not t for t, _ in pairs)
        tp, tn = sum(t and g for t, g in pairs), sum(not t and not g for t, g in pairs)
        total += (tp * n / p + tn) / (2 * n)
    assert metrics.weighted_accuracy(truth, prediction) == pytest.approx(total / 6)
    jaccard, f1 = [], []
    for t, g in zip(truth, prediction, strict=True):
        a, b = set(np.flatnonzero(t)), set(np.flatnonzero(g))
        jaccard.append(len(a & b) / len(a | b) if a | b else 1.0)
        f1.append(2 * len(a & b) / (len(a) + len(b)) if a | b else 1.0)
    assert metrics.sample_jaccard(truth, prediction) == pytest.approx(np.mean(jaccard))
    assert metrics.sample_f1(truth, prediction) == pytest.approx(np.mean(f1))


def test_a_class_that_is_not_defined_is_left_out():
    truth = np.array([[1, 0], [0, 0]])
    prediction = np.array([[1, 1], [0, 0]])
    assert metrics.weighted_accuracy(truth, prediction) == 1.0
    assert metrics.positive_recall(truth, prediction) == 1.0
    with pytest.raises(ValueError, match="not defined"):
        metrics.weighted_accuracy(truth[:, 1:], prediction[:, 1:])
    with pytest.raises(ValueError, match="not defined"):
        metrics.positive_recall(truth[:, 1:], prediction[:, 1:])


@pytest.mark.parametrize(
    ("truth", "prediction", "match"),
    [
        ([[1]], [[1], [0]], "must be"),
        ([1], [1], "must be"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "must be"),
        ([[1.0]], [[0.7]], "0 or 1"),
    ],
)
def test_bad_input_is_refused(truth, prediction, match):
    for metric in (metrics.weighted_accuracy, metrics.sample_jaccard, metrics.sample_f1):
        with pytest.raises(ValueError, match=match):
            metric(np.array(truth), np.array(prediction))
