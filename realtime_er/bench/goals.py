"""What was wanted of this program on two processor cores, and whether the figures meet it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realtime_er.bench.tables import Section


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit on one figure.

    Attributes:
        what: for people.
        section: of the figure.
        row: of the figure.
        limit: in the row's unit.
        at_most: a limit from above; else from below.
        unit: of the limit.
    """

    what: str
    section: str
    row: str
    limit: float
    at_most: bool
    unit: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal beside what was measured; ``met`` is None where nothing was."""

    goal: Goal
    value: float | None
    met: bool | None

    def to_record(self) -> dict[str, Any]:
        """Plain values."""
        goal = self.goal
        return {
            "what": goal.what,
            "goal": f"{'at most' if goal.at_most else 'at least'} {goal.limit:g} {goal.unit}",
            "figure": f"{goal.section}.{goal.row}",
            "value": self.value,
            "met": self.met,
        }


_BOTH = (
    Goal("sound described by its encoder, live", "age", "voice", 95.0, False, "%"),
    Goal("first words after the onset of speech, p95", "words", "partial_p95", 1000.0, True, "ms"),
    Goal("final words after the end of speech, p95", "words", "final_p95", 1000.0, True, "ms"),
    Goal("less compute than encoding each window again", "reencoding", "ratio_4", 8.0, False, "x"),
    Goal("cost of a tick, window of 16 s over 2 s", "reencoding", "flat", 1.5, True, "x"),
    Goal("our own overhead", "overhead", "ours", 0.05, True, "cores"),
    Goal("display: pictures a second", "display", "fps", 19.0, False, "/s"),
    Goal("display: processor time", "display", "cores", 0.30, True, "cores"),
)

GOALS: dict[str, tuple[Goal, ...]] = {
    "compact": (
        Goal("fused estimates, live", "age", "estimates_hz", 9.9, False, "Hz"),
        Goal("score age p95, live", "age", "age_p95", 250.0, True, "ms"),
        Goal("capture and models, live", "compute", "capture_and_models", 0.35, True, "cores"),
        Goal("analyze 720p with speech, words apart", "analyze", "speed", 10.0, False, "x"),
        Goal("first score after process start", "start", "analyze", 2.0, True, "s"),
        *_BOTH,
    ),
    "paper": (
        Goal("fused estimates, live", "age", "estimates_hz", 3.95, False, "Hz"),
        Goal("faces a second, live", "age", "faces_hz", 4.75, False, "Hz"),
        Goal("score age p95, live", "age", "age_p95", 700.0, True, "ms"),
        Goal("everything together, live", "compute", "total", 1.0, True, "cores"),
        Goal("stays in real time: age p95, last over first", "age", "age_drift", 1.5, True, "x"),
        *_BOTH,
    ),
}
"""By bundle. Rates leave room for the ends of a short run."""


def judge(bundle: str, sections: Sequence[Section]) -> list[Verdict]:
    """Every goal of a bundle, met or not."""
    by_key = {section.key: section for section in sections}
    verdicts = []
    for goal in GOALS[bundle]:
        section = by_key.get(goal.section)
        row = section.row(goal.row) if section is not None else None
        value = row.value if row is not None else None
        met = None
        if value is not None:
            met = value <= goal.limit if goal.at_most else value >= goal.limit
        verdicts.append(Verdict(goal, value, met))
    return verdicts
