"""How far raters agree with each other, and with the estimates.

Intervals are compared on a grid of ``GRID_S``: at the middle of each cell, what each rater marked
there. Where a rater has two intervals of one tier at once, the one that began later counts; points
and notes have no extent and do not take part. Two figures, because they answer different questions:

* ``kappa``: a cell without a mark counts as a category of its own. Missing a smile is disagreement.
* ``kappa_both``: only cells in which both marked something. Do they mean the same by the labels?

Of marks that were corrected in ELAN only the newest correction takes part ("anna-elan", not "anna").
Neighbouring cells are not independent, so no confidence interval is given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from realtime_er.messages import LABELS
from realtime_er.recording.marks import without_superseded
from realtime_er.recording.reader import RecordedSession

GRID_S = 0.1

UNMARKED = -1

Codes = npt.NDArray[np.int32]
"""(cells,): number of the label, ``UNMARKED`` where there is none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two raters, or a rater and the estimates, on one tier.

    Attributes:
        first, second: Who; ``second`` is "estimates" against the program.
        kappa: Cohen's kappa with unmarked cells; NaN where undefined, and against the estimates,
            which say something at nearly every moment.
        kappa_both: Over the cells in which both say something; NaN where undefined.
        agreement_both: Share of those cells in which they say the same; NaN without any.
        n_cells, n_both: How many cells of ``GRID_S`` that is.
    """

    first: str
    second: str
    kappa: float
    kappa_both: float
    agreement_both: float
    n_cells: int
    n_both: int


@dataclass(frozen=True, slots=True)
class TierAgreement:
    """Agreement on one tier.

    Attributes:
        tier: Its name.
        raters: Who marked intervals in it.
        labels: All that anybody used.
        pairs: Every two raters.
        fleiss: Fleiss' kappa of all raters with unmarked cells; NaN for fewer than two raters.
        fleiss_all: Over the cells that all of them marked.
        estimates: Each rater against the estimates; empty when no label is an emotion.
    """

    tier: str
    raters: tuple[str, ...]
    labels: tuple[str, ...]
    pairs: tuple[Pair, ...]
    fleiss: float
    fleiss_all: float
    estimates: tuple[Pair, ...]


def cohen_kappa(first: Sequence[int] | Codes, second: Sequence[int] | Codes) -> float:
    """Cohen's kappa: agreement beyond what two independent raters would reach.

        kappa = (p_o - p_e) / (1 - p_e)

    Args:
        first: int (n,), the category of each subject.
        second: int (n,), the other rater's.

    Returns:
        -1 to 1; NaN without subjects, or when both know but one category.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape:
        raise ValueError(f"as many subjects for both raters, not {a.shape} and {b.shape}")
    if not len(a):
        return float("nan")
    categories, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    shares_a = np.bincount(codes[: len(a)], minlength=len(categories)) / len(a)
    shares_b = np.bincount(codes[len(a) :], minlength=len(categories)) / len(b)
    return _beyond_chance(float(np.mean(a == b)), float(shares_a @ shares_b))


def fleiss_kappa(counts: npt.ArrayLike) -> float:
    """Fleiss' kappa for any number of raters (Fleiss 1971).

    Args:
        counts: int (subjects, categories): how many raters chose the category; rows have one sum.

    Returns:
        At most 1; NaN without subjects, with fewer than two raters, or with one category in use.

    Raises:
        ValueError: the rows have different sums.
    """
    table = np.asarray(counts, np.float64)
    if not table.size:
        return float("nan")
    n_raters = table.sum(axis=1)
    if not np.all(n_raters == n_raters[0]):
        raise ValueError("every subject needs the same number of raters")
    n = float(n_raters[0])
    if n < 2:
        return float("nan")
    per_subject = ((table**2).sum(axis=1) - n) / (n * (n - 1))
    shares = table.sum(axis=0) / table.sum()
    return _beyond_chance(float(per_subject.mean()), float((shares**2).sum()))


def _beyond_chance(observed: float, expected: float) -> float:
    return float("nan") if expected > 1.0 - 1e-12 else (observed - expected) / (1.0 - expected)


