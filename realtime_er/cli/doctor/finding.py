"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        what: What was looked at.
        state: ``broken``: nothing works without it; ``note``: something does not.
        detail: What was found.
        fix: What to do; "" when there is nothing to do.
    """

    what: str
    state: State
    detail: str
    fix: str = ""
