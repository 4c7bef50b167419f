"""A session in the window, or on stdout; and the demo screen that starts its session again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from realtime_er.cli.display import DisplayOptions, Kind
from realtime_er.cli.faults import note_fault
from realtime_er.cli.follow import Intake, follow, stopping
from realtime_er.cli.guard import notice
from realtime_er.clock import SessionClock
from realtime_er.errors import ConfigError, RealtimeERError, WorkerFault
from realtime_er.messages import MODALITIES, Absence, Estimate, Health, Snapshot
from realtime_er.sinks.display.controls import (
    Choice,
    Choices,
    Controls,
    StreamName,
)
from realtime_er.sources.devices import list_cameras, list_microphones

if TYPE_CHECKING:
    from realtime_er.cli.window_recording import WindowRecording
    from realtime_er.session import Session
    from realtime_er.sinks.health_log import HealthLog

RETRY_S = 5.0
"""The demo screen tries again this long after its session failed."""

_ASLEEP = Snapshot(
    now_s=0.0,
    estimate=None,
    history=(),
    states=dict.fromkeys(MODALITIES, Absence.WAITING),
    finals=(),
    current=None,
    faces=None,
    frame=None,
    health=Health(),
)


def watch(
    session: Session,
    kind: Kind,
    options: DisplayOptions,
    title: str,
    *,
    seconds: float | None = None,
    kept: list[Estimate] | None = None,
    controls: Controls | None = None,
    log: HealthLog | None = None,
) -> None:
    """Show an open session until it ends or its window is closed; main thread.

    Args:
        session: Already open.
        kind: Where it is shown.
        options: How.
        title: Of the window.
        seconds: End at this time of the session.
        kept: Gets every estimate.
        controls: What the window may do to it; only looking and choosing a face by default.
        log: Gets its health and events.
    """
    if kind != "window":
        follow(session, kind, seconds=seconds, kept=kept, log=log)
        return
    from realtime_er.sinks.display.app import show

    intake = Intake(session, seconds, kept)

    def pump() -> bool:
        waiting = session.poll()
        for estimate in waiting or ():
            intake.take(estimate)
        if log is not None:
            log.look(session.snapshot)
        return waiting is not None

    with stopping(session):
        show(controls or look_only(session), pump, options.look(title))
        session.stop()  # the window was closed; what is on its way is still counted
        for estimate in session.estimates():
            intake.take(estimate)


def prepare(kind: Kind) -> None:
    """Load Qt before the session begins: its import would hold the pipeline up for a second."""
    if kind == "window":
        from realtime_er.sinks.display.app import application

        application()


def look_only(session: Session) -> Controls:
    """Controls of a session whose devices are a file."""
    return Controls(session.snapshot, select_target=session.select_target)


def live_controls(session: Session, recording: WindowRecording) -> Controls:
    """Controls of a session with a camera, a microphone or both."""
    used = session.devices()
    chosen: dict[str, str] = {}  # a stream says so itself only once it has changed

    def change_device(stream: StreamName, wanted: str) -> None:
        session.change_device(stream, wanted)
        chosen[stream] = wanted

    def choices(stream: StreamName) -> Choices:
        if stream not in used:
            return Choices((), "", f"this session was started without the {stream}")
        requested = used[stream].get("requested", {})
        if stream == "camera":
            # On the window's thread, and beside a camera that is in use: none is opened here.
            cameras = list_cameras(try_out=False)
            found = tuple(Choice(str(c.index), c.name) for c in cameras.devices)
            return Choices(found, chosen.get(stream, str(requested["source"])), cameras.problem)
        microphones = list_microphones()
        inputs = tuple(Choice(str(m.index), m.name) for m in microphones.devices)
        return Choices(inputs, chosen.get(stream, str(requested["device"])), microphones.problem)

    return Controls(
        session.snapshot,
        select_target=session.select_target,
        set_muted=session.set_muted if "microphone" in used else None,
        choices=choices,
        change_device=change_device,
        record=recording.record,
        consent=recording.question(),
        annotator=recording,
    )


class Unattended:
    """A session that nobody looks after: when it fails, another one begins. Main thread.

    Args:
        make: Makes a session that is not yet open.
        seconds: End after this many seconds of a session.

    Attributes:
        session: The one that runs, None while none does.
        newest: The last one that ran, also once it is closed.
        message: What to tell people while none runs.
    """

    def __init__(self, make: Callable[[], Session], seconds: float | None = None) -> None:
        self._make = make
        self._seconds = seconds
        self._clock = SessionClock()
        self._retry_at_s = 0.0
        self._stopped = False
        self._intake: Intake | None = None
        self.session: Session | None = None
        self.newest: Session | None = None
        self.message = ""

    def stop(self) -> None:
        """End soon. Any thread."""
        self._stopped = True
        if self.session is not None:
            self.session.stop()

    def snapshot(self) -> Snapshot:
        """Of the running session, or of none."""
        return self.session.snapshot() if self.session is not None else _ASLEEP

    def pump(self) -> bool:
        """Take in what has come; start again what has failed. False once it was stopped.

        Raises:
            ConfigError: the configuration is wrong; no other session would do better.
        """
        if self.session is None:
            if self._stopped:
                return False
            if self._clock.now_s() >= self._retry_at_s:
                self._begin()
            return True
        assert self._intake is not None
        try:
            waiting = self.session.poll()
        except RealtimeERError as error:
            self._failed(error)
            return not self._stopped
        for estimate in waiting or ():
            self._intake.take(estimate)
        return waiting is not None

    def _begin(self) -> None:
        session = self._make()
        try:
            session.start()
        except ConfigError:
            raise
        except RealtimeERError as error:
            self._failed(error)
            return
        self.session = self.newest = session
        self._intake = Intake(session, self._seconds, None)
        self.message = ""

    def _failed(self, error: RealtimeERError) -> None:
        if isinstance(error, WorkerFault):
            notice(f"note: {error}: {note_fault(error)}")
        notice(f"note: {error}; trying again in {RETRY_S:.0f} s")
        self.message = "One moment, please"
        self._retry_at_s = self._clock.now_s() + RETRY_S
        try:
            self.close()
        except RealtimeERError as stuck:
            notice(f"note: {stuck}")  # the next session does not need that thread

    def drain(self) -> None:
        """After ``stop``: take in what is on its way, waiting for it."""
        if self.session is not None and self._intake is not None:
            for estimate in self.session.estimates():
                self._intake.take(estimate)

    def close(self) -> None:
        """Close the running session."""
        session, self.session = self.session, None
        if session is not None:
            session.close()


def watch_unattended(
    make: Callable[[], Session],
    options: DisplayOptions,
    title: str,
    seconds: float | None,
    log: HealthLog | None = None,
) -> Session | None:
    """The demo screen over sessions that are started again when they fail; main thread.

    Args:
        make: Makes a session that is not yet open.
        options: How it is shown.
        title: Of the window.
        seconds: End after this many seconds of a session.
        log: Gets their health and events.

    Returns:
        The last session, closed; None when none could be opened.
    """
    from realtime_er.sinks.display.app import show

    runner = Unattended(make, seconds)

    def select_target(track_id: int) -> None:
        if runner.session is not None:
            runner.session.select_target(track_id)

    def set_muted(muted: bool) -> None:
        if runner.session is not None:
            runner.session.set_muted(muted)

    def pump() -> bool:
        if log is not None:
            log.look(runner.snapshot)
        return runner.pump()

    controls = Controls(runner.snapshot, select_target=select_target, set_muted=set_muted)
    try:
        with stopping(runner):
            show(controls, pump, options.look(title), message=lambda: runner.message)
            runner.stop()
            runner.drain()
    finally:
        runner.close()
    return runner.newest
