"""``realtime-er evaluate compare``: every fusion head on the same features and folds, one table.

Heads on vectors and sequences are trained here, from scratch, with one recipe. Networks on feature
maps need videos: they stand in the table with parameters and latency, and with accuracy where
``realtime-er train NAME --data RAVDESS`` has left its results.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from realtime_er.errors import ConfigError, ModelError
from realtime_er.fusion.gated_alignment import GatedAlignment
from realtime_er.fusion.head import softmax
from realtime_er.fusion.registry import HEADS, Reads, kind_of
from realtime_er.messages import MODALITIES
from realtime_er.training.compare.features import Corpus, fold_rows
from realtime_er.training.compare.heads import (
    ALL,
    Auxiliary,
    FittedHead,
    Pool,
    call_ms,
    compact_scores,
    fit_compact,
    parameter_count,
    save_compact,
)
from realtime_er.training.compare.table import HeadRow, crossed_interval, map_rows
from realtime_er.training.evaluate.report import machine
from realtime_er.training.metrics import expected_calibration_error, unweighted_average_recall
from realtime_er.training.recipes import FusionRecipe

RECIPE = FusionRecipe(epochs=10, triples=2100)
"""The shipped head's, shorter: with a part that chooses the epoch the rest would be thrown away."""
TEST_TRIPLES = 7 * 150
_MEM_WEIGHT = 0.1


class _Alignment:
    """Foal-Net's losses beside the gated head's own, weighted as published."""

    def __init__(self, net: nn.Module, seed: int) -> None:
        self._losses = GatedAlignment(net)  # type: ignore[arg-type]
        self._draws = torch.Generator().manual_seed(seed)
        self.parameters = self._losses.parameters

    def __call__(self, inputs: list[Tensor], labels: Tensor) -> Tensor:
        found = self._losses(*inputs[:4], labels, self._draws)
        loss: Tensor = found.avel + _MEM_WEIGHT * found.mem
        return loss


@dataclass(frozen=True)
class Variant:
    """One trained row: a head of the registry, and what is trained beside it.

    Attributes:
        title: in the table.
        head: name in the registry.
        reads: what it is fed.
        auxiliary: makes a further loss from the network and a seed; only training has it.
    """

    title: str
    head: str
    reads: Reads
    auxiliary: Callable[[nn.Module, int], Auxiliary] | None = None


def variants(heads: Sequence[str] = ()) -> list[Variant]:
    """The rows that are trained: every head on vectors or sequences, or those that are named.

    Raises:
        ConfigError: a name is none of the registry's.
    """
    for name in heads:
        kind_of(name)
    found = [
        Variant(kind.title, name, reads)
        for name, kind in HEADS.items()
        for reads in kind.reads
        if reads != "maps" and (not heads or name in heads)
    ]
    if not heads or "gated" in heads:
        found.append(Variant("gated, sigmoid + AVEL + MEM", "gated", "statistics", _Alignment))
    return found


@dataclass
class _Seen:
    """What a head said about test triples, over folds and seeds."""

    truth: list[npt.NDArray[np.int64]]
    probabilities: list[npt.NDArray[np.float32]]
    factors: list[npt.NDArray[np.int64]]
    train_s: list[float]


def compare(
    corpus: Corpus,
    out_dir: Path,
    *,
    models_dir: Path,
    folds: int = 4,
    seeds: int = 1,
    recipe: FusionRecipe = RECIPE,
    heads: Sequence[str] = (),
    save_dir: Path | None = None,
    ravdess_dir: Path | None = None,
    map_calls: int = 2,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Trains and scores the heads, and writes ``compare.md`` and ``compare.json``.

    Args:
        corpus: cached clips of every modality.
        out_dir: receives the files; made if it is not there.
        models_dir: folder of the encoders, for the cards of saved heads.
        folds: parts that pictures, speakers and texts are divided into; each tests once.
        seeds: heads per fold.
        recipe: of every head; its seed is that of the first.
        heads: names; empty for all.
        save_dir: receives a live model folder for every head on vectors (that of the first fold
            and seed).
        ravdess_dir: what ``realtime-er train NAME --data RAVDESS`` wrote.
        map_calls: timed calls of each network on feature maps; 0 leaves them out of the table.
        say: told what is being done.

    Returns:
        The table as Markdown.

    Raises:
        ConfigError: an unknown head, or folds that cannot be.
        CorpusError: a part of a fold lacks a label.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds}: at least 1")
    wanted = variants(heads)
    divided = [fold_rows(corpus, folds, fold) for fold in range(folds)]
    out_dir.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, variant in enumerate(wanted, 1):
        say(f"{number}/{len(wanted)} {variant.title}")
        rows.append(
            _measured(variant, corpus, divided, seeds, recipe, models_dir=models_dir,
                      save_dir=save_dir, say=say)
        )  # fmt: skip
    if map_calls:
        rows += map_rows(heads, map_calls, ravdess_dir, say)
    table = _markdown(rows, folds, seeds, recipe, corpus)
    (out_dir / "compare.md").write_text(table, encoding="utf-8")
    record = {
        "rows": [asdict(row) for row in rows],
        "folds": folds,
        "seeds": seeds,
        "recipe": asdict(recipe),
        "machine": machine(),
    }
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (out_dir / "compare.json").write_text(text, encoding="utf-8")
    return table


