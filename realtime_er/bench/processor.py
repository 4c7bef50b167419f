"""Processor time, thread by thread: exact counters of the system, not samples.

The session's threads are named ("rter:face"); each has a clock of its own that counts nanoseconds in
which it really ran. The process has one as well, so what the named threads do not account for is
the time of threads that libraries started (CTranslate2's, OpenVINO's).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "rter:"
LIBRARIES = "libraries"
MAIN = "main"


@dataclass(frozen=True, slots=True)
class Reading:
    """Processor seconds so far: of the whole process, and of each thread by its name."""

    at_s: float
    process_s: float
    threads: Mapping[str, float]


def read_clocks() -> Reading:
    """Read all clocks; call it from the main thread while the session's threads live."""
    at_s = time.perf_counter()
    threads = {
        thread.name.removeprefix(PREFIX): _thread_s(thread)
        for thread in threading.enumerate()
        if thread.name.startswith(PREFIX) and thread.is_alive()
    }
    # The process last: what runs between two readings must not make a part larger than the whole.
    return Reading(at_s, time.process_time(), {MAIN: time.thread_time(), **threads})


def _thread_s(thread: threading.Thread) -> float:
    if thread.ident is None:
        return 0.0
    if hasattr(time, "pthread_getcpuclockid"):
        try:
            return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        except OSError:  # it has just ended
            return 0.0
    import psutil  # type: ignore[import-untyped]  # macOS and Windows: to the clock tick

    native = {row.id: row.user_time + row.system_time for row in psutil.Process().threads()}
    return float(native.get(thread.native_id or -1, 0.0))


def spent(first: Reading, last: Reading) -> dict[str, float]:
    """Processor seconds by thread between two readings; their sum is the process's.

    Threads that were not there at both readings count among the libraries'.
    """
    parts = {
        name: last.threads[name] - first.threads[name]
        for name in last.threads
        if name in first.threads and last.threads[name] >= first.threads[name]
    }
    whole = last.process_s - first.process_s
    return {**parts, LIBRARIES: max(0.0, whole - sum(parts.values()))}
