"""The classes that the published encoders' own heads give, in the project's names.

Every head has an order of its own, so probabilities are moved by name, never by place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from realtime_er.errors import SpecMismatch
from realtime_er.messages import LABELS, FloatArray

_SPELLINGS = {
    "Neutral": ("neutral", "neu", "ne", "calm"),
    "Happy": ("happy", "happiness", "joy", "hap", "ha"),
    "Sad": ("sad", "sadness", "sa"),
    "Surprise": ("surprise", "surprised", "sur", "su"),
    "Fear": ("fear", "fearful", "fea", "fe"),
    "Disgust": ("disgust", "disgusted", "dis", "di"),
    "Angry": ("angry", "anger", "ang", "an"),
}
_LABEL_OF = {spelling: label for label, group in _SPELLINGS.items() for spelling in group}

TEXT_ORDER = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
"""Order of the published seven-class text heads; video, audio and fusion use the project's."""


def project_label(name: str) -> str | None:
    """The project's name of a class ("joy" is Happy), or None where it has none."""
    return _LABEL_OF.get(name.strip().lower())


def labels_of_config(config: dict[str, object]) -> tuple[str, ...]:
    """Names of a head's classes from a hub ``config.json``; empty where it has only numbers."""
    table = config.get("id2label")
    if not isinstance(table, dict) or not table:
        return ()
    try:
        names = tuple(str(table[key]) for key in sorted(table, key=int))
    except ValueError as error:
        raise SpecMismatch(f"id2label must have the class numbers as keys: {error}") from error
    return () if all(name.upper().startswith("LABEL_") for name in names) else names


def to_project_columns(probabilities: FloatArray, labels: Sequence[str]) -> FloatArray:
    """Moves a head's probabilities to the seven columns by name.

    Args:
        probabilities: float32 (..., len(labels)).
        labels: the head's own names, in its order.

    Returns:
        float32 (..., 7); NaN in the columns that the head lacks. Classes that the project lacks
        are left out, so a row need not sum to one.

    Raises:
        ValueError: there are not as many labels as columns, or none is one of the project's.
    """
    if probabilities.shape[-1] != len(labels):
        raise ValueError(f"{probabilities.shape[-1]} probabilities for {len(labels)} labels")
    names = [project_label(label) for label in labels]
    if not any(names):
        raise ValueError(f"none of {list(labels)} is one of {list(LABELS)}")
    columns = []
    for label in LABELS:
        own = [index for index, name in enumerate(names) if name == label]
        columns.append(
            probabilities[..., own].sum(axis=-1)
            if own
            else np.full(probabilities.shape[:-1], np.nan, np.float32)
        )
    return np.stack(columns, axis=-1).astype(np.float32)
