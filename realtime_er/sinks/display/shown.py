"""What the panels of the window draw in one refresh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from realtime_er.messages import LABELS, Estimate, Snapshot
from realtime_er.sinks.display.controls import ShownMark
from realtime_er.sinks.display.history import History


@dataclass(frozen=True, slots=True)
class Shown:
    """One refresh.

    Attributes:
        snapshot: What was pulled, or what stood when the view was frozen.
        history: What the window remembers; it goes on while the view is frozen.
        now_s: Session time that is called now.
        start_s: Left end of the panels with a time axis.
        end_s: Right end; ``now_s`` unless somebody scrolled back.
        lead: The label with the highest score now, also while the estimate abstains, or None.
        about: The label whose contributions are shown over time: ``lead``, or the last there was.
        marks: Annotations, in order of time.
    """

    snapshot: Snapshot
    history: History
    now_s: float
    start_s: float
    end_s: float
    lead: str | None
    about: str | None
    marks: tuple[ShownMark, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether the estimate names a label."""
        return self.snapshot.estimate is not None and self.snapshot.estimate.label is not None


_SURE_FROM = ((0.75, "very sure"), (0.5, "quite sure"), (0.4, "fairly sure"))


def how_sure(confidence: float) -> str:
    """A probability in words, the same in the window and on the demo screen."""
    return next((words for least, words in _SURE_FROM if confidence >= least), "a little unsure")


def leading(estimate: Estimate | None) -> str | None:
    """The label with the highest score, also while the estimate abstains; None without scores."""
    if estimate is None or bool(np.isnan(estimate.probabilities).all()):
        return None
    return estimate.label or LABELS[int(np.nanargmax(estimate.probabilities))]
