"""``realtime-er live``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from realtime_er.cli import options
from realtime_er.cli.guard import notice


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
    kiosk: options.Kiosk = False,
    theme: options.Theme = "dark",
    screenshot: options.Screenshot = None,
    after: options.After = None,
    record: options.Record = None,
    lossless: options.Lossless = False,
    no_media: options.NoMedia = False,
    numbers_only: options.NumbersOnly = False,
    blur_faces: options.BlurFaces = False,
    consent_of: options.ConsentOf = None,
    purpose: options.Purpose = None,
    keep_until: options.KeepUntil = None,
    labels: options.Labels = None,
    rater: options.Rater = None,
    as_json: options.AsJson = False,
    log_json: options.LogJson = None,
    accept_notice: options.AcceptNotice = False,
    seconds: options.Seconds = None,
    no_video: options.NoVideo = False,
    no_audio: options.NoAudio = False,
    no_text: options.NoText = False,
    head: options.Head = None,
    asr_model: options.AsrModel = None,
    asr_download: options.AsrDownload = False,
    print_config: options.PrintConfig = False,
    debug: options.Debug = False,
) -> None:
    """Read webcam and microphone until the window is closed, or Ctrl-C."""
    from realtime_er.cli.consent import Answers, ask
    from realtime_er.cli.display import DisplayOptions
    from realtime_er.cli.follow import logging_to, print_recordings, print_summary

    shown = DisplayOptions(display, as_json, kiosk, theme, screenshot, after)
    shown.check()
    to_record = options.record_options(
        record,
        lossless=lossless,
        no_media=no_media,
        blur_faces=blur_faces,
        numbers_only=numbers_only,
    )
    answers = Answers(consent_of, purpose, keep_until)
    answers.check()
    named = options.switches(no_video=no_video, no_audio=no_audio, no_text=no_text)
    named |= {"camera.source": camera, "microphone.device": mic, "asr.model": asr_model}
    settled = options.with_head(options.configure(config, settings, "live", named), head)
    if print_config:
        typer.echo(options.to_toml(settled))
        return
    options.fetch_asr_model(settled, asr_download)

    from rich.console import Console

    from realtime_er.cli.first_start import understood
    from realtime_er.cli.watch import live_controls, prepare, watch, watch_unattended
    from realtime_er.cli.window_recording import WindowRecording, default_rater
    from realtime_er.models import Models
    from realtime_er.recording.labels import load_labels
    from realtime_er.session import Session

    kind = shown.kind(terminal=Console().is_terminal)
    prepare(kind)
    if not understood(kind, shown, accept=accept_notice):
        return
    if record is not None:
        consent = ask(kind, shown, answers)
        if consent is None:
            notice("not started: nobody is recorded who has not agreed")
            return
        to_record = replace(to_record, consent=consent)
    elif kind != "window" or kiosk:
        answers.refuse_unused()
    console = Console(highlight=False, stderr=as_json)
    if kiosk and record is None:
        models = Models(settled)
        with logging_to(log_json) as log:
            last = watch_unattended(
                lambda: Session(settled, models=models), shown, "realtime_er", seconds, log
            )
        if last is not None:
            print_summary(last, console)
        return
    known = load_labels(labels)
    session = Session(settled, record=None if record is None else (record, to_record))
    recording = WindowRecording(
        session, record, to_record, known, rater or default_rater(), answers
    )
    try:
        with logging_to(log_json) as log, session, recording:
            if record is not None:
                recording.begun(record)
            controls = live_controls(session, recording)
            watch(session, kind, shown, "realtime_er", seconds=seconds, controls=controls, log=log)
        print_summary(session, console)
    finally:  # also when the session failed, or somebody did not want to wait for its end
        print_recordings(session, console)