def _measured(
    variant: Variant,
    corpus: Corpus,
    divided: Sequence[dict[str, Any]],
    seeds: int,
    recipe: FusionRecipe,
    *,
    models_dir: Path,
    save_dir: Path | None,
    say: Callable[[str], None],
) -> HeadRow:
    seen = _Seen([], [], [], [])
    parameters, latency_ms = 0, 0.0
    for fold, parts in enumerate(divided):
        pools = {part: Pool(corpus, rows, variant.reads) for part, rows in parts.items()}
        test = pools["test"]
        for number in range(seeds):
            how = replace(recipe, seed=recipe.seed + number)
            fitted = fit_compact(
                variant.head, variant.reads, pools["train"], pools["val"], how,
                auxiliary=variant.auxiliary,
            )  # fmt: skip
            # Every head is asked about the same triples.
            rows, truth = test.draw(TEST_TRIPLES, np.random.default_rng(1000 * number + fold))
            scores = compact_scores(fitted.net, test, rows) / fitted.temperature
            seen.truth.append(truth)
            seen.probabilities.append(softmax(scores))
            seen.factors.append(
                np.stack([parts["test"][name][rows[name]] for name in MODALITIES], axis=1)
            )
            seen.train_s.append(fitted.train_s)
            if fold == 0 and number == 0:
                parameters = parameter_count(fitted.net)
                one = {name: chosen[:1] for name, chosen in rows.items()}
                latency_ms = call_ms(fitted.net, test.inputs(one, torch.ones(1, 3)))
                if save_dir is not None and variant.reads == "statistics":
                    try:
                        _save(variant, fitted, pools, how, models_dir, save_dir, seen)
                    except ModelError as error:
                        # Minutes of training for the table must not be lost for it.
                        say(f"not saved: {error}")
    return _row(variant, corpus, seen, parameters, latency_ms)


def _row(
    variant: Variant, corpus: Corpus, seen: _Seen, parameters: int, latency_ms: float
) -> HeadRow:
    truth, probabilities = np.concatenate(seen.truth), np.concatenate(seen.probabilities)
    rows = np.concatenate(seen.factors)
    # A picture, a speaker, a text: what a new sample of the world would have drawn anew.
    factors = np.stack(
        [
            np.unique(corpus[name].groups, return_inverse=True)[1][rows[:, place]]
            for place, name in enumerate(MODALITIES)
        ],
        axis=1,
    )
    guess = probabilities.argmax(axis=1)
    return HeadRow(
        head=variant.head,
        title=variant.title,
        reads=variant.reads,
        parameters=parameters,
        uar=unweighted_average_recall(truth, guess),
        interval_95=crossed_interval(truth, guess, factors),
        ece=expected_calibration_error(truth, probabilities),
        train_s=float(np.mean(seen.train_s)),
        call_ms=latency_ms,
    )


def _save(
    variant: Variant,
    fitted: FittedHead,
    pools: dict[str, Pool],
    recipe: FusionRecipe,
    models_dir: Path,
    save_dir: Path,
    seen: _Seen,
) -> None:
    name = variant.head if variant.auxiliary is None else f"{variant.head}-aligned"
    uar = unweighted_average_recall(seen.truth[0], seen.probabilities[0].argmax(axis=1))
    save_compact(
        save_dir / name,
        variant.head,
        fitted,
        pools["val"],
        models_dir,
        recipe=recipe,
        metrics={
            f"{ALL}.uar": {
                "value": round(uar, 4), "n": TEST_TRIPLES, "split": "test part of fold 1",
                "seed": recipe.seed,
            }
        },
        split="fold 1: groups of its own train, choose the epoch and test",
    )  # fmt: skip


def _markdown(
    rows: Sequence[HeadRow], folds: int, seeds: int, recipe: FusionRecipe, corpus: Corpus
) -> str:
    on = machine()
    speakers = len(np.unique(corpus["audio"].groups))
    lines = [
        "## Fusion heads compared",
        "",
        f"{folds} folds over pictures, speakers and texts, {seeds} seed{'s' if seeds > 1 else ''}, "
        f"{recipe.epochs} epochs of {recipe.triples} triples; {on['cpu']}, {on['system']}.",
        "",
        "| head | reads | parameters | UAR % | 95 % interval | ECE | training s | call ms "
        "| RAVDESS % here | published¹ |",
        "|---|---|---:|---:|---|---:|---:|---:|---|---:|",
        *(row.line() for row in rows),
        "",
        "¹ RAVDESS accuracy as published, with the published parameters: the mean over folds of the "
        "best epoch *on the test fold*. A number chosen on its own test says what was possible, not "
        "what to expect: CFN-SR's own log has 75.67 % at each fold's best epoch and 66.50 % at the "
        "last one. Nothing here is chosen on a test fold.",
        "",
        f"- UAR, interval and ECE: label-matched triples of FER+ valid faces, {speakers} held-out "
        "speakers and GoEmotions and MELD dev texts, seven emotions; not one person's real clips, so "
        "real use is worse. The interval draws pictures, speakers and texts anew.",
        "- The epoch and the temperature are found on a fold of its own, never on the test fold. "
        "Training s: one head, one fold. Call ms: median of one call, one thread, torch.",
        "- Reads: statistics are mean and deviation over time; maps are feature maps inside two "
        "encoders (parameters and latency include them), whose accuracy needs the videos: "
        "realtime-er train NAME --data RAVDESS.",
    ]
    return "\n".join(lines) + "\n"
