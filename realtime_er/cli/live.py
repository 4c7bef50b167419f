"""``realtime-er live``."""

from __future__ import annotations

from typing import Annotated

import typer

from realtime_er.cli import options


def live(
    config: options.ConfigName = None,
    settings: options.Settings = None,
    camera: Annotated[
        str | None,
        typer.Option("--camera", metavar="N|NAME|URL", help="Index, path, name or address."),
    ] = None,
    mic: Annotated[
        str | None, typer.Option("--mic", metavar="N|NAME", help="Index or part of the name.")
    ] = None,
    display: options.Display = None,
    as_json: options.AsJson = False,
    seconds: options.Seconds = None,
    no_video: options.NoVideo = False,
    no_audio: options.NoAudio = False,
    no_text: options.NoText = False,
    asr_model: options.AsrModel = None,
    asr_download: options.AsrDownload = False,
    print_config: options.PrintConfig = False,
    debug: options.Debug = False,
) -> None:
    """Read webcam and microphone until Ctrl-C."""
    from realtime_er.cli.follow import check_display, follow, print_summary

    check_display(display, as_json)
    named = options.switches(no_video=no_video, no_audio=no_audio, no_text=no_text)
    named |= {"camera.source": camera, "microphone.device": mic, "asr.model": asr_model}
    settled = options.configure(config, settings, "live", named)
    if print_config:
        typer.echo(options.to_toml(settled))
        return
    options.fetch_asr_model(settled, asr_download)

    from rich.console import Console

    from realtime_er.session import Session

    session = Session(settled)
    with session:
        follow(session, display=display, as_json=as_json, seconds=seconds)
    print_summary(session, Console(highlight=False, stderr=as_json))
