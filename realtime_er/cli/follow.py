"""Following a running session: display, Ctrl-C, the figures at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

import numpy as np

from realtime_er.cli.guard import notice
from realtime_er.messages import LABELS, Estimate, RecordingStatus, Snapshot
from realtime_er.palette import COLOURS
from realtime_er.sinks.terminal import Dashboard, recording_warning
from realtime_er.sources.portaudio_rest import portaudio_at_rest

if TYPE_CHECKING:
    from rich.console import Console

    from realtime_er.session import Session
    from realtime_er.sinks.health_log import HealthLog


_DISK_EVERY_S = 2.0
_HELD_BACK_LINES = 20


class Running(Protocol):
    """The part of a session that can be followed."""

    @property
    def notices(self) -> tuple[str, ...]:
        """One-line notices."""
        ...

    def estimates(self) -> Iterator[Estimate]:
        """Estimates until the end."""
        ...

    def stop(self) -> None:
        """End soon."""
        ...

    def snapshot(self) -> Snapshot:
        """Everything to show."""
        ...


class Stoppable(Protocol):
    """What can be asked to end."""

    def stop(self) -> None:
        """End soon."""
        ...


@contextlib.contextmanager
def stopping(session: Stoppable) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP ends the session cleanly, the second one at once."""
    hang_up = None if sys.platform == "win32" else signal.SIGHUP

    def first(number: int, _frame: FrameType | None) -> None:
        for other in old:
            signal.signal(other, signal.default_int_handler)
        if number == hang_up:
            # It comes again, from the shell and from the system, and nobody is left to be in a hurry.
            signal.signal(number, signal.SIG_IGN)
        session.stop()

    numbers = [signal.SIGINT, signal.SIGTERM]
    # Sent when the terminal is closed; `nohup` asks to go on all the same.
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:
        numbers.append(hang_up)
    old = {number: signal.signal(number, first) for number in numbers}
    try:
        yield
    finally:
        for number, handler in old.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)


class Intake:
    """Takes estimates in, and ends the session when its time is up.

    Args:
        session: Whose they are.
        seconds: End at this time of the session; None: when it ends.
        kept: Gets every estimate. Not for `live`: a day of them is gigabytes.
    """

    def __init__(
        self, session: Stoppable, seconds: float | None, kept: list[Estimate] | None
    ) -> None:
        self._session = session
        self._seconds = seconds
        self._kept = kept

    def take(self, estimate: Estimate) -> bool:
        """Whether to show it: not what was on its way when the time was up."""
        if self._seconds is not None and estimate.time_s > self._seconds + 1e-6:
            return False
        if self._kept is not None:
            self._kept.append(estimate)
        if self._seconds is not None and estimate.time_s >= self._seconds - 1e-6:
            self._session.stop()
        return True


