"""What the outputs of an MER head mean, and how they become the seven columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from realtime_er.encoders.paper.own_labels import project_label
from realtime_er.errors import SpecMismatch
from realtime_er.messages import LABELS, FloatArray

SIX_CLASSES = {
    "IEMOCAP": ("Neutral", "Happy", "Sad", "Angry", "Excited", "Frustrated"),
    "MOSEI": ("Happy", "Sad", "Angry", "Surprise", "Fear", "Disgust"),
}
"""Classes of the published six-class heads, in the order of their tables; MOSEI's do not exclude
each other. A file does not say which of the two it is, so its folder's name must."""
MULTI_LABEL = ("MOSEI",)
_FOLDED = {"Excited": "Happy"}
"""Classes without a column of their own that count as one; Frustrated has none and is left out."""


@dataclass(frozen=True)
class Classes:
    """What a head's outputs mean.

    Attributes:
        names: of its classes, in its order.
        multi: whether they do not exclude each other.
        prior: float32 [7], NaN where the head has no such label.
    """

    names: tuple[str, ...]
    multi: bool
    prior: FloatArray

    @classmethod
    def of(cls, names: tuple[str, ...], prior: FloatArray, *, multi: bool, where: Path) -> Classes:
        """Checked: the names are folded, the prior (float [C], in the head's order) moved.

        Raises:
            SpecMismatch: none is one of the seven, or the prior is none.
        """
        folded = tuple(_FOLDED.get(name, name) for name in names)
        if not any(project_label(name) for name in folded):
            raise SpecMismatch(
                f"{where}: classes {', '.join(names)}, none of which is one of {', '.join(LABELS)}"
            )
        if not (np.isfinite(prior).all() and (prior >= 0.0).all() and prior.sum() > 0.0):
            raise SpecMismatch(f"{where}: its card's prior is no list of probabilities")
        columns = np.full(len(LABELS), np.nan)
        # Classes without a column are left out, and the rest is given that it is none of those.
        for name, value in zip(folded, prior, strict=True):
            label = project_label(name)
            if label is not None:
                column = LABELS.index(label)
                columns[column] = np.nan_to_num(columns[column]) + float(value)
        if not multi:
            columns /= max(float(np.nansum(columns)), np.finfo(np.float32).tiny)
        return cls(folded, multi, np.minimum(columns, 1.0).astype(np.float32))

    def notices(self, head_id: str, own: tuple[str, ...]) -> tuple[str, ...]:
        """What a user must know about scores that are not the usual seven."""
        lacking = [
            label for label, value in zip(LABELS, self.prior, strict=True) if np.isnan(value)
        ]
        dropped = [name for name in own if project_label(_FOLDED.get(name, name)) is None]
        told = []
        if self.multi:
            told.append(f"head {head_id}: each score is by itself (multi-label); no sum of one")
        if lacking:
            told.append(f"head {head_id} does not know {', '.join(lacking)}")
        if dropped:
            told.append(f"head {head_id}: {', '.join(dropped)} has no score of its own")
        return tuple(told)
