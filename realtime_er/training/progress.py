"""What a training tells while it runs: now and then within an epoch, and after each, which it keeps."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 1.0
_COLUMNS = ("run", "epoch", "loss", "held_out_loss", "elapsed_s")


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        epoch: Number, from 1, of the epoch that runs or is over.
        epochs: How many there are.
        loss: Mean over the epoch's batches so far.
        elapsed_s: Seconds since it was begun or gone on with.
        run: Which of several trainings ("fold 1"); "" where there is one.
        part: Share of the epoch that is done; 1 when it is over.
        held_out_loss: Of rows that are not learned; None within an epoch or without such rows.
    """

    epoch: int
    epochs: int
    loss: float
    elapsed_s: float
    run: str = ""
    part: float = 1.0
    held_out_loss: float | None = None


Tell = Callable[[Progress], None]


class Course:
    """Follows one training: tells of it, and keeps a curve. Owned by the thread that trains.

    Args:
        epochs: How many there are.
        done: Epochs that a run before has finished; lines of later ones are taken off the curve.
        run: Which of several trainings.
        tell: Called at most once a second within an epoch, and after each.
        curves: A CSV file that gets a line after each epoch, beside those of other runs.
    """

    def __init__(
        self,
        epochs: int,
        *,
        done: int = 0,
        run: str = "",
        tell: Tell | None = None,
        curves: Path | None = None,
    ) -> None:
        self._epochs, self._epoch, self._run = epochs, done + 1, run
        self._tell, self._curves = tell, curves
        self._began_s = self._told_s = time.monotonic()
        self._losses: list[float] = []
        if curves is not None:
            _begin(curves, run, done)

    def batch(self, loss: float, of: int) -> None:
        """One more of ``of`` batches of this epoch is done."""
        self._losses.append(loss)
        now_s = time.monotonic()
        if self._tell is None or len(self._losses) >= of or now_s - self._told_s < _EVERY_S:
            return
        self._told_s = now_s
        self._tell(self._state(now_s, part=len(self._losses) / of))

    def epoch(self, held_out_loss: float | None = None) -> None:
        """The epoch is over, and what it has learned is kept."""
        state = self._state(time.monotonic(), held_out_loss=held_out_loss)
        self._epoch += 1
        self._losses.clear()
        if self._curves is not None:
            held = "" if held_out_loss is None else f"{held_out_loss:.5f}"
            row = (state.run, state.epoch, f"{state.loss:.5f}", held, f"{state.elapsed_s:.1f}")
            with self._curves.open("a", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerow(row)
        if self._tell is not None:
            self._tell(state)

    def _state(
        self, now_s: float, *, part: float = 1.0, held_out_loss: float | None = None
    ) -> Progress:
        loss = sum(self._losses) / max(1, len(self._losses))
        elapsed_s = now_s - self._began_s
        return Progress(self._epoch, self._epochs, loss, elapsed_s, self._run, part, held_out_loss)


def _begin(curves: Path, run: str, done: int) -> None:
    """Leave only the lines of other runs, and of the epochs that this one will not repeat."""
    kept: list[list[str]] = []
    if curves.is_file():
        with curves.open(encoding="utf-8", newline="") as stream:
            lines = [line for line in csv.reader(stream) if len(line) == len(_COLUMNS)]
        kept = [line for line in lines[1:] if line[0] != run or int(line[1]) <= done]
    curves.parent.mkdir(parents=True, exist_ok=True)
    with curves.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([list(_COLUMNS), *kept])