class DeviceNotes:
    """Says what is wrong with the devices when that has changed, and when all is well again."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known
        self._said = ""

    def look(self, notices: tuple[str, ...]) -> None:
        """Take the notices of the moment: those known at the start, and one of the devices."""
        text = "".join(notices[len(self._known) :])
        if text != self._said:
            self._said = text
            notice(f"note: {text or 'camera and microphone deliver again'}")


class DiskWarning:
    """Says once each that a recording runs out of space, and that it ended before its time."""

    def __init__(self) -> None:
        self._next_s = 0.0
        self._said: set[str] = set()

    def due(self, time_s: float) -> bool:
        """Whether it is time to look again."""
        if time_s < self._next_s:
            return False
        self._next_s = time_s + _DISK_EVERY_S
        return True

    def look(self, recording: RecordingStatus | None) -> None:
        """Say what there is to say of a recording."""
        text = recording_warning(recording)
        if recording is not None and text:
            about = "failed" if recording.failure else "low"
            if about not in self._said:
                self._said.add(about)
                notice(f"note: {text}")


def follow(
    session: Running,
    kind: Literal["terminal", "lines", "json"],
    *,
    seconds: float | None = None,
    kept: list[Estimate] | None = None,
    log: HealthLog | None = None,
) -> None:
    """Show an open session on stdout until it ends; main thread.

    Args:
        session: Already open.
        kind: A dashboard, a line a second, or JSON lines.
        seconds: End at this time of the session.
        kept: Gets every estimate.
        log: Gets its health and events.
    """
    from rich.console import Console

    from realtime_er.sinks.lines import JsonLines, SecondLines

    for text in session.notices:
        notice(f"note: {text}")
    intake = Intake(session, seconds, kept)
    with contextlib.ExitStack() as stack:
        stack.enter_context(stopping(session))
        show = None
        if kind == "json":
            show = JsonLines(sys.stdout).show
        elif kind == "terminal":
            stack.enter_context(kept_off_screen(sys.__stderr__))
            stack.enter_context(Dashboard(session, Console(highlight=False)))
        else:
            show = SecondLines(sys.stdout, lambda: session.snapshot().health).show
        disk, devices = DiskWarning(), DeviceNotes(session.notices)
        for estimate in session.estimates():
            if intake.take(estimate) and show is not None:
                show(estimate)
            if kind != "terminal" and disk.due(estimate.time_s):
                snapshot = session.snapshot()
                disk.look(snapshot.recording)
                devices.look(snapshot.notices)
            if log is not None:
                log.look(session.snapshot)


@contextlib.contextmanager
def kept_off_screen(stderr: TextIO | None) -> Iterator[None]:
    """What is written to a terminal's stderr is held back until the context is left; main thread.

    ALSA and PortAudio print there from C when a device is lost, in the middle of the dashboard, and
    the same at every attempt to open it again. Different lines are shown once each afterwards. A
    stderr that is no terminal is left alone.
    """
    if stderr is None or not stderr.isatty():
        yield
        return
    number = stderr.fileno()
    screen = os.dup(number)
    with tempfile.TemporaryFile() as held:
        _point(stderr, held.fileno())
        try:
            yield
        finally:
            _point(stderr, screen)
            os.close(screen)
            held.seek(0)
            text = held.read().decode(errors="replace")
            stderr.writelines(f"{line}\n" for line in _worth_showing(text.splitlines()))
            stderr.flush()


def _point(stream: TextIO, target: int) -> None:
    """Let a stream's descriptor, which C writes to as well, lead elsewhere."""
    with portaudio_at_rest():  # which would put back what it found
        stream.flush()
        os.dup2(target, stream.fileno())


def _worth_showing(lines: list[str]) -> list[str]:
    different = list(dict.fromkeys(line for line in lines if line.strip()))
    shown = different[-_HELD_BACK_LINES:]
    if len(shown) < len(lines):
        shown.insert(0, f"({len(lines)} lines came meanwhile; the last different ones:)")
    return shown


@contextlib.contextmanager
def logging_to(path: Path | None) -> Iterator[HealthLog | None]:
    """The log that ``--log-json`` asks for, None when it does not.

    Raises:
        ConfigError: the file cannot be written.
    """
    if path is None:
        yield None
        return
    from realtime_er.sinks.health_log import HealthLog

    with HealthLog(path, lambda line: notice(f"note: {line}")) as log:
        yield log


def print_summary(session: Session, console: Console) -> None:
    """What was read, what was said, how fresh it was, and where every frame and sample went."""
    summary = session.summary()
    console.print(f"\n{summary.n_estimates} estimates in {summary.duration_s:.1f} s")
    if not np.isnan(summary.mean).all():
        console.print("mean scores: " + score_line(summary.mean), soft_wrap=True)
    total = max(1, sum(summary.labels.values()))
    shares = ", ".join(f"{label} {100 * n / total:.0f} %" for label, n in summary.labels.items())
    if shares:
        console.print(f"read as:     {shares} of the time", soft_wrap=True)
    console.print(f"words:       {summary.transcript or '-'}", soft_wrap=True, markup=False)
    if summary.score_age_p95_s is not None and summary.score_age_p50_s is not None:
        p50, p95 = 1000 * summary.score_age_p50_s, 1000 * summary.score_age_p95_s
        console.print(f"score age:   median {p50:.0f} ms, 95 % within {p95:.0f} ms")
    accounting = session.accounting()
    state = "everything accounted for" if accounting.balanced else "NOT BALANCED (a bug)"
    console.print(f"accounting:  {state}")
    for line in accounting.lines():
        console.print(f"  {line}", soft_wrap=True, markup=False)


def print_recordings(session: Session, console: Console) -> None:
    """What became of each recording."""
    for report in session.recordings():
        console.print(
            f"recording:   {report.folder}: {report.line()}", soft_wrap=True, markup=False
        )


def score_line(scores: np.typing.NDArray[np.float32]) -> str:
    """Seven scores in their colours, as rich markup."""
    shown = []
    for label, score in zip(LABELS, scores, strict=True):
        value = "-" if np.isnan(score) else f"{100 * float(score):.0f} %"
        shown.append(f"[{COLOURS[label]}]{label}[/] {value}")
    return "  ".join(shown)
