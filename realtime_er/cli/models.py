"""``realtime-er models``: what ships, what it may be used for, and whether it is intact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import FAILED, guarded, notice

if TYPE_CHECKING:
    from realtime_er.config import Config
    from realtime_er.encoders.bundle import Card

models = typer.Typer(
    help="The models of the bundle in use.",
    epilog="Example: realtime-er models list",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def list_models(
    config: options.ConfigName = None,
    settings: options.Settings = None,
    every: Annotated[bool, typer.Option("--all", help="Every figure of each card.")] = False,
    debug: options.Debug = False,
) -> None:
    """Show each model: what it learned from, how well it does, its licence."""
    from rich.console import Console
    from rich.table import Table

    from realtime_er.encoders.bundle import KINDS, bundle_dir, load_card
    from realtime_er.errors import ModelError
    from realtime_er.perception.whisper import HOW_TO_INSTALL, find_model

    settled = options.configure(config, settings, "live")
    table = Table(title=f"bundle {settled.models.bundle!r}", title_justify="left")
    for column in ("model", "learned from", "how well", "licence"):
        table.add_column(column, overflow="fold")
    problems = []
    for kind in KINDS:
        chosen = settled.models
        try:
            card = load_card(bundle_dir(chosen.bundle, kind, chosen.directory), verify=False)
        except ModelError as error:
            problems.append(str(error))
            continue
        data = str(card.raw.get("training", {}).get("data", "-"))
        table.add_row(card.id, data, _metrics(card, every=every), card.licence)
    console = Console(highlight=False)
    console.print(table)
    whisper = find_model(settled.asr.model)
    console.print(f"speech recognition: {whisper or HOW_TO_INSTALL}", soft_wrap=True, markup=False)
    for problem in problems:
        notice(f"error: {problem}")
    if problems:
        raise typer.Exit(FAILED)


def _metrics(card: Card, *, every: bool) -> str:
    metrics = card.raw.get("metrics", {})
    # A card may name its headline; its first two figures otherwise.
    names = list(metrics) if every else card.raw.get("headline", list(metrics)[:2])
    shown = []
    for name in names:
        metric = metrics.get(name)
        if isinstance(metric, dict) and isinstance(metric.get("value"), int | float):
            low, high = metric.get("interval_95") or (None, None)
            interval = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
            shown.append(f"{name} {metric['value']:.3f}{interval}")
    return "\n".join(shown) or "-"


def check_models(
    config: options.ConfigName = None,
    settings: options.Settings = None,
    debug: options.Debug = False,
) -> None:
    """Check every model file against the hash in its card, and load it."""
    settled = options.configure(config, settings, "live")
    problems = 0
    for kind, problem in verify(settled):
        if problem:
            problems += 1
            notice(f"error: {problem}")
        else:
            typer.echo(f"{kind}: intact")
    if problems:
        raise typer.Exit(FAILED)


def verify(config: Config) -> list[tuple[str, str]]:
    """(kind, what is wrong or "") of each model of the bundle in use."""
    from realtime_er.encoders.bundle import KINDS, bundle_dir, load_card
    from realtime_er.encoders.runtimes import onnx_session
    from realtime_er.errors import ModelError

    found = []
    for kind in KINDS:
        try:
            card = load_card(bundle_dir(config.models.bundle, kind, config.models.directory))
            if card.path.suffix == ".onnx":
                onnx_session(card.path)
            found.append((kind, ""))
        except ModelError as error:
            found.append((kind, str(error)))
        except Exception as error:  # noqa: BLE001 - ONNX Runtime has no public base exception
            found.append((kind, f"the {kind} model cannot be loaded: {error}"))
    return found


models.command("list", epilog="Example: realtime-er models list")(guarded(list_models))
models.command("check", epilog="Example: realtime-er models check")(guarded(check_models))
