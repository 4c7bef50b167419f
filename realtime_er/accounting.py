"""The accounting rule: captured = processed + skipped + dropped + in gaps + in flight.

Every edge counts what it was offered and what became of it; every stage counts what it did with
what it took. Put together they say where each frame and each sample went.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from realtime_er.runtime import EdgeCounts


@dataclass(slots=True)
class StreamTally:
    """What one producer emitted. One writer: its producer thread.

    ``captured`` counts frames or samples; ``in_gaps`` those that the stream says were lost before it
    could hand them over (its index jumps over them); ``end_index`` is one past the last.
    """

    name: str
    unit: str
    captured: int = 0
    in_gaps: int = 0
    end_index: int = 0


@dataclass(frozen=True, slots=True)
class EdgeAccount:
    """One edge and what its consumer did with what it took.

    ``overtaken`` were taken and left for something newer; ``stale`` would have been too old when done;
    ``failed`` was in the hands of a consumer that died.
    """

    counts: EdgeCounts
    captured: int
    processed: int
    skipped: int
    tail: int
    overtaken: int = 0
    stale: int = 0
    failed: int = 0

    @property
    def unaccounted(self) -> int:
        """Units of which nobody can say where they went; zero in a correct session."""
        counts = self.counts
        known = self.processed + self.skipped + self.tail + self.overtaken + self.stale
        known += self.failed + counts.dropped + counts.superseded + counts.in_flight
        return self.captured - known

    def line(self) -> str:
        """One line for people."""
        parts = [f"{self.captured} {self.counts.unit} captured", f"{self.processed} processed"]
        parts += [f"{n} {what}" for n, what in ((self.skipped, "skipped by rate"),) if n]
        parts += [f"{n} {what}" for n, what in ((self.tail, "in unfilled steps"),) if n]
        parts.append(f"{self.counts.dropped} dropped")
        superseded = self.counts.superseded + self.overtaken
        parts += [f"{n} {what}" for n, what in ((superseded, "superseded"),) if n]
        parts += [f"{n} {what}" for n, what in ((self.stale, "not begun: too late"),) if n]
        parts += [f"{n} {what}" for n, what in ((self.failed, "in the hands of what failed"),) if n]
        parts.append(f"{self.counts.in_flight} in flight")
        return f"{self.counts.name}: " + ", ".join(parts) + f"; {self.unaccounted} unaccounted"


@dataclass(frozen=True, slots=True)
class Accounting:
    """All streams and edges of a session."""

    streams: tuple[StreamTally, ...]
    edges: tuple[EdgeAccount, ...] = field(default=())

    @property
    def balanced(self) -> bool:
        """Whether every frame, sample and segment is accounted for."""
        whole = all(t.in_gaps >= 0 and t.end_index == t.captured + t.in_gaps for t in self.streams)
        return whole and all(e.unaccounted == 0 and e.counts.balanced for e in self.edges)

    def lines(self) -> list[str]:
        """One line per edge, and one per stream with gaps."""
        lines = [edge.line() for edge in self.edges]
        lines += [f"{t.name}: {t.in_gaps} {t.unit} in gaps" for t in self.streams if t.in_gaps]
        return lines

    def to_record(self) -> dict[str, Any]:
        """Plain values, for files."""
        return {
            "balanced": self.balanced,
            "streams": {
                t.name: {"unit": t.unit, "captured": t.captured, "in_gaps": t.in_gaps}
                for t in self.streams
            },
            "edges": {
                e.counts.name: {
                    "unit": e.counts.unit,
                    "policy": e.counts.policy,
                    "captured": e.captured,
                    "processed": e.processed,
                    "skipped": e.skipped,
                    "tail": e.tail,
                    "dropped": e.counts.dropped,
                    "superseded": e.counts.superseded + e.overtaken,
                    "stale": e.stale,
                    "failed": e.failed,
                    "in_flight": e.counts.in_flight,
                    "high_water": e.counts.high_water,
                }
                for e in self.edges
            },
        }
