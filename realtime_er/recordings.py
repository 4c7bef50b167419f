"""The recordings of one session, one after another; the session's own, like its threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from realtime_er.errors import ClosedError, RecordingError
from realtime_er.graph import Graph
from realtime_er.messages import RecordingStatus
from realtime_er.recording.options import RecordingReport
from realtime_er.runtime import MailboxClosed, Worker

if TYPE_CHECKING:
    from realtime_er.recording.recorder import Recorder

_JOIN_S = 10.0


class Recordings:
    """At most one recording runs; those that have ended keep their reports. Any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # one start at a time
        self._all: list[tuple[Recorder, Worker]] = []

    def running(self) -> Recorder | None:
        """The recorder that writes, if any."""
        if not self._all or self._all[-1][0].stage != "recording":
            return None
        return self._all[-1][0]

    def start(self, recorder: Recorder, graph: Graph, start_s: float) -> None:
        """Begin to record; the caller holds ``lock``.

        Raises:
            ClosedError: the session has ended.
            RecordingError: the folder cannot be used.
        """
        recorder.open()

        def ended(error: BaseException | None) -> None:
            # What the recorder names itself stands in its report; a bug does not.
            if error is not None:
                graph.fail("record", error)

        worker = Worker("record", recorder.run, ended)
        self._all.append((recorder, worker))
        worker.start()
        try:
            graph.attach(recorder, start_s)
        except MailboxClosed:
            recorder.finish()
            raise ClosedError("the session has ended; there is nothing to record") from None

    def refuse_second(self, where: object) -> None:
        """Let nobody record twice at once.

        Raises:
            RecordingError: one is running.
        """
        if self.running() is not None:
            raise RecordingError(f"{where}: the session is being recorded already")

    def status(self) -> RecordingStatus | None:
        """Of the one that runs, or of the last when it ended before its time."""
        if not self._all:
            return None
        recorder, _worker = self._all[-1]
        status = recorder.status()
        return status if recorder.stage == "recording" or status.failure else None

    def reports(self) -> tuple[RecordingReport, ...]:
        """What became of each that has ended, in order."""
        ended = [recorder for recorder, worker in self._all if not worker.alive]
        return tuple(recorder.report() for recorder in ended)

    def finish(self, accounting: dict[str, Any]) -> None:
        """End all and wait until they are written and read back.

        Interrupting that (Ctrl-C) leaves them unverified but whole.
        """
        for recorder, _worker in self._all:
            recorder.finish(accounting)
        try:
            for _recorder, worker in self._all:
                while not worker.join(_JOIN_S):
                    pass
        except KeyboardInterrupt:
            for recorder, _worker in self._all:
                recorder.skip_verification()
            for _recorder, worker in self._all:
                worker.join(_JOIN_S)
            raise
