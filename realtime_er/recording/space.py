"""How much room is left on the disk, and for how long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

from realtime_er.errors import RecordingError

RESERVE_BYTES = 200_000_000
RESERVE_S = 30.0
"""A recording ends while there is still this much, so that everything can be closed well."""

_EVERY_S = 2.0
_WINDOW_S = 30.0


class SpaceWatch:
    """Watches one folder. ``look`` and ``require_room`` on one thread, the rest on any.

    Attributes:
        n_bytes: Size of the folder's files at the last look.
        left_s: How long the recording can go on at its rate of the last half minute, None until that
            is known.
    """

    def __init__(self, folder: Path, free: Callable[[Path], int]) -> None:
        self._folder = folder
        self._free = free
        self._looks: deque[tuple[float, int]] = deque()
        self.n_bytes = 0
        self.left_s: float | None = None

    def require_room(self) -> None:
        """Refuse to begin on a disk that is nearly full.

        Raises:
            RecordingError: less than the reserve is left.
        """
        folder = self._folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            free = self._free(folder)
        except OSError as error:
            raise RecordingError(f"{folder}: cannot be used: {error.strerror}") from error
        if free < RESERVE_BYTES:
            raise RecordingError(
                f"{self._folder}: only {free / 1e6:.0f} MB are left on this disk, a recording needs "
                f"{RESERVE_BYTES / 1e6:.0f} MB to begin; free some, or name a folder elsewhere"
            )

    def look(self, now_s: float) -> str:
        """Look again when the last look is two seconds old.

        Args:
            now_s: Any clock that runs.

        Returns:
            Why the recording has to end, "" while there is room.

        Raises:
            OSError: the disk has gone.
        """
        if self._looks and now_s - self._looks[-1][0] < _EVERY_S:
            return ""
        free = self._free(self._folder)
        self.n_bytes = sum(map(_size, self._folder.iterdir()))
        self._looks.append((now_s, self.n_bytes))
        while len(self._looks) > 2 and self._looks[1][0] <= now_s - _WINDOW_S:
            self._looks.popleft()
        then_s, then_bytes = self._looks[0]
        rate = max(0.0, (self.n_bytes - then_bytes) / (now_s - then_s)) if now_s > then_s else 0.0
        reserve = max(RESERVE_BYTES, RESERVE_S * rate)
        if rate > 0:
            self.left_s = max(0.0, (free - reserve) / rate)
        if free < reserve:
            return f"{self._folder}: the recording ended: only {free / 1e6:.0f} MB are left on this disk"
        return ""


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # somebody's temporary file: gone since it was listed
        return 0
