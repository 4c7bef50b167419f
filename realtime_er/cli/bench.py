"""``realtime-er bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import notice


def bench(
    bundle: Annotated[
        str, typer.Option("--bundle", metavar="compact|paper", help="Which models.")
    ] = "compact",
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", help="Length of the live run.")
    ] = 30.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures there.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            metavar="FILE",
            help="A recording with a face and speech [the bundled clip, scaled to 720p].",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="PART",
            help="live, start, analyze, reencoding, backends, overhead or display; repeatable.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="DIR",
            help="Keep random weights for the paper bundle there (770 MB), and use them again.",
        ),
    ] = None,
    settings: options.Settings = None,
    debug: options.Debug = False,
) -> None:
    """Measure speed on this machine, and compare with the goals.

    Takes three minutes with the compact bundle. Leave the machine alone meanwhile.
    """
    from realtime_er.errors import ConfigError

    if bundle not in ("compact", "paper"):
        raise ConfigError(f"--bundle must be compact or paper, not {bundle!r}")
    if not 5 <= seconds <= 86_400:
        raise ConfigError(f"--seconds must be from 5 to 86400, not {seconds:g}")
    if json_file is not None and not json_file.parent.is_dir():
        raise ConfigError(f"--json {json_file}: no folder {json_file.parent}")
    given = dict(options.parse_setting(setting) for setting in settings or [])

    from rich.console import Console

    from realtime_er.bench.report import print_results, write_json
    from realtime_er.bench.run import Wish, measure

    wish = Wish(bundle, seconds, source, only=tuple(only or ()), weights=weights, settings=given)
    results = measure(wish, lambda text: notice(f"{text} ..."))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120  # in a file nothing has to be cut off
    print_results(results, console)
    if json_file is not None:
        write_json(results, json_file)
        console.print(f"figures: {json_file}", soft_wrap=True, markup=False)
