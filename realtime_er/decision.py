"""From a window to a published estimate: calibrated, faded, attributed, smoothed, labelled.

Everything between the head's probabilities and the published scores is linear in them, so the
Shapley contributions can go through the same steps and still sum to score minus prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from realtime_er.config import DecisionConfig
from realtime_er.fusion.head import FusionHead, FusionInput, shapley
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.windows import Window

EMPTY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """The decided part of an ``Estimate``; the fields are described there."""

    label: str | None
    confidence: float
    probabilities: FloatArray
    contributions: dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class DecisionState:
    """What smoothing and hysteresis remember: float32 (7,) scores or None, and the last label."""

    scores: FloatArray | None
    contributions: dict[str, FloatArray]
    label: str | None


def fade_text(
    values: Mapping[frozenset[str], FloatArray], prior: FloatArray, weight: float
) -> dict[frozenset[str], FloatArray]:
    """Let old words count less: v'(S with text) = w v(S with text) + (1 - w) v(S without).

    Args:
        values: Subset of modalities -> probabilities float32 (7,).
        prior: v(empty), float32 (7,).
        weight: 1 for fresh words, 0 for expired ones.
    """
    whole: dict[frozenset[str], FloatArray] = {EMPTY: prior, **values}
    faded = {}
    for subset, value in values.items():
        if "text" in subset:
            rest = whole[subset - {"text"}]
            value = (weight * value + (1.0 - weight) * rest).astype(np.float32)
        faded[subset] = value
    return faded


def attribute(
    head: FusionHead, fusion_input: FusionInput, text_weight: float
) -> tuple[FloatArray, dict[str, FloatArray]] | None:
    """Probabilities of all that is present, and each modality's exact Shapley value.

    Returns:
        probabilities float32 (7,) and modality -> float32 (7,); None when nothing is present.
    """
    values = head.probabilities(fusion_input)
    if not values:
        return None
    values = fade_text(values, head.prior, text_weight)
    present = max(values, key=len)
    return values[present], dict(shapley(values, present, head.prior))


class DecisionMaker:
    """Turns windows into decisions; keeps the smoothing state. Owned by the fusion thread."""

    def __init__(self, config: DecisionConfig, head: FusionHead, hop_s: float) -> None:
        self._config = config
        self._head = head
        tau_s = config.smoothing_s
        self._gain = 1.0 if tau_s == 0 else 1.0 - math.exp(-hop_s / tau_s)
        self._scores: FloatArray | None = None
        self._contributions = self._nothing()
        self._label: str | None = None

    @staticmethod
    def _nothing() -> dict[str, FloatArray]:
        return {modality: np.zeros(len(LABELS), np.float32) for modality in MODALITIES}

    def state(self) -> DecisionState:
        """What the next decision depends on besides its window."""
        return DecisionState(self._scores, dict(self._contributions), self._label)

    def restore(self, state: DecisionState) -> None:
        """Go on from there."""
        self._scores, self._label = state.scores, state.label
        self._contributions = {**self._nothing(), **state.contributions}

    def decide(self, window: Window) -> Decision:
        """Decide one tick. Call with consecutive windows."""
        result = attribute(self._head, window.fusion_input, window.text_weight)
        if result is None:
            self._scores, self._label = None, None
            self._contributions = self._nothing()
            unknown = np.full(len(LABELS), np.nan, np.float32)
            return Decision(None, 0.0, unknown, self._nothing())
        raw, contributions = result
        if self._scores is None:
            # Start from the evidence itself: a start from zero would invent a slow onset.
            self._scores = raw
            self._contributions = {**self._nothing(), **contributions}
        else:
            self._scores = self._smooth(self._scores, raw)
            self._contributions = {
                modality: self._smooth(old, contributions.get(modality, np.zeros_like(old)))
                for modality, old in self._contributions.items()
            }
        label, confidence = self._choose(self._scores)
        return Decision(label, confidence, self._scores, dict(self._contributions))

    def _smooth(self, old: FloatArray, new: FloatArray) -> FloatArray:
        return (old + np.float32(self._gain) * (new - old)).astype(np.float32)

    def _choose(self, scores: FloatArray) -> tuple[str | None, float]:
        """Hysteresis: a new label must lead the current one by ``enter_margin``."""
        best = int(np.nanargmax(scores))
        if self._label is not None:
            current = float(scores[LABELS.index(self._label)])
            if float(scores[best]) - current < self._config.enter_margin:
                best = LABELS.index(self._label)
        confidence = float(scores[best])
        self._label = LABELS[best]
        return (LABELS[best] if confidence >= self._config.abstain_below else None), confidence
