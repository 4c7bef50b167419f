"""``realtime-er replay``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import FAILED, notice
from realtime_er.errors import ConfigError

if TYPE_CHECKING:
    from realtime_er.cli.display import DisplayOptions
    from realtime_er.config import Config
    from realtime_er.messages import Estimate
    from realtime_er.recording.reader import RecordedSession


def replay(
    session: Annotated[Path, typer.Argument(metavar="SESSION", help="Folder of the recording.")],
    speed: Annotated[
        float, typer.Option("--speed", metavar="X", help="0.25 to 16; 1 is real time.")
    ] = 1.0,
    start: Annotated[
        float, typer.Option("--from", metavar="S", help="Begin at this second of the recording.")
    ] = 0.0,
    paused: Annotated[bool, typer.Option("--paused", help="Begin standing still.")] = False,
    no_sound: Annotated[bool, typer.Option("--no-sound", help="Play no sound.")] = False,
    rater: options.Rater = None,
    labels: options.Labels = None,
    display: options.Display = None,
    theme: options.Theme = "dark",
    screenshot: options.Screenshot = None,
    after: options.After = None,
    as_json: options.AsJson = False,
    seconds: options.Seconds = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compute the estimates again from the recorded evidence, compare, and end.",
        ),
    ] = False,
    recompute: Annotated[
        bool,
        typer.Option(
            "--recompute", help="Run the recorded media again into a new session, and end."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The new session [SESSION-recomputed]."),
    ] = None,
    config: options.ConfigName = None,
    settings: options.Settings = None,
    debug: options.Debug = False,
) -> None:
    """Play a recorded session, annotate it, or compute it again.

    --config and --set are for --check and --recompute; without them the settings are those of the
    recording.
    """
    from realtime_er.cli.display import DisplayOptions

    shown = DisplayOptions(display, as_json, False, theme, screenshot, after)
    shown.check()
    _check_options(check, recompute, out, config, settings, speed)
    if check:
        _check(session, _settled(session, config, settings))
    elif recompute:
        _recompute(session, out, _settled(session, config, settings))
    else:
        _play(session, shown, speed, start, paused, seconds, no_sound, rater, labels)


def _check_options(
    check: bool,
    recompute: bool,
    out: Path | None,
    config: str | None,
    settings: list[str] | None,
    speed: float,
) -> None:
    from realtime_er.recording.player import FASTEST, SLOWEST

    if check and recompute:
        raise ConfigError("--check reads the evidence, --recompute the media; do one at a time")
    if out is not None and not recompute:
        raise ConfigError("--out is where --recompute writes; give both")
    if (config or settings) and not (check or recompute):
        raise ConfigError(
            "--config and --set change nothing that was recorded; give them with --recompute"
        )
    if not SLOWEST <= speed <= FASTEST:
        raise ConfigError(f"--speed must be {SLOWEST:g} to {FASTEST:g}, not {speed:g}")


def _settled(session: Path, preset: str | None, settings: list[str] | None) -> Config:
    """The recording's own settings, or a preset, with what ``--set`` says."""
    from realtime_er.recording.manifest import read_manifest
    from realtime_er.recording.rebuild import recorded_config

    if preset is not None:
        return options.configure(preset, settings, preset)
    changes = dict(options.parse_setting(setting) for setting in settings or [])
    return recorded_config(read_manifest(session), changes)


def _check(session: Path, config: Config) -> None:
    from realtime_er.recompute import check

    with _progress(session) as update:
        compared = check(session, config, progress=update)
    typer.echo(f"{session}: {compared.line()}")
    if not compared.equal:
        raise typer.Exit(FAILED)


def _recompute(session: Path, out: Path | None, config: Config) -> None:
    from realtime_er.recompute import recompute

    with _progress(session) as update:
        done = recompute(session, out, config, progress=update)
    for text in done.notices:
        notice(f"note: {text}")
    typer.echo(f"{done.folder}: {done.verification.line}")
    typer.echo(f"against {session}: {done.comparison.line()}")


@contextlib.contextmanager
def _progress(session: Path) -> Iterator[Callable[[Estimate], None]]:
    """A bar on a terminal; yields what to tell each estimate."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from realtime_er.recording.reader import RecordedSession

    with RecordedSession.open(session) as recorded:
        start_s, end_s = recorded.span_s
    console = Console(highlight=False)
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.1f} of {task.total:.1f} s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(session.name, total=max(end_s - start_s, 0.1))

        def update(estimate: Estimate) -> None:
            progress.update(task, completed=max(0.0, estimate.time_s - start_s))

        yield update


def _play(
    session: Path,
    shown: DisplayOptions,
    speed: float,
    start: float,
    paused: bool,
    seconds: float | None,
    no_sound: bool,
    rater: str | None,
    labels: Path | None,
) -> None:
    from rich.console import Console

    from realtime_er.cli.playback import open_marks, play_lines, play_window
    from realtime_er.cli.window_recording import default_rater
    from realtime_er.clock import SessionClock
    from realtime_er.recording.player import Player
    from realtime_er.recording.reader import RecordedSession
    from realtime_er.recording.speaker import Speaker, open_speaker

    kind = shown.kind(terminal=Console().is_terminal)
    speaker: Speaker | None = None
    with RecordedSession.open(session) as recorded:
        if kind == "window" and not no_sound and shown.screenshot is None:
            speaker, why = open_speaker()
            if why:
                notice(f"note: {why}")
        with Player(recorded, clock=SessionClock(), speaker=speaker) as player:
            player.seek(player.span_s[0] + start)
            player.set_speed(speed)
            if kind != "window":
                play_lines(player, kind, seconds)
                return
            marks = open_marks(recorded, rater or default_rater(), labels)
            try:
                play_window(player, shown, _title(recorded), marks, paused=paused)
            finally:
                if marks is not None:
                    marks.close(player.position_s)
    if shown.screenshot is not None:
        typer.echo(f"screenshot: {shown.screenshot}")


def _title(recorded: RecordedSession) -> str:
    begun = recorded.manifest.started_at[:16].replace("T", " ")
    return f"{recorded.name}, recorded {begun} UTC" if begun else recorded.name
