"""Rows of the comparison: intervals over crossed groups, and the networks on feature maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from realtime_er.fusion.ravdess import build_network, fusion_named
from realtime_er.fusion.registry import HEADS, heads_reading
from realtime_er.training.compare.heads import call_ms, parameter_count
from realtime_er.training.ravdess.results import RavdessResult, read_results


@dataclass(frozen=True)
class HeadRow:
    """One line of the table; None where there is nothing.

    Attributes:
        head: name in the registry.
        title: as it is shown.
        reads: "statistics", "sequence" or "maps".
        parameters: trained numbers, on maps with both encoders.
        uar: share of 1, on label-matched triples.
        interval_95: of it.
        ece: expected calibration error.
        train_s: of one head on one fold, seconds.
        call_ms: median of one call.
        ravdess: what was measured on the user's RAVDESS.
        published_percent: RAVDESS accuracy as published, best epoch on the test fold.
        published_millions: parameters as published.
    """

    head: str
    title: str
    reads: str
    parameters: int
    uar: float | None = None
    interval_95: tuple[float, float] | None = None
    ece: float | None = None
    train_s: float | None = None
    call_ms: float | None = None
    ravdess: RavdessResult | None = None
    published_percent: float | None = None
    published_millions: float | None = None

    def line(self) -> str:
        """As a line of Markdown."""
        interval = "-"
        if self.interval_95 is not None:
            interval = " to ".join(f"{100 * end:.1f}" for end in self.interval_95)
        published = "-"
        if self.published_percent is not None:
            published = f"{self.published_percent:.2f} ({self.published_millions:.2f} M)"
        cells = [
            self.title,
            self.reads,
            f"{self.parameters:,}",
            "-" if self.uar is None else f"{100 * self.uar:.1f}",
            interval,
            "-" if self.ece is None else f"{self.ece:.3f}",
            "-" if self.train_s is None else f"{self.train_s:.1f}",
            "-" if self.call_ms is None else f"{self.call_ms:,.{0 if self.call_ms >= 100 else 2}f}",
            "-" if self.ravdess is None else self.ravdess.told(),
            published,
        ]
        return f"| {' | '.join(cells)} |"


def crossed_interval(
    truth: npt.NDArray[np.int64],
    guess: npt.NDArray[np.int64],
    factors: npt.NDArray[np.int64],
    n_resamples: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % percentile interval of the UAR where rows cross several groups.

    Groups of every factor are drawn anew by themselves, and a row counts as often as the product of
    its groups' draws (Owen, "The pigeonhole bootstrap", 2007): a face that stands in a hundred
    triples is one piece of evidence, not a hundred.

    Args:
        truth: int64 [N].
        guess: int64 [N].
        factors: int64 [N, F], group of each row in each factor.
        n_resamples: how many.
        seed: the same seed gives the same interval.
    """
    rng = np.random.default_rng(seed)
    inverse = [np.unique(column, return_inverse=True)[1] for column in factors.T]
    classes, label = np.unique(truth, return_inverse=True)
    right = (truth == guess).astype(np.float64)
    values = []
    for _ in range(n_resamples):
        weight = np.ones(len(truth))
        for own in inverse:
            count = int(own.max()) + 1
            weight *= np.bincount(rng.integers(0, count, count), minlength=count)[own]
        there = np.bincount(label, weights=weight, minlength=len(classes))
        hits = np.bincount(label, weights=weight * right, minlength=len(classes))
        if (there > 0).any():
            values.append(float(np.mean(hits[there > 0] / there[there > 0])))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def map_rows(
    heads: Sequence[str],
    calls: int,
    results_dir: Path | None,
    say: Callable[[str], None] = lambda _: None,
) -> list[HeadRow]:
    """The networks on feature maps: built at their published size, timed, never trained here.

    Args:
        heads: names; empty for all.
        calls: timed calls of each.
        results_dir: what ``realtime-er train NAME --data RAVDESS`` wrote, or None.
        say: told what is being done.

    Raises:
        CorpusError: a file of results is not understood.
    """
    found = {} if results_dir is None else read_results(results_dir)
    names = [name for name in heads_reading("maps") if not heads or name in heads]
    rows = []
    for name in names:
        say(f"feature maps: {name}")
        torch.manual_seed(1)
        net = build_network(name).eval()
        inputs = [torch.zeros(1, 3, 30, 224, 224), torch.zeros(1, 13, 212)]
        published = fusion_named(name)
        rows.append(
            HeadRow(
                head=name,
                title=HEADS[name].title,
                reads="maps",
                parameters=parameter_count(net),
                call_ms=call_ms(net, inputs, calls),
                ravdess=found.get(name),
                published_percent=published.published_accuracy,
                published_millions=published.published_millions,
            )
        )
    return rows
