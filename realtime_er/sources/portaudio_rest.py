"""When PortAudio is not being started anew, as it must be to see that a microphone is back.

Its list of devices is freed meanwhile, and ``sounddevice`` points the whole process's stderr at the
null device (for up to 0.4 s, twice a second as long as a microphone is away).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_S = 2.0
_RESTART = threading.RLock()


@contextmanager
def portaudio_at_rest() -> Iterator[bool]:
    """Nobody starts PortAudio anew meanwhile, save whoever is inside. Any thread.

    Yields:
        False when somebody has been at it for too long to wait for: it does not answer.
    """
    alone = _RESTART.acquire(timeout=_LONGEST_S)
    try:
        yield alone
    finally:
        if alone:
            _RESTART.release()
