"""What the window costs: the real one, shown to nobody, over a paced session of constants.

The session's models cost nothing, so that the main thread's time is the window's. Pictures are real
frames of 720p that change, since the window draws only what changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.util import find_spec

from realtime_er.bench.machine import rss_mb
from realtime_er.bench.overhead import ConstantModels
from realtime_er.bench.tables import Row, Section, absent, quantile_rows
from realtime_er.config import Config
from realtime_er.session import Session
from realtime_er.sources.base import Source

_WARM_S = 3.0


def drawing_section(config: Config, source: Source, seconds: float) -> Section:
    """Show a session for ``seconds``. Main thread; makes the process's Qt application.

    Args:
        config: of the session.
        source: paced, 720p.
        seconds: to measure, after a warm-up of three.
    """
    title = "The window: shown to nobody (offscreen), 720p"
    if find_spec("PySide6") is None or find_spec("pyqtgraph") is None:
        why = 'not installed: pip install "realtime_er[window]"'
        return Section("display", title, (absent("fps", "pictures a second", "/s", why),))
    os.environ["QT_QPA_PLATFORM"] = "offscreen"  # also where there is a screen: nobody looks
    from realtime_er.sinks.display.app import Look, application, show
    from realtime_er.sinks.display.controls import Controls

    application()
    session = Session(config, source=source, models=ConstantModels(config))
    with session:
        watch = _Watch(session, seconds)
        show(Controls(session.snapshot), watch.pump, Look(size_px=(1280, 800)))
        session.stop()
        for _estimate in session.estimates():
            pass
    return Section("display", title, watch.rows())


class _Watch:
    """Reads the session for the window, and counts. Main thread."""

    def __init__(self, session: Session, seconds: float) -> None:
        self._session = session
        self._seconds = seconds
        self._started_s = time.perf_counter()
        self._from: tuple[float, float, float] | None = None
        self._to = (0.0, 0.0, 0.0)
        self._looks = 0
        self._waits_s: list[float] = []
        self._now: Callable[[], float] = lambda: session.snapshot().now_s

    def pump(self) -> bool:
        """Called before each picture is drawn; False ends the show."""
        at_s = time.perf_counter()
        waiting = self._session.poll()
        if waiting is None:
            return False
        if self._from is None:
            if at_s - self._started_s >= _WARM_S:
                self._from = (at_s, time.thread_time(), rss_mb())
            return True
        self._looks += 1
        now_s = self._now() if waiting else 0.0  # a snapshot costs, and is not the window's
        for estimate in waiting:
            if estimate.timing.age_s is not None:
                self._waits_s.append(now_s - estimate.time_s - estimate.timing.age_s)
        self._to = (at_s, time.thread_time(), rss_mb())
        return at_s - self._from[0] < self._seconds

    def rows(self) -> tuple[Row, ...]:
        """What was counted."""
        if self._from is None or self._looks < 2:
            why = "it ended before anything could be measured"
            return (absent("fps", "pictures a second", "/s", why),)
        span_s, busy_s, grown_mb = (
            last - first for first, last in zip(self._from, self._to, strict=True)
        )
        draw_s = busy_s / self._looks
        drawn = [wait_s + draw_s for wait_s in self._waits_s]
        return (
            Row("fps", "pictures a second", self._looks / span_s, "/s"),
            Row("cores", "processor time of the main thread", busy_s / span_s, "cores"),
            Row("draw", "one picture", 1e3 * draw_s, "ms"),
            *quantile_rows("draw_age", "from a score to its picture (part 'draw')", drawn),
            Row("growth", "growth", grown_mb / span_s * 60, "MB/min"),
        )
