"""How a session does, once a second, and what happens to it: a JSON object a line.

    {"kind": "health", "at": wall clock, "session_s": ..., figures of the strip, states, recording}
    {"kind": "event", "at": ..., "session_s": when it happened, "event": ..., "detail": ...}
    {"kind": "end", "at": ..., "session_s": ..., "failure": why it ended before its time, or null}

No scores and no words: it may be sent to somebody who is not to know them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from realtime_er.clock import Clock, SessionClock
from realtime_er.errors import ConfigError, RealtimeERError
from realtime_er.messages import MODALITIES, Event, Snapshot

_EVERY_S = 1.0


class HealthLog:
    """Appends to one file. Owned by the thread that shows the session.

    Args:
        path: The file; its folder has to be there.
        complain: Gets one line when it cannot be written any more; the session goes on.
        clock: Real time, for tests.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(
        self, path: Path, complain: Callable[[str], None], clock: Clock | None = None
    ) -> None:
        self._path = path
        self._complain = complain
        self._clock = clock or SessionClock()
        self._next_s = 0.0
        self._newest: Event | None = None
        self._snapshot: Callable[[], Snapshot] | None = None
        self._session_s = 0.0
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--log-json {path}: cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._snapshot is not None:
            self._write_events(self._snapshot())  # of the last second, and why it ended
        # The text of a foreign error might quote what was said; ours do not.
        said = str(error) if isinstance(error, RealtimeERError) else kind and kind.__name__
        self._write({"kind": "end", "session_s": self._session_s, "failure": said})
        self._file.close()

    def look(self, snapshot: Callable[[], Snapshot]) -> None:
        """Write what is new, once a second; call it as often as you like."""
        now_s = self._clock.now_s()
        if now_s < self._next_s or self._file.closed:
            return
        self._next_s = now_s + _EVERY_S
        self._snapshot = snapshot
        seen = snapshot()
        self._session_s = round(seen.now_s, 3)
        self._write_events(seen)
        self._write({"kind": "health", "session_s": self._session_s, **_figures(seen)})

    def _write_events(self, seen: Snapshot) -> None:
        for event in self._new(seen.events):
            self._write(
                {
                    "kind": "event",
                    "session_s": round(event.time_s, 3),
                    "event": event.kind,
                    "detail": event.detail,
                }
            )

    def _new(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        """Those after the newest that was written."""
        for place in reversed(range(len(events))):
            if events[place] is self._newest:
                events = events[place + 1 :]
                break
        if events:
            self._newest = events[-1]
        return events

    def _write(self, record: dict[str, Any]) -> None:
        if self._file.closed:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            line = json.dumps({"kind": record.pop("kind"), "at": at, **record}, ensure_ascii=False)
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            self._complain(f"{self._path}: cannot be written any more: {error.strerror}")
            try:
                self._file.close()
            except OSError:  # what waited to be written cannot be; the file is closed all the same
                return


def _figures(seen: Snapshot) -> dict[str, Any]:
    timing = seen.estimate.timing if seen.estimate else None
    recording = seen.recording
    return {
        **asdict(seen.health),
        "evidence_age_s": {
            modality: timing.evidence_age_s.get(modality) if timing else None
            for modality in MODALITIES
        },
        "states": {
            modality: "present" if absence is None else str(absence)
            for modality, absence in seen.states.items()
        },
        "muted": seen.muted,
        "recording": None
        if recording is None
        else {
            "n_bytes": recording.n_bytes,
            "left_s": recording.left_s,
            "failure": recording.failure or None,
        },
    }
