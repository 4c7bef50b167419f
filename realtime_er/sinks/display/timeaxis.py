"""Which part of the time is shown: how wide, and whether it follows the newest."""

from __future__ import annotations

SPANS_S = (5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Widths of the time axis, from close to far."""

DEFAULT_SPAN_S = 30.0
_SCROLL_SHARE = 0.2  # of the width, per key press


class TimeAxis:
    """The span of session time that all panels with a time axis show. Main thread.

    It follows the newest until somebody scrolls back; then it stays where it is.
    """

    def __init__(self) -> None:
        self.span_s = DEFAULT_SPAN_S
        self._pinned_s: float | None = None

    @property
    def follows(self) -> bool:
        """Whether the right end is now."""
        return self._pinned_s is None

    def window(self, now_s: float) -> tuple[float, float]:
        """Session times of the left and right end."""
        end_s = now_s if self._pinned_s is None else min(self._pinned_s, now_s)
        return end_s - self.span_s, end_s

    def zoom(self, closer: bool) -> None:
        """One step closer or farther; the right end stays."""
        place = SPANS_S.index(self.span_s) + (-1 if closer else 1)
        self.span_s = SPANS_S[min(max(place, 0), len(SPANS_S) - 1)]

    def scroll(self, steps: int, now_s: float, oldest_s: float | None) -> None:
        """``steps`` forward in time, negative: back, as far as there is something to see."""
        end_s = self.window(now_s)[1] + steps * _SCROLL_SHARE * self.span_s
        earliest_s = now_s if oldest_s is None else oldest_s + 0.5 * self.span_s
        end_s = max(end_s, min(earliest_s, now_s))
        self._pinned_s = None if end_s >= now_s else end_s

    def newest(self) -> None:
        """Follow again."""
        self._pinned_s = None

    def oldest(self, now_s: float, oldest_s: float | None) -> None:
        """Go to the beginning of what is remembered."""
        if oldest_s is not None and oldest_s + self.span_s < now_s:
            self._pinned_s = oldest_s + self.span_s


def ticks(start_s: float, end_s: float, now_s: float) -> list[tuple[float, str]]:
    """Session times worth a line, and how long ago they are at ``now_s``."""
    step_s = next(
        (s for s in (1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0) if (end_s - start_s) / s <= 6.5), 120.0
    )
    found = []
    ago = -int((now_s - start_s) // step_s)
    while now_s + ago * step_s <= end_s + 1e-6:
        found.append((now_s + ago * step_s, ago_text(-ago * step_s)))
        ago += 1
    return found


def ago_text(seconds: float) -> str:
    """How long ago, as on the axis: "now", "-30 s", "-2:30"."""
    if seconds < 0.05:
        return "now"
    if seconds < 100:
        return f"\N{MINUS SIGN}{seconds:.0f} s"
    return f"\N{MINUS SIGN}{int(seconds // 60)}:{int(seconds % 60):02d}"
