"""The notice about people, acknowledged once before the first live session."""

from __future__ import annotations

import sys

import typer

from realtime_er.cli.display import DisplayOptions, Kind
from realtime_er.cli.guard import notice
from realtime_er.errors import ConfigError
from realtime_er.notice import NOTICE, acknowledge, acknowledged


def understood(kind: Kind, options: DisplayOptions, *, accept: bool = False) -> bool:
    """Whether a live session may begin; asks where somebody is there to answer.

    Args:
        kind: Where the session will be shown.
        options: How.
        accept: The notice was accepted on the command line.

    Raises:
        ConfigError: it was never acknowledged here, and nobody is there to ask.
    """
    if acknowledged():
        return True
    if not accept:
        if kind == "window" and options.screenshot is None:
            from realtime_er.sinks.display.app import ask_notice

            agreed = ask_notice(options.theme)
        elif answers_in_terminal(kind):
            agreed = _ask()
        else:
            raise ConfigError(
                "the notice about people was never acknowledged here: run 'realtime-er live' once"
                " where you can answer, or give --accept-notice (docs/people.md has its text)"
            )
        if not agreed:
            notice("not started: the notice was not accepted")
            return False
    why_not_kept = acknowledge()
    if why_not_kept:
        notice(f"note: {why_not_kept}")
    return True


def answers_in_terminal(kind: Kind) -> bool:
    """Whether a question can be asked in the terminal: somebody sees it, and stdout is not data."""
    return kind in ("terminal", "lines") and sys.stdin.isatty() and sys.stdout.isatty()


def _ask() -> bool:
    typer.echo(NOTICE)
    try:
        answer = input("Understood? Enter to go on, q to quit: ")
    except EOFError:
        return False
    return not answer.strip().lower().startswith(("q", "n"))
