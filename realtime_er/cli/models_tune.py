"""``realtime-er models tune``: the fastest form of each published encoder on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import notice
from realtime_er.errors import ConfigError

if TYPE_CHECKING:
    from realtime_er.encoders.runtimes.choice import Choice


def tune_models(
    config: options.ConfigName = None,
    settings: options.Settings = None,
    redo: Annotated[
        bool, typer.Option("--redo", help="Also where it was done before on this machine.")
    ] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="Delete everything that was exported, and end.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Find out what runs the published encoders fastest on this machine, and remember it.

    Exports them for ONNX Runtime and OpenVINO, in 32 and in 8 bits, times every form for two
    seconds, and takes the fastest that gives what torch gives on 200 inputs: faces, sound and
    words of the bundled clip, varied. Takes some minutes and about 1.2 GB in the user's cache.
    Shows what is remembered where that was done before.
    """
    settled = options.configure(config, settings, "paper")
    if settled.models.bundle != "paper":
        raise ConfigError("only the published encoders have several forms; give --config paper")
    if clear:
        from realtime_er.encoders.runtimes.store import clear as clear_store

        typer.echo(f"freed {clear_store() / 1e6:.0f} MB")
        return
    from realtime_er.bundles.paper import PaperBundle
    from realtime_er.messages import MODALITIES

    found: dict[str, Choice] = {}
    for name in MODALITIES:
        # One after the other: every form of a network is in memory while they are compared.
        bundle = PaperBundle(settled)
        bundle.load({name})
        found |= bundle.tune(redo=redo, tell=notice)
    _show(found)


def _show(choices: dict[str, Choice]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="published encoders on this machine", title_justify="left")
    for column in ("model", "form", "ms per call", ""):
        table.add_column(column, overflow="fold")
    for name, choice in choices.items():
        forms = sorted(choice.cost_ms, key=choice.cost_ms.__getitem__)
        for form in [*forms, *(set(choice.refused) - set(forms))]:
            cost_ms = choice.cost_ms.get(form)
            said = f"refused: {choice.refused[form]}" if form in choice.refused else ""
            if form == str(choice.form):
                said = "used" + (f": {choice.agreement}" if choice.agreement else "")
            table.add_row(name, form, "-" if cost_ms is None else f"{cost_ms:.1f}", said)
    Console(highlight=False).print(table)
