"""``realtime-er demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from realtime_er.cli import options


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where timeline.png goes.")
    ] = Path("demo-output"),
    config: options.ConfigName = None,
    settings: options.Settings = None,
    display: options.Display = None,
    kiosk: options.Kiosk = False,
    theme: options.Theme = "dark",
    screenshot: options.Screenshot = None,
    after: options.After = None,
    as_json: options.AsJson = False,
    log_json: options.LogJson = None,
    seconds: options.Seconds = None,
    no_video: options.NoVideo = False,
    no_audio: options.NoAudio = False,
    no_text: options.NoText = False,
    asr_model: options.AsrModel = None,
    asr_download: options.AsrDownload = False,
    print_config: options.PrintConfig = False,
    debug: options.Debug = False,
) -> None:
    """Play the bundled clip through the live pipeline."""
    from realtime_er.cli.display import DisplayOptions
    from realtime_er.cli.follow import logging_to, print_summary

    shown = DisplayOptions(display, as_json, kiosk, theme, screenshot, after)
    shown.check()
    named = options.switches(no_video=no_video, no_audio=no_audio, no_text=no_text)
    settled = options.configure(config, settings, "demo", named | {"asr.model": asr_model})
    if print_config:
        typer.echo(options.to_toml(settled))
        return
    options.fetch_asr_model(settled, asr_download)
    options.output_folder(out)

    from rich.console import Console

    from realtime_er.cli.watch import prepare, watch
    from realtime_er.messages import Estimate
    from realtime_er.resources import resource_dir
    from realtime_er.session import Session
    from realtime_er.sinks.timeline import save_timeline
    from realtime_er.sources.media_file import MediaFile

    clip = resource_dir("assets") / "demo.mp4"
    session = Session(settled, source=MediaFile(clip, paced=True))
    estimates: list[Estimate] = []
    kind = shown.kind(terminal=Console().is_terminal)
    prepare(kind)
    with logging_to(log_json) as log, session:
        watch(session, kind, shown, "the demo clip", seconds=seconds, kept=estimates, log=log)
    console = Console(highlight=False, stderr=as_json)
    print_summary(session, console)
    picture = out / "timeline.png"
    save_timeline(estimates, session.finals, picture, "The demo clip, as it reads over time")
    console.print(f"picture:     {picture}", soft_wrap=True, markup=False)
    if screenshot is not None:
        console.print(f"screenshot:  {screenshot}", soft_wrap=True, markup=False)
