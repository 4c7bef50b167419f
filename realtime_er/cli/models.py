"""``realtime-er models``: what ships, what can be fetched, and whether it is intact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import FAILED, guarded, notice
from realtime_er.cli.models_tune import tune_models
from realtime_er.errors import ConfigError

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
    settled = options.configure(config, settings, "live")
    if settled.models.bundle != "paper":
        _list_cards(settled, every=every)
    _list_published(settled)


def _list_cards(settled: Config, *, every: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from realtime_er.encoders.bundle import KINDS, bundle_dir, load_card
    from realtime_er.errors import ModelError
    from realtime_er.perception.whisper import HOW_TO_INSTALL, find_model

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


def _list_published(settled: Config) -> None:
    from rich.console import Console
    from rich.table import Table

    from realtime_er.cli import models_paper

    table = Table(title="bundle 'paper' (--config paper)", title_justify="left")
    for column in ("model", "where", "licence"):
        table.add_column(column, overflow="fold")
    for row in models_paper.rows(settled):
        table.add_row(*row)
    Console(highlight=False).print(table)


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
    bundle: Annotated[
        str | None, typer.Option("--bundle", metavar="NAME", help="Which: compact or paper.")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Check every model file against the hash it should have.

    One line for each file: state, model, sha256, licence, path. Files of the paper bundle that
    realtime-er did not fetch are unlocked: nothing says what their hash should be.
    """
    settled = options.configure(config, settings, "live", {"models.bundle": bundle})
    if settled.models.bundle == "paper":
        _check_published(settled)
        return
    from realtime_er.encoders.bundle import bundle_dir, load_card

    problems = 0
    for kind, problem in verify(settled):
        if problem:
            problems += 1
            notice(f"error: {problem}")
            continue
        models = settled.models
        card = load_card(bundle_dir(models.bundle, kind, models.directory), verify=False)
        for path, sha256 in card.files:
            typer.echo(_line("ok", kind, sha256, card.licence, path))
    if problems:
        raise typer.Exit(FAILED)


def _check_published(settled: Config) -> None:
    from realtime_er.cli import models_paper
    from realtime_er.encoders.paper.locked import GET

    wrong = 0
    found = models_paper.files(settled)
    for kind, file in found:
        wrong += file.state in models_paper.WRONG
        typer.echo(_line(file.state, kind, file.sha256, file.licence, file.path))
    if wrong:
        notice(f"error: {wrong} of {len(found)} files are missing or changed; run: {GET}")
        raise typer.Exit(FAILED)


def _line(state: str, kind: str, sha256: str, licence: str, path: Path) -> str:
    return f"{state:8}  {kind:8}  {sha256 or '-' * 64}  {licence}  {path}"


def get_models(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Which: paper.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Into this folder, for a machine offline."),
    ] = None,
    revision: Annotated[
        list[str] | None,
        typer.Option(
            "--revision",
            metavar="MODALITY=COMMIT",
            help="Not the newest but this one; may be repeated.",
        ),
    ] = None,
    config: options.ConfigName = None,
    settings: options.Settings = None,
    debug: options.Debug = False,
) -> None:
    """Fetch the published encoders from the hub, about 0.8 GB, and check every file.

    Goes on where an earlier run was stopped. What was fetched is locked: hashes, commits and
    licences stand in realtime_er-lock.json beside the files.
    """
    if bundle == "compact":
        raise ConfigError("the compact bundle ships with realtime_er; there is nothing to fetch")
    if bundle != "paper":
        raise ConfigError(f"bundle {bundle!r}: only paper can be fetched")
    from realtime_er.cli import models_paper

    settled = options.configure(config, settings, "paper")
    models = models_paper.get(settled, to, models_paper.revisions(revision or []))
    for name, model in models.items():
        typer.echo(f"{name}: {model.repo}@{model.revision}, licence {model.licence}")
    if to is not None:
        chosen = " ".join(f"--set paper.{name}={(to / name).absolute()}" for name in models)
        typer.echo(f"use them with: --config paper {chosen}")


def verify(config: Config) -> list[tuple[str, str]]:
    """(kind, what is wrong or "") of each model of the bundle in use."""
    from realtime_er.encoders.bundle import KINDS, bundle_dir, load_card
    from realtime_er.encoders.runtimes import onnx_session
    from realtime_er.errors import ModelError

    if config.models.bundle == "paper":
        from realtime_er.cli import models_paper

        return models_paper.problems(config)
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
models.command("get", epilog="Example: realtime-er models get paper")(guarded(get_models))
models.command("check", epilog="Example: realtime-er models check --bundle paper")(
    guarded(check_models)
)
models.command("tune", epilog="Example: realtime-er models tune")(guarded(tune_models))
