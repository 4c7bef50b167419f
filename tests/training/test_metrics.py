"""Metrics against scikit-learn, a second implementation, and against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from realtime_er.training import metrics

N_CLASSES = 7


def _case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    n = int(random.integers(3, 200))
    truth = random.choice(N_CLASSES, n, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.03, 0.02])
    wrong = random.integers(0, N_CLASSES, n)
    return truth, np.where(random.random(n) < 0.6, truth, wrong)


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_sklearn(seed: int) -> None:
    truth, prediction = _case(seed)
    present = np.unique(truth)
    recall = reference.recall_score(
        truth, prediction, labels=present, average="macro", zero_division=0
    )
    assert metrics.accuracy(truth, prediction) == pytest.approx(
        reference.accuracy_score(truth, prediction)
    )
    assert metrics.unweighted_average_recall(truth, prediction) == pytest.approx(recall)
    assert metrics.macro_f1(truth, prediction) == pytest.approx(
        reference.f1_score(truth, prediction, average="macro", zero_division=0)
    )
    assert metrics.weighted_f1(truth, prediction) == pytest.approx(
        reference.f1_score(truth, prediction, average="weighted", zero_division=0)
    )


def test_absent_class_is_left_out_of_recall() -> None:
    truth, prediction = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 6])
    assert metrics.unweighted_average_recall(truth, prediction) == 0.75


def test_f1_counts_a_class_that_is_only_predicted() -> None:
    truth, prediction = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 6])
    assert metrics.macro_f1(truth, prediction) == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert metrics.weighted_f1(truth, prediction) == pytest.approx((1 + 2 / 3) / 2)


def _calibration_by_loop(truth: np.ndarray, probabilities: np.ndarray, n_bins: int) -> float:
    error = 0.0
    for number in range(n_bins):
        low, high = number / n_bins, (number + 1) / n_bins
        rows = [i for i, row in enumerate(probabilities) if low < row.max() <= high]
        if rows:
            hit = sum(int(probabilities[i].argmax()) == truth[i] for i in rows) / len(rows)
            sure = sum(float(probabilities[i].max()) for i in rows) / len(rows)
            error += abs(hit - sure) * len(rows) / len(truth)
    return error


@pytest.mark.parametrize("n_bins", [1, 10, 15])
def test_calibration_error_agrees_with_a_plain_loop(n_bins: int) -> None:
    random = np.random.default_rng(3)
    probabilities = random.dirichlet(np.full(N_CLASSES, 0.4), 300)
    truth = random.integers(0, N_CLASSES, 300)
    assert metrics.expected_calibration_error(truth, probabilities, n_bins) == pytest.approx(
        _calibration_by_loop(truth, probabilities, n_bins)
    )


def test_calibration_error_of_a_certain_and_right_model_is_zero() -> None:
    truth = np.array([0, 3, 6])
    assert metrics.expected_calibration_error(truth, np.eye(N_CLASSES)[truth]) == 0.0


def test_bootstrap_is_repeatable_and_holds_the_value() -> None:
    truth, prediction = _case(1)
    first = metrics.bootstrap_interval(metrics.accuracy, truth, prediction, 300, seed=5)
    again = metrics.bootstrap_interval(metrics.accuracy, truth, prediction, 300, seed=5)
    other = metrics.bootstrap_interval(metrics.accuracy, truth, prediction, 300, seed=6)
    assert first == again != other
    assert first[0] < metrics.accuracy(truth, prediction) < first[1]


def test_bootstrap_matches_the_binomial_width() -> None:
    truth = np.zeros(400, dtype=np.int64)
    prediction = (np.arange(400) % 4 == 0).astype(np.int64)
    low, high = metrics.bootstrap_interval(metrics.accuracy, truth, prediction, 2000, seed=1)
    expected = 2 * 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert high - low == pytest.approx(expected, rel=0.1)


def test_bootstrap_by_group_is_wider_where_speakers_differ() -> None:
    speakers = np.repeat(np.arange(10), 40)
    truth = np.zeros(400, dtype=np.int64)
    prediction = (speakers < 3).astype(np.int64)
    rows = metrics.bootstrap_interval(metrics.accuracy, truth, prediction, 500, seed=1)
    grouped = metrics.bootstrap_interval(
        metrics.accuracy, truth, prediction, 500, seed=1, groups=speakers
    )
    assert grouped[1] - grouped[0] > 4 * (rows[1] - rows[0])
    # Ten speakers, each wholly right or wholly wrong: only tenths can come out.
    assert 10 * grouped[0] == pytest.approx(round(10 * grouped[0]))


def test_bootstrap_takes_probabilities() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(N_CLASSES), 50)
    truth = random.integers(0, N_CLASSES, 50)
    low, high = metrics.bootstrap_interval(
        metrics.expected_calibration_error, truth, probabilities, 100
    )
    assert 0.0 <= low < high <= 1.0


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [([], []), ([0, 1], [0]), ([[0]], [[0]])],
)
def test_rejects_bad_shapes(truth: list[int], prediction: list[int]) -> None:
    arrays = np.array(truth, dtype=np.int64), np.array(prediction, dtype=np.int64)
    for metric in (metrics.accuracy, metrics.unweighted_average_recall, metrics.macro_f1):
        with pytest.raises(ValueError, match="must be"):
            metric(*arrays)


def test_bootstrap_rejects_bad_arguments() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(ValueError, match="same length"):
        metrics.bootstrap_interval(metrics.accuracy, one, np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="level"):
        metrics.bootstrap_interval(metrics.accuracy, one, one, level=1.0)
