"""A recorded session in the window, or on stdout, at its own pace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from realtime_er.cli.display import DisplayOptions, Kind
from realtime_er.cli.follow import follow, stopping
from realtime_er.cli.guard import notice
from realtime_er.errors import RecordingError
from realtime_er.messages import Estimate, Snapshot
from realtime_er.sinks.display.controls import Controls

if TYPE_CHECKING:
    from realtime_er.recording.player import Player
    from realtime_er.recording.rater_marks import RaterMarks
    from realtime_er.recording.reader import RecordedSession

_LOOK_S = 0.05
_BEFORE_PICTURE_S = 1.0


class PlayedSession:
    """A playing recording as something that can be followed, like a live session. Main thread.

    It ends with the recording, when it is stopped, or at ``until_s`` (session time).
    """

    def __init__(self, player: Player, until_s: float | None = None) -> None:
        self._player = player
        self._until_s = player.span_s[1] if until_s is None else until_s
        self._stop = threading.Event()

    @property
    def notices(self) -> tuple[str, ...]:
        """What is missing in the recording."""
        return self._player.notices

    @property
    def stopped(self) -> bool:
        """Whether the end was asked for."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End soon. Any thread."""
        self._stop.set()

    def snapshot(self) -> Snapshot:
        """Everything to show."""
        return self._player.snapshot()

    def estimates(self) -> Iterator[Estimate]:
        """The estimates, each when its time has come."""
        last = -1
        while True:
            playing = self._player.playing
            snapshot = self._player.snapshot()
            for estimate in snapshot.history:
                if estimate.index > last and estimate.time_s <= self._until_s:
                    last = estimate.index
                    yield estimate
            if not playing or snapshot.now_s >= self._until_s or self._stop.wait(_LOOK_S):
                return


def play_window(
    player: Player,
    options: DisplayOptions,
    title: str,
    marks: RaterMarks | None,
    *,
    paused: bool = False,
) -> None:
    """Show a player in the window until it is closed; main thread.

    It begins to move, unless ``paused``, when the window is there.
    """
    from realtime_er.sinks.display.app import show

    session = PlayedSession(player)
    controls = Controls(player.snapshot, annotator=marks, transport=player)
    look = options.look(title)
    start_s, end_s = player.span_s
    if look.screenshot is not None:
        wanted_s = min(start_s + look.after_s, end_s)
        look = replace(look, after_s=wanted_s)
        if player.position_s < wanted_s - _BEFORE_PICTURE_S:
            player.seek(wanted_s - _BEFORE_PICTURE_S)
        paused = False
    begun = False

    def pump() -> bool:
        nonlocal begun
        if not begun:
            begun = True
            player.play(not paused)
        return not session.stopped

    for text in player.notices:
        notice(f"note: {text}")
    with stopping(session):
        show(controls, pump, look)


def play_lines(player: Player, kind: Kind, seconds: float | None) -> None:
    """Show a player on stdout until it ends; main thread."""
    until_s = None if seconds is None else player.span_s[0] + seconds
    if kind != "window":
        player.play(True)
        follow(PlayedSession(player, until_s), kind)


def open_marks(session: RecordedSession, rater: str, labels: Path | None) -> RaterMarks | None:
    """Annotations of a rater; None, with a line on stderr, where they cannot be written.

    Raises:
        ConfigError: the labels are wrong, or the rater has no name.
    """
    from realtime_er.recording.labels import load_labels
    from realtime_er.recording.rater_marks import RaterMarks

    known = load_labels(labels)
    try:
        return RaterMarks(session.path, rater, known)
    except RecordingError as error:
        notice(f"note: no annotation keys: {error}")
        return None
