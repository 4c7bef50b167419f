"""``realtime-er analyze``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import FAILED, notice

if TYPE_CHECKING:
    from rich.console import Console

    from realtime_er.analyze import AnalyzedSession, Batch, Outcome
    from realtime_er.config import Config
    from realtime_er.messages import Estimate


def analyze(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE|DIR...", help="Recordings, or folders of them.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where results go.")] = Path(
        "results"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Do finished recordings again.")
    ] = False,
    config: options.ConfigName = None,
    settings: options.Settings = None,
    no_video: options.NoVideo = False,
    no_audio: options.NoAudio = False,
    no_text: options.NoText = False,
    head: options.Head = None,
    asr_model: options.AsrModel = None,
    asr_download: options.AsrDownload = False,
    print_config: options.PrintConfig = False,
    debug: options.Debug = False,
) -> None:
    """Turn recordings into tables and pictures.

    As fast as the machine can. Recordings that are finished are not done again, so the same
    command goes on where it was stopped.
    """
    named = options.switches(no_video=no_video, no_audio=no_audio, no_text=no_text)
    settled = options.with_head(
        options.configure(config, settings, "analyze", named | {"asr.model": asr_model}), head
    )
    if print_config:
        typer.echo(options.to_toml(settled))
        return
    options.fetch_asr_model(settled, asr_download)

    from rich.console import Console

    from realtime_er.analyze import find_media

    files = find_media(paths)
    console = Console(highlight=False)
    outcomes = _run_all(files, out, settled, overwrite, console)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    skipped = sum(outcome.status == "skipped" for outcome in outcomes)
    done = len(outcomes) - len(failed) - skipped
    console.print(
        f"{done} done, {skipped} finished before, {len(failed)} failed; results in {out}",
        soft_wrap=True,
        markup=False,
    )
    for outcome in failed:
        notice(f"error: {outcome.reason}")
    if failed:
        raise typer.Exit(FAILED)


def _run_all(
    files: list[Path], out: Path, config: Config, overwrite: bool, console: Console
) -> list[Outcome]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from realtime_er.analyze import BatchStoppedError

    batch, durations = _open_batch(out, config, overwrite)
    outcomes: list[Outcome] = []
    with (
        Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.1f} of {task.total:.1f} s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress,
        _interruptible() as interrupted,
    ):
        said: set[str] = set()
        for number, path in enumerate(files, 1):
            task = progress.add_task(f"{number}/{len(files)} {path.name}", total=1.0)

            def update(session: AnalyzedSession, estimate: Estimate) -> None:
                for text in session.notices:
                    if text not in said:
                        said.add(text)
                        notice(f"note: {text}")
                if interrupted:
                    session.stop()
                    raise BatchStoppedError(
                        f"stopped; {len(outcomes)} of {len(files)} recordings are finished, "
                        "the same command goes on with the rest"
                    )
                total_s = durations.get(path, estimate.time_s)  # noqa: B023 - called at once
                progress.update(task, completed=estimate.time_s, total=total_s)  # noqa: B023

            outcome = batch.run(path, update)
            progress.remove_task(task)
            outcomes.append(outcome)
            _report(outcome, console)
    return outcomes


def _open_batch(out: Path, config: Config, overwrite: bool) -> tuple[Batch, dict[Path, float]]:
    from realtime_er.analyze import Batch, config_hash, model_ids
    from realtime_er.clock import SessionClock
    from realtime_er.models import Models
    from realtime_er.perception.whisper import find_model
    from realtime_er.session import Session
    from realtime_er.sources.media_file import MediaFile

    models = Models(config)  # loaded once, shared by the sessions
    durations: dict[Path, float] = {}

    def open_session(path: Path) -> Session:
        source = MediaFile(path)
        durations[path] = source.duration_s
        return Session(config, source=source, models=models)

    listens = config.asr.enabled and config.microphone.enabled
    whisper = find_model(config.asr.model) if listens else None
    batch = Batch(
        out,
        open_session,
        config=config_hash(config),
        models=model_ids(config, whisper),
        clock=SessionClock(),
        overwrite=overwrite,
    )
    return batch, durations


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Collects the first SIGINT or SIGTERM, which is acted on between estimates."""
    import signal
    from types import FrameType

    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _report(outcome: Outcome, console: Console) -> None:
    import numpy as np

    from realtime_er.cli.follow import score_line
    from realtime_er.messages import LABELS

    if outcome.status == "failed":
        console.print(f"{outcome.path}: failed", style="red", soft_wrap=True, markup=False)
        return
    record = outcome.record
    reads = "nothing to read"
    if record["label"]:
        reads = f"reads as {record['label']} {100 * float(record['confidence']):.0f} %"
    speed = "finished before"
    if outcome.elapsed_s:
        speed = f"{float(record['duration_s']) / outcome.elapsed_s:.1f} x real time"
    console.print(
        f"{outcome.path}: {reads} over {float(record['duration_s']):.1f} s ({speed})",
        soft_wrap=True,
        markup=False,
    )
    scores = np.array([float(record[label] or "nan") for label in LABELS], np.float32)
    console.print("  " + score_line(scores), soft_wrap=True)
    if record["transcript"]:
        console.print(f"  “{record['transcript']}”", soft_wrap=True, markup=False)
