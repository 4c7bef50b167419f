"""What the commands that train share: where the data are, the recipe's file, lines of progress."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from realtime_er.config import read_settings
from realtime_er.errors import ConfigError, ModelError
from realtime_er.resources import resource_dir

if TYPE_CHECKING:
    from realtime_er.training.progress import Progress

R = TypeVar("R")

_SAY_EVERY_S = 60.0
NEEDS_TORCH = 'training needs torch: pip install "realtime_er[train]"'

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="The corpora; default: REALTIME_ER_DATA."),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder that gets the model's folder.")
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Recipe, a TOML file; default: the one that ships."
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Seed of everything random, if not its.")
]
Epochs = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Passes over the data, if not its.")
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="Torch threads.")]


def recipe(cls: type[R], name: str, given: Path | None, **changed: int | None) -> R:
    """The recipe of a trainer.

    Args:
        cls: its dataclass.
        name: of the file that ships, ``config/train/NAME.toml``.
        given: what ``--config`` gave instead.
        changed: settings with options of their own; None leaves the file's.

    Raises:
        ConfigError: no such file, or one with an unknown key or a bad value.
    """
    if given is not None and not given.is_file():
        raise ConfigError(f"--config {given}: no such recipe; write a .toml file's path")
    found: Any = read_settings(cls, given or resource_dir("config") / "train" / f"{name}.toml")
    options = {key: value for key, value in changed.items() if value is not None}
    settled: R = dataclasses.replace(found, **options)
    return settled


def corpora(data: Path | None) -> Path:
    """The folder of corpora, from the option or the environment.

    Raises:
        ConfigError: neither says where, or there is no such folder.
    """
    named = data or (
        Path(os.environ["REALTIME_ER_DATA"]) if "REALTIME_ER_DATA" in os.environ else None
    )
    if named is None:
        raise ConfigError("where are the corpora? give --data DIR or set REALTIME_ER_DATA")
    if not named.is_dir():
        raise ConfigError(f"--data {named}: no such folder")
    return named


def need_torch() -> None:
    """Say what to install when torch is not there.

    Raises:
        ModelError: it is not.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ModelError(NEEDS_TORCH) from error


@contextlib.contextmanager
def epochs_shown() -> Iterator[Callable[[Progress], None]]:
    """A line after each epoch and, on a terminal, a bar within it; elsewhere a line a minute."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    said_s = 0.0
    with Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        task = bars.add_task("", total=1.0, visible=False)

        def tell(state: Progress) -> None:
            nonlocal said_s
            over = state.part >= 1.0
            said_s = min(said_s, state.elapsed_s)  # another run may have begun
            if over or (not console.is_terminal and state.elapsed_s - said_s >= _SAY_EVERY_S):
                said_s = state.elapsed_s
                report(state)
            about = f"{state.run} epoch {state.epoch} of {state.epochs}, loss {state.loss:.4g}"
            bars.update(task, description=about.strip(), completed=state.part, visible=not over)

        yield tell


def report(progress: object) -> None:
    """One line for each of a trainer's reports, whatever fields it has."""
    if not dataclasses.is_dataclass(progress):
        typer.echo(str(progress))
        return
    shown = []
    for field in dataclasses.fields(progress):
        value = getattr(progress, field.name)
        if value is None or value == "":
            continue
        shown.append(
            f"{field.name} {value:.4g}" if isinstance(value, float) else f"{field.name} {value}"
        )
    typer.echo("  ".join(shown))
