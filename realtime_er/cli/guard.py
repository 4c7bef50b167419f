"""How commands end: one clear line on stderr and the right exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import typer

from realtime_er.cli.faults import note_fault
from realtime_er.errors import ConfigError, RealtimeERError, WorkerFault
from realtime_er.sources.portaudio_rest import portaudio_at_rest

FAILED, USAGE, INTERRUPTED = 1, 2, 130

Command = TypeVar("Command", bound=Callable[..., None])


def guarded(command: Command) -> Command:
    """Turn what a command raises into one line on stderr and an exit code.

    0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted. ``--debug`` lets the
    exception through, with its traceback.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passes on whatever comes
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except BrokenPipeError:
            # The reader has gone (`| head`): point stdout elsewhere so that the flush at exit works.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            notice("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if kwargs.get("debug"):
                raise
            fail(error)

    return run  # type: ignore[return-value]


def fail(error: Exception) -> None:
    """Say what went wrong and leave with its exit code."""
    if isinstance(error, WorkerFault):
        notice(f"error: {error} ({note_fault(error)})")
        raise typer.Exit(FAILED) from None
    if isinstance(error, RealtimeERError):
        notice(f"error: {error}")
        raise typer.Exit(USAGE if isinstance(error, ConfigError) else FAILED) from None
    notice(f"error: {type(error).__name__}: {error} (not expected; {note_fault(error)})")
    raise typer.Exit(FAILED) from None


def notice(text: str) -> None:
    """One line on stderr."""
    with portaudio_at_rest():  # or it may go to the null device
        typer.echo(" ".join(text.split()), err=True)
