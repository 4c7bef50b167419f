"""What training on RAVDESS leaves behind: folds, and how the epoch was chosen, told everywhere."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from realtime_er.errors import CorpusError

RESULTS_FILE = "results.json"
HELD_OUT = "chosen on held-out actors"
BEST_ON_TEST = "best epoch ON THE TEST FOLD, as published"


@dataclass(frozen=True)
class FoldResult:
    """One fold.

    Attributes:
        fold: number from 1.
        test_actors: who was tested.
        val_actors: who chose the epoch; none with the published protocol.
        best_epoch: that was kept.
        accuracy: of the kept epoch on the test fold, share of 1.
        uar: likewise.
        last_accuracy: of the last epoch on the test fold, whatever was kept.
        clips: in the test fold.
    """

    fold: int
    test_actors: tuple[int, ...]
    val_actors: tuple[int, ...]
    best_epoch: int
    accuracy: float
    uar: float
    last_accuracy: float
    clips: int


@dataclass(frozen=True)
class RavdessResult:
    """All folds of one network that are finished.

    Attributes:
        head: name in the registry.
        folds: in order.
        of_folds: how many there are to do.
        selection: how the epoch was chosen, ``HELD_OUT`` or ``BEST_ON_TEST``.
    """

    head: str
    folds: tuple[FoldResult, ...]
    of_folds: int
    selection: str

    @property
    def accuracy(self) -> float:
        """Mean over the folds that are done, share of 1."""
        return sum(fold.accuracy for fold in self.folds) / len(self.folds)

    def told(self) -> str:
        """As it stands in tables: never without how the epoch was chosen."""
        count = f"{len(self.folds)}/{self.of_folds} folds"
        mark = "" if self.selection == HELD_OUT else ", best epoch on test"
        return f"{100 * self.accuracy:.1f} ({count}{mark})"

    def markdown(self) -> str:
        """A table of the folds."""
        lines = [
            f"## {self.head} on RAVDESS, {self.selection}",
            "",
            "| fold (test actors) | epoch | accuracy % | UAR % | last epoch % | clips |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for fold in self.folds:
            actors = f"{fold.test_actors[0]} to {fold.test_actors[-1]}"
            lines.append(
                f"| {fold.fold} ({actors}) | {fold.best_epoch} | {100 * fold.accuracy:.2f} "
                f"| {100 * fold.uar:.2f} | {100 * fold.last_accuracy:.2f} | {fold.clips} |"
            )
        done = len(self.folds)
        last = sum(fold.last_accuracy for fold in self.folds) / done
        uar = sum(fold.uar for fold in self.folds) / done
        lines += [
            f"| mean of {done} of {self.of_folds} | | **{100 * self.accuracy:.2f}** "
            f"| {100 * uar:.2f} | {100 * last:.2f} | |",
            "",
        ]
        if self.selection == BEST_ON_TEST:
            lines += [
                "The epoch was chosen by its accuracy on the very clips it is scored on, as "
                "published. This is what was possible, not what to expect of new people; leave "
                "--published-split out for that.",
                "",
            ]
        return "\n".join(lines)


def write_results(folder: Path, result: RavdessResult) -> None:
    """Writes ``results.json`` and ``results.md`` into a network's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {**asdict(result), "accuracy": result.accuracy}
    (folder / RESULTS_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(result.markdown(), encoding="utf-8")


def read_result(path: Path) -> RavdessResult:
    """Reads a ``results.json``.

    Raises:
        CorpusError: it is something else.
    """
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        folds = tuple(
            FoldResult(
                int(one["fold"]),
                tuple(int(actor) for actor in one["test_actors"]),
                tuple(int(actor) for actor in one["val_actors"]),
                int(one["best_epoch"]),
                _share(one["accuracy"]),
                _share(one["uar"]),
                _share(one["last_accuracy"]),
                int(one["clips"]),
            )
            for one in raw["folds"]
        )
        if not folds or raw["selection"] not in (HELD_OUT, BEST_ON_TEST):
            raise ValueError("no fold, or an unknown selection")
        return RavdessResult(str(raw["head"]), folds, int(raw["of_folds"]), str(raw["selection"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path}: not results of a RAVDESS training ({error})") from error


def read_results(folder: Path) -> dict[str, RavdessResult]:
    """Results of every network under a folder, by head; held-out ones win over published ones.

    Raises:
        CorpusError: there is no such folder, or a file in it is something else.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder of RAVDESS results")
    found: dict[str, RavdessResult] = {}
    for path in sorted(folder.glob(f"**/{RESULTS_FILE}")):
        result = read_result(path)
        known = found.get(result.head)
        if known is None or known.selection != HELD_OUT:
            found[result.head] = result
    return found


def _share(value: object) -> float:
    share = float(str(value))
    if not (math.isfinite(share) and 0.0 <= share <= 1.0):
        raise ValueError(f"{value!r} is no share of 1")
    return share
