"""Which devices were lost or muted, and when."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from realtime_er.feature_cache import EPSILON_S
from realtime_er.messages import Absence

_MANY = 20


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """From ``time_s`` on a modality's device delivers nothing for this reason, or again (None).

    ``what`` is "lost", "muted" or "blind": a microphone that is muted can be lost as well. Blind is a
    camera that is covered, or a microphone that is muted by its own switch: it delivers, but nothing
    to read.
    """

    time_s: float
    modality: str
    what: str
    reason: Absence | None


class DeviceStates:
    """Changes of the devices by the time at which they happened. Owned by the fusion thread."""

    def __init__(self, changes: Iterable[DeviceChange] = ()) -> None:
        self._changes = deque(changes)

    def changes(self) -> tuple[DeviceChange, ...]:
        """All that are remembered; a new ``DeviceStates`` from them says the same."""
        return tuple(self._changes)

    def set_lost(self, modality: str, reason: Absence | None, time_s: float) -> None:
        """A device went (reason) or came back (None)."""
        self._changes.append(DeviceChange(time_s, modality, "lost", reason))

    def set_muted(self, modality: str, muted: bool, time_s: float) -> None:
        """A device was muted here, or is no longer."""
        reason = Absence.MUTED if muted else None
        self._changes.append(DeviceChange(time_s, modality, "muted", reason))

    def set_blind(self, modality: str, reason: Absence | None, time_s: float) -> None:
        """What a device delivers has nothing in it (reason), or has again (None)."""
        self._changes.append(DeviceChange(time_s, modality, "blind", reason))

    def blind(self, modality: str, at_s: float) -> Absence | None:
        """Why there is nothing in what a device delivers at ``at_s``, None when there is."""
        return self._known(modality, at_s).get("blind")

    def away(self, modality: str, at_s: float) -> Absence | None:
        """Why a modality's device delivers nothing at ``at_s``, None when it does."""
        known = self._known(modality, at_s)
        return known.get("lost") or known.get("muted")

    def muted(self, modality: str, at_s: float) -> bool:
        """Whether it is muted at ``at_s``."""
        return self._known(modality, at_s).get("muted") is not None

    def _known(self, modality: str, at_s: float) -> dict[str, Absence | None]:
        return {
            change.what: change.reason
            for change in self._changes
            if change.modality == modality and change.time_s <= at_s + EPSILON_S
        }

    def forget_before(self, end_s: float) -> None:
        """Keep what is still to come, and of each device the newest that counts."""
        if len(self._changes) <= _MANY:
            return
        newest: dict[tuple[str, str], DeviceChange] = {}
        later = []
        for change in self._changes:
            if change.time_s <= end_s:
                newest[change.modality, change.what] = change
            else:
                later.append(change)
        self._changes = deque([*newest.values(), *later])
