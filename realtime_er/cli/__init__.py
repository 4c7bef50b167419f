"""The ``realtime-er`` command, one module per subcommand.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import os
import sys
import threading

import typer

from realtime_er.cli.analyze import analyze
from realtime_er.cli.bench import bench
from realtime_er.cli.demo import demo
from realtime_er.cli.devices import devices
from realtime_er.cli.doctor import doctor
from realtime_er.cli.evaluate import evaluation
from realtime_er.cli.export import export
from realtime_er.cli.extract import extract
from realtime_er.cli.guard import FAILED, guarded
from realtime_er.cli.live import live
from realtime_er.cli.models import models
from realtime_er.cli.purge import purge
from realtime_er.cli.repair import repair
from realtime_er.cli.replay import replay
from realtime_er.cli.sessions import sessions
from realtime_er.cli.training import training

app = typer.Typer(
    name="realtime-er",
    help="How a face, a voice and words read emotionally, live: estimates, not mind-reading.",
    epilog="Begin with: realtime-er demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"realtime-er {version('realtime_er')}")
        except PackageNotFoundError:
            typer.echo("realtime-er (not installed: run from its source folder)")
        raise typer.Exit


@app.callback()
def common(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and end."
    ),
) -> None:
    """How a face, a voice and words read emotionally, live: estimates, not mind-reading."""


app.command(epilog="Example: realtime-er demo --out demo-output")(guarded(demo))
app.command(epilog="Example: realtime-er live --camera 0 --seconds 60")(guarded(live))
app.command(epilog="Example: realtime-er analyze interview.mp4 recordings/ --out results")(
    guarded(analyze)
)
app.command(epilog="Example: realtime-er replay recordings/monday --speed 2 --rater anna")(
    guarded(replay)
)
app.command(epilog="Example: realtime-er sessions recordings")(guarded(sessions))
app.command(epilog="Example: realtime-er purge recordings --dry-run")(guarded(purge))
app.command(epilog="Example: realtime-er export recordings/monday --to eaf --to report")(
    guarded(export)
)
app.command(epilog="Example: realtime-er repair recordings/monday")(guarded(repair))
app.add_typer(training, name="train")
app.add_typer(evaluation, name="evaluate")
app.command(epilog="Example: realtime-er extract --corpus meld --data MELD.Raw --out features")(
    guarded(extract)
)
app.command(epilog="Example: realtime-er devices")(guarded(devices))
app.command(epilog="Example: realtime-er bench --bundle compact --json bench.json")(guarded(bench))
app.command(epilog="Example: realtime-er doctor")(guarded(doctor))
app.add_typer(models, name="models")


def main() -> None:
    """Entry point of the ``realtime-er`` command."""
    try:
        app()
    except SystemExit as ended:
        _leave_the_hung(ended)
        raise


def _leave_the_hung(ended: SystemExit) -> None:
    """End the process now when a worker hangs in a driver or a model and cannot be ended.

    The session has said so and closed everything else; Python would wait for that thread for good.
    """
    if any(thread.name.startswith("rter:") for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else FAILED)
