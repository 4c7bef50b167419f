"""Memory that threads have let go goes back to the system, so that a session can stay on for days.

glibc gives each thread a heap of its own, and keeps there what was freed between blocks still in
use. Pictures, features and words of all sizes come and go in some twenty threads: what programs
hold does not grow, what is kept for them does, for hours (``docs/reliability.md``, Soak).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

EVERY_S = 30.0
"""Giving back takes about a millisecond."""


def _malloc_trim() -> Callable[[int], int] | None:
    """The function of glibc; None with another C library."""
    try:
        trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    except TypeError:  # Windows has no library of the program itself
        return None
    return trim


class Heap:
    """Gives free pages of all heaps of the process back, now and then. Owned by one thread.

    With another C library than glibc it does nothing.

    Args:
        trim: Gives them back; None for the C library's.
    """

    def __init__(self, trim: Callable[[int], int] | None = None) -> None:
        self._trim = trim or _malloc_trim()
        self._due_s = EVERY_S

    def look(self, now_s: float) -> None:
        """Give back when it is time to, by a session's clock."""
        if self._trim is None or now_s < self._due_s:
            return
        self._trim(0)
        self._due_s = now_s + EVERY_S
