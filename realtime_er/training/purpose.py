"""What the card of every model that ships says it is not for."""

from __future__ import annotations

PEOPLE = (
    "judging, selecting, diagnosing, grading or monitoring people: a score says how an expression "
    "reads, not what somebody feels"
)
