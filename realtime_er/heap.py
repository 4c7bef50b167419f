"""Memory that threads have let go goes back to the system, so that a session can stay on for days.

glibc gives almost each thread a heap of its own, and keeps there what was freed between blocks still
in use. Pictures, features and words of all sizes come and go in some twenty threads: what is kept
for them grows for hours, far more than what they hold (``docs/reliability.md``, Soak). So there are
two heaps, large blocks are none of theirs, and their free pages are given back now and then. With
another C library than glibc nothing is done.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

EVERY_S = 30.0
"""Giving back takes one to four milliseconds."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # numbers of malloc.h
_HEAPS = 2
_LARGE_BYTES = 4 * 2**20  # above a picture of 720p, which comes too often to ask the system for it
_FREE_ON_TOP_BYTES = 32 * 2**20  # more than a session frees before it is asked to look


class Heap:
    """Keeps the heaps of this process small. Owned by one thread.

    Args:
        library: The C library; None for that of the process.
    """

    def __init__(self, library: ctypes.CDLL | None = None) -> None:
        self._library = library or _c_library()
        self._trim: Callable[[int], int] | None = getattr(self._library, "malloc_trim", None)
        self._due_s = EVERY_S

    def settle(self) -> None:
        """Limit the number of heaps; before threads are started, which get one when they begin."""
        if self._trim is not None and self._library is not None:
            self._library.mallopt(_M_ARENA_MAX, _HEAPS)
            self._library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
            # Saying the one sets the other back to so little that every picture costs page faults.
            self._library.mallopt(_M_TRIM_THRESHOLD, _FREE_ON_TOP_BYTES)

    def look(self, now_s: float) -> None:
        """Give free pages back when it is time to, by a session's clock."""
        if self._trim is None or now_s < self._due_s:
            return
        self._trim(0)
        self._due_s = now_s + EVERY_S


def _c_library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None)
    except TypeError:  # Windows has no library of the process itself
        return None
