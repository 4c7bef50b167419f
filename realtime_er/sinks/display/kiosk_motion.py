"""What moves on the demo screen, and when: fades, and the invitation while nobody is there.

No Qt here. Everything follows the session's time, so the same snapshots always make the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Generic, Literal, TypeVar

from realtime_er.messages import Absence, Estimate, Snapshot

Calm = Literal["live", "waking", "attract"]

PATIENCE_S = 6.0
"""Nobody in the picture for this long starts the invitation."""
RISE_S = 2.0
FALL_S = 0.5

_Value = TypeVar("_Value")
_GONE = (Absence.NO_FACE, Absence.WAITING)
_BLIND = (
    Absence.LOST,
    Absence.BUSY,
    Absence.FROZEN,
    Absence.COVERED,
    Absence.OFF,
    Absence.UNAVAILABLE,
    Absence.ENDED,
    Absence.BEHIND,
)


def smooth_step(x: float) -> float:
    """0 below 0, 1 above 1, and a soft S between."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


class Change(Generic[_Value]):
    """A value, the one before it, and how far the change has come on the session's clock."""

    def __init__(self, value: _Value) -> None:
        self.value = self.before = value
        self.progress = 1.0
        self._since_s = -math.inf

    def follow(self, value: _Value, now_s: float, fade_s: float) -> None:
        """``value`` is shown from ``now_s`` on; a clock that went back ends the fade."""
        if value != self.value:
            self.before, self.value, self._since_s = self.value, value, now_s
        into_s = now_s - self._since_s
        self.progress = smooth_step(into_s / fade_s) if into_s >= 0 else 1.0


class Presence:
    """Follows whether anybody is there. Main thread.

    ``level`` is 0 while somebody is (or the camera cannot tell), 1 while the screen invites or
    wakes up; ``kind`` is why, and stays the old reason while its picture fades away.
    """

    def __init__(self) -> None:
        self.level = 0.0
        self.kind: Calm = "live"
        self._now_s = -math.inf
        self._seen_s: float | None = None
        self._fall_from: tuple[float, float] = (-math.inf, 0.0)

    def update(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot into account; a session that began anew begins anew here."""
        now_s = snapshot.now_s
        if now_s < self._now_s - 1.0:
            self.level, self.kind = 0.0, "live"
            self._seen_s, self._fall_from = None, (-math.inf, 0.0)
        self._now_s = now_s
        if snapshot.estimate is None:
            self.level, self.kind = 1.0, "waking"
            self._fall_from = (now_s, 1.0)
            return
        if self._seen_s is None:
            self._seen_s = _last_seen_s(snapshot.history, now_s)
        rise = 0.0
        if _somebody(snapshot):
            self._seen_s = now_s
        else:
            rise = smooth_step((now_s - self._seen_s - PATIENCE_S) / RISE_S)
        if rise > 0.0:
            self.kind = "attract"
            self._fall_from = (now_s, max(rise, self._falling(now_s)))
        self.level = max(rise, self._falling(now_s))
        if self.level == 0.0:
            self.kind = "live"

    def _falling(self, now_s: float) -> float:
        since_s, level = self._fall_from
        return level * (1.0 - smooth_step((now_s - since_s) / FALL_S))


def _somebody(snapshot: Snapshot) -> bool:
    """Whether somebody is in the picture, or nobody can tell."""
    state = snapshot.states.get("face")
    if state is None or state in _BLIND:
        return True
    return snapshot.faces is not None and bool(snapshot.faces.faces)


def _last_seen_s(history: Sequence[Estimate], now_s: float) -> float:
    """When somebody was last in the picture, as far as the estimates know."""
    for estimate in reversed(history):
        if estimate.absent.get("face") not in _GONE:
            return estimate.time_s
    return history[0].time_s if history else now_s