def on_grid(intervals: Iterable[tuple[float, float, int]], n_cells: int) -> Codes:
    """Codes of (start_s, end_s, code) at the middle of each cell; later ones win.

    Times count from the recording's start.
    """
    codes = np.full(n_cells, UNMARKED, np.int32)
    for start_s, end_s, code in intervals:
        # Half-open, so that of two neighbours exactly one has the cell.
        first, last = _first_cell(start_s), _first_cell(end_s)
        codes[max(0, first) : max(0, last)] = code
    return codes


def _first_cell(time_s: float) -> int:
    """The first cell whose middle is not before ``time_s``; times are good to a microsecond."""
    return int(np.ceil(round(time_s / GRID_S - 0.5, 5)))


def session_agreement(session: RecordedSession) -> list[TierAgreement]:
    """Agreement on every tier in which somebody marked intervals, in order of name.

    Raises:
        RecordingError: the session or an annotation database is damaged.
    """
    n_cells = int(round(session.duration_s / GRID_S, 6))
    numbers = {label: number for number, label in enumerate(LABELS)}
    spans: dict[str, dict[str, list[tuple[float, float, int]]]] = defaultdict(dict)
    for rater in without_superseded(session.raters):
        for mark, end_s in session.intervals(rater):
            if mark.kind == "interval":
                code = numbers.setdefault(mark.label, len(numbers))
                span = (mark.start_s - session.start_s, end_s - session.start_s, code)
                spans[mark.tier].setdefault(rater, []).append(span)
    names = list(numbers)
    estimates = _estimates(session, n_cells)
    result = []
    for tier, of_raters in sorted(spans.items()):
        codes = {rater: on_grid(rows, n_cells) for rater, rows in of_raters.items()}
        used = sorted({code for rows in of_raters.values() for _, _, code in rows})
        result.append(_tier(tier, codes, [names[code] for code in used], estimates))
    return result


def _estimates(session: RecordedSession, n_cells: int) -> Codes:
    """What the estimates say; each counts for the step before it."""
    times_s: list[float] = []
    labels: list[str | None] = []
    for row in session.rows("estimates"):
        times_s.append(row[0])
        labels.append(row[8])
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else GRID_S
    known = (
        (time_s - step_s, time_s, LABELS.index(label))
        for time_s, label in zip(times_s, labels, strict=True)
        if label in LABELS
    )
    return on_grid(known, n_cells)


def _tier(tier: str, codes: dict[str, Codes], labels: list[str], estimates: Codes) -> TierAgreement:
    raters = tuple(codes)
    pairs = tuple(_pair(a, codes[a], b, codes[b]) for a, b in combinations(raters, 2))
    of_all = np.stack(list(codes.values()))
    against = []
    if any(label in LABELS for label in labels):
        for rater in raters:
            # Labels that are no emotion are nothing the estimates could agree with.
            emotions = np.where(codes[rater] < len(LABELS), codes[rater], UNMARKED)
            pair = _pair(rater, emotions.astype(np.int32), "estimates", estimates)
            against.append(replace(pair, kappa=float("nan")))
    return TierAgreement(
        tier=tier,
        raters=raters,
        labels=tuple(labels),
        pairs=pairs,
        fleiss=fleiss_kappa(_counts(of_all)),
        fleiss_all=fleiss_kappa(_counts(of_all[:, (of_all != UNMARKED).all(axis=0)])),
        estimates=tuple(against),
    )


def _pair(first: str, a: Codes, second: str, b: Codes) -> Pair:
    both = (a != UNMARKED) & (b != UNMARKED)
    n_both = int(both.sum())
    return Pair(
        first=first,
        second=second,
        kappa=cohen_kappa(a, b),
        kappa_both=cohen_kappa(a[both], b[both]),
        agreement_both=float(np.mean(a[both] == b[both])) if n_both else float("nan"),
        n_cells=len(a),
        n_both=n_both,
    )


def _counts(codes: Codes) -> npt.NDArray[np.int64]:
    """(raters, cells) of codes to (cells, categories) of counts."""
    if not codes.size:
        return np.zeros((0, 0), np.int64)
    return np.stack([(codes == category).sum(axis=0) for category in np.unique(codes)], axis=1)
