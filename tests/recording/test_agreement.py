from __future__ import annotations

import math

import numpy as np
import pytest

from realtime_er.recording.agreement import (
    GRID_S,
    UNMARKED,
    cohen_kappa,
    fleiss_kappa,
    on_grid,
    session_agreement,
)
from realtime_er.recording.annotations import AnnotationStore
from realtime_er.recording.reader import RecordedSession
from tests.recording import samples

# Fleiss (1971), as tabulated in textbooks and on Wikipedia: 14 raters, 10 subjects, 5 categories.
FLEISS_1971 = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


@pytest.mark.parametrize("seed", range(5))
def test_cohen_equals_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    a = rng.integers(-1, 6, 500)
    b = np.where(rng.random(500) < 0.6, a, rng.integers(-1, 8, 500))
    assert cohen_kappa(a, b) == pytest.approx(metrics.cohen_kappa_score(a, b), abs=1e-12)


def test_cohen_published_example():
    # Cohen's own 2 x 2 layout: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no.
    a = [1] * 25 + [0] * 25
    b = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(a, b) == pytest.approx(0.4)


def test_cohen_limits():
    assert cohen_kappa([0, 1, 2], [0, 1, 2]) == 1.0
    assert cohen_kappa([0, 1], [1, 0]) == -1.0
    assert math.isnan(cohen_kappa([], []))
    assert math.isnan(cohen_kappa([3, 3], [3, 3]))
    with pytest.raises(ValueError, match="as many subjects"):
        cohen_kappa([1], [1, 2])


def test_fleiss_published_example():
    assert fleiss_kappa(FLEISS_1971) == pytest.approx(0.20993, abs=5e-6)


def test_fleiss_equals_the_formula_written_out():
    rng = np.random.default_rng(1)
    ratings = rng.integers(0, 4, (4, 60))
    counts = [[int((ratings[:, i] == j).sum()) for j in range(4)] for i in range(60)]
    agreeing = sum(
        sum(ratings[r, i] == ratings[s, i] for r in range(4) for s in range(4) if r != s)
        for i in range(60)
    ) / (60 * 4 * 3)
    chance = sum((sum(row[j] for row in counts) / 240) ** 2 for j in range(4))
    assert fleiss_kappa(counts) == pytest.approx((agreeing - chance) / (1 - chance))


def test_fleiss_limits():
    assert fleiss_kappa([[3, 0], [0, 3]]) == 1.0
    assert math.isnan(fleiss_kappa([]))
    assert math.isnan(fleiss_kappa([[1, 0], [0, 1]]))
    assert math.isnan(fleiss_kappa([[2], [2]]))
    with pytest.raises(ValueError, match="same number"):
        fleiss_kappa([[1, 1], [2, 1]])


def test_grid_takes_what_is_there_at_the_middle_of_each_cell():
    codes = on_grid([(0.0, 0.2, 0), (0.2, 0.34, 1), (0.3, 0.4, 2), (0.96, 9.0, 3)], 10)
    assert codes.tolist() == [0, 0, 1, 2, *[UNMARKED] * 6]
    assert on_grid([(-5.0, -1.0, 1), (-1.0, 0.1, 2)], 2).tolist() == [2, UNMARKED]
    neighbours = on_grid([(0.0, 0.25, 0), (0.25, 0.5, 1)], 5)
    assert neighbours.tolist() == [0, 0, 1, 1, 1]


def test_a_session(recorded):
    with RecordedSession.open(recorded) as session:
        observer, rater = session_agreement(session)
    assert (observer.tier, observer.raters, observer.pairs) == ("observer", ("ben",), ())
    assert math.isnan(observer.fleiss)
    assert observer.estimates == ()
    assert (rater.tier, rater.raters) == ("rater", ("anna", "ben"))
    assert rater.labels == ("Neutral", "Happy")
    (pair,) = rater.pairs
    # anna: Neutral 0.5-3.75, Happy 3.75-9.75; ben: Neutral 1.0-4.75, Happy 4.75-8.75.
    assert (pair.n_cells, pair.n_both) == (120, 77)
    middles_s = (np.arange(120) + 0.5) * GRID_S

    def marked(start_s, change_s, end_s):
        neutral = (middles_s >= start_s) & (middles_s < change_s)
        happy = (middles_s >= change_s) & (middles_s < end_s)
        return np.select([neutral, happy], [0, 1], -1)

    anna, ben = marked(0.5, 3.75, 9.75), marked(1.0, 4.75, 8.75)
    assert pair.kappa == pytest.approx(cohen_kappa(anna, ben))
    both = (anna >= 0) & (ben >= 0)
    assert pair.kappa_both == pytest.approx(cohen_kappa(anna[both], ben[both]))
    assert pair.agreement_both == pytest.approx(np.mean(anna[both] == ben[both]))
    assert 0 < rater.fleiss_all <= pair.kappa_both + 0.01
    with_estimates = {pair.first: pair for pair in rater.estimates}
    assert with_estimates["anna"].agreement_both == pytest.approx(1.0, abs=0.02)
    assert with_estimates["ben"].agreement_both < with_estimates["anna"].agreement_both


def test_three_raters(own_copy):
    for rater in ("cara", "dan"):
        with AnnotationStore(own_copy, rater, samples.LABEL_SET) as store:
            store.press("1", 3.0, 1)
            store.press("2", 6.25, 1)
            store.close(12.25)
    with RecordedSession.open(own_copy) as session:
        rater = session_agreement(session)[1]
    assert len(rater.pairs) == 6
    assert rater.pairs[1].kappa == 1.0  # anna and cara marked the same
    assert 0.7 < rater.fleiss < 1.0


def test_who_was_corrected_in_elan_is_still_one_rater(own_copy):
    for number, rater in enumerate(("anna-elan", "anna-elan-2", "anna-elan-10")):
        with AnnotationStore(own_copy, rater, samples.LABEL_SET) as store:
            store.press("1", 3.0 + number, 1)
            store.close(12.25)
    with RecordedSession.open(own_copy) as session:
        rater = session_agreement(session)[1]
    assert rater.raters == ("anna-elan-10", "ben")
    assert len(rater.pairs) == 1


def test_nobody_annotated(own_copy):
    for path in (own_copy / "annotations").iterdir():
        path.unlink()
    with RecordedSession.open(own_copy) as session:
        assert session_agreement(session) == []
