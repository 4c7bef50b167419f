"""The notice about people, acknowledged once before the first live session."""

from __future__ import annotations

import sys

import typer

from realtime_er.cli.display import DisplayOptions, Kind
from realtime_er.cli.guard import notice
from realtime_er.notice import NOTICE, acknowledge, acknowledged


def understood(kind: Kind, options: DisplayOptions) -> bool:
    """Whether a live session may begin; asks where somebody is there to answer.

    Args:
        kind: Where the session will be shown.
        options: How.
    """
    if options.screenshot is not None or acknowledged():
        return True
    if kind == "window":
        from realtime_er.sinks.display.app import ask_notice

        agreed = ask_notice(options.theme)
    elif kind == "terminal" and sys.stdin.isatty():
        agreed = _ask()
    else:
        return True  # a script: nobody to ask
    if not agreed:
        notice("not started: the notice was not accepted")
        return False
    why_not_kept = acknowledge()
    if why_not_kept:
        notice(f"note: {why_not_kept}")
    return True


def _ask() -> bool:
    typer.echo(NOTICE)
    try:
        answer = input("Understood? Enter to go on, q to quit: ")
    except EOFError:
        return False
    return not answer.strip().lower().startswith(("q", "n"))
