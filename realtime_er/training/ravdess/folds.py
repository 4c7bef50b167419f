"""Folds of RAVDESS by actors: named, saved, and with actors of their own to choose the epoch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from realtime_er.errors import ConfigError

N_ACTORS = 24
ACTORS_PER_FOLD = 4


@dataclass(frozen=True)
class Fold:
    """Who trains, chooses and tests.

    Attributes:
        number: from 1.
        train: actors.
        val: actors who choose the epoch; none where the test fold does, as published.
        test: actors.
    """

    number: int
    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class Splits:
    """Folds under a name.

    Attributes:
        name: "cfn-sr-5", "msaf-6", or what a file says.
        folds: in order.
    """

    name: str
    folds: tuple[Fold, ...]

    def to_json(self) -> str:
        """As ``load_splits`` reads it."""
        return json.dumps(asdict(self), indent=1) + "\n"


def make_splits(name: str, *, published: bool = False) -> Splits:
    """The published folds: runs of four consecutive actors, so two women and two men each.

    Args:
        name: "msaf-6" for all six; "cfn-sr-5" for the first five, which never test actors 21 to 24
            (they always train, or choose the epoch of the fifth fold).
        published: nobody is held out to choose the epoch.

    Raises:
        ConfigError: another name.
    """
    counts = {"cfn-sr-5": 5, "msaf-6": 6}
    if name not in counts:
        raise ConfigError(f"--splits {name}: {' or '.join(counts)}, or a JSON file")
    everybody = range(1, N_ACTORS + 1)
    folds = []
    for index in range(counts[name]):
        test = _run(index)
        val = () if published else _run((index + 1) % (N_ACTORS // ACTORS_PER_FOLD))
        train = tuple(actor for actor in everybody if actor not in test + val)
        folds.append(Fold(index + 1, train, val, test))
    return Splits(name, tuple(folds))


def _run(index: int) -> tuple[int, ...]:
    first = ACTORS_PER_FOLD * index + 1
    return tuple(range(first, first + ACTORS_PER_FOLD))


def load_splits(path: Path, *, published: bool = False) -> Splits:
    """Folds from a file.

    Args:
        path: as ``Splits.to_json`` writes it.
        published: those who would choose the epoch train instead.

    Raises:
        ConfigError: no such file, no such contents, or an actor stands in two parts of a fold.
    """
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        folds = tuple(
            Fold(int(one["number"]), *(_actors(one[part]) for part in ("train", "val", "test")))
            for one in raw["folds"]
        )
        splits = Splits(str(raw["name"]), folds)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--splits {path}: not a file of folds ({error})") from error
    if published:
        moved = (Fold(f.number, tuple(sorted(f.train + f.val)), (), f.test) for f in splits.folds)
        splits = Splits(splits.name, tuple(moved))
    check_splits(splits, str(path), published=published)
    return splits


def check_splits(splits: Splits, where: str, *, published: bool) -> None:
    """Refuses folds in which somebody teaches and is tested.

    Raises:
        ConfigError: parts overlap, one is empty, or two folds have one number.
    """
    if not splits.folds:
        raise ConfigError(f"{where}: holds no fold")
    for fold in splits.folds:
        parts = {"train": fold.train, "val": fold.val, "test": fold.test}
        for name, actors in parts.items():
            if not actors and not (name == "val" and published):
                raise ConfigError(f"{where}: fold {fold.number} has nobody in its {name} part")
        together = [actor for actors in parts.values() for actor in actors]
        twice = sorted({actor for actor in together if together.count(actor) > 1})
        if twice:
            raise ConfigError(f"{where}: fold {fold.number} has actor {twice[0]} in two parts")
    numbers = [fold.number for fold in splits.folds]
    if len(set(numbers)) < len(numbers):
        raise ConfigError(f"{where}: two folds have the same number")


def _actors(values: list[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
