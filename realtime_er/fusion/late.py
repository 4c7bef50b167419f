"""Late fusion: the encoders' own classifiers, calibrated one by one, and a weighted mean of them.

Needs no training, and nothing but the classifiers that the encoders bring along. Numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np

from realtime_er.encoders.paper.own_labels import project_label, to_project_columns
from realtime_er.errors import SpecMismatch
from realtime_er.fusion.head import SUBSETS, FusionInput, softmax
from realtime_er.messages import LABELS, MODALITIES, FloatArray

LateWeights = Literal["equal", "published"]

_PUBLISHED = {
    #          static, audio
    "Neutral": (0.899, 0.089),
    "Happy": (0.897, 0.063),
    "Sad": (0.027, 0.487),
    "Surprise": (0.630, 0.149),
    "Fear": (0.044, 0.018),
    "Disgust": (0.086, 0.247),
    "Angry": (0.104, 0.683),
}


class OwnHead(Protocol):
    """An encoder's own classifier, on the vectors that the encoder gives."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its classes in its own order and spelling; empty where they are not known."""
        ...

    @property
    def dim(self) -> int:
        """D, the length of the encoder's vector."""
        ...

    def logits(self, vector: FloatArray) -> FloatArray:
        """float32 [C] (or [N, C]) of an encoder's vector float32 [D] (or [N, D])."""
        ...


def class_weights(kind: LateWeights) -> dict[str, FloatArray]:
    """Weight of every modality for every label, of all three together one.

    "equal": a third each. "published": the class-wise weights of AVCER (Dirichlet-sampled, CVPRW
    2024), its static face model for the face, its audio model for the voice. Its third model, a
    face over time, is not there: the two others share its part in their proportion. That paper
    has no text: it gets what it would get of three equals, a third of every label.

    Returns:
        Modality to float32 [7].
    """
    if kind == "equal":
        return {
            name: np.full(len(LABELS), 1.0 / len(MODALITIES), np.float32) for name in MODALITIES
        }
    pairs = np.array([_PUBLISHED[label] for label in LABELS])
    shared = pairs / pairs.sum(axis=1, keepdims=True) * (2.0 / 3.0)
    third = np.full(len(LABELS), 1.0 / 3.0)
    columns = (shared[:, 0], shared[:, 1], third)
    return {
        name: column.astype(np.float32) for name, column in zip(MODALITIES, columns, strict=True)
    }


def label_columns(
    logits: FloatArray, labels: tuple[str, ...], temperature: float, *, multi: bool = False
) -> FloatArray:
    """A head's logits as calibrated probabilities of the seven labels, moved by name.

    Classes without a column (Frustrated, Contempt) are left out and the rest is what is likely
    given that it is none of those.

    Args:
        logits: float32 (..., C).
        labels: names of the classes.
        temperature: divisor of the logits.
        multi: whether the classes do not exclude each other; then each has its own sigmoid.

    Returns:
        float32 (..., 7), summing to one unless ``multi``; NaN in the columns that the head lacks.
    """
    kept = [index for index, name in enumerate(labels) if project_label(name) is not None]
    scaled = logits[..., kept].astype(np.float64) / temperature
    values = (1.0 / (1.0 + np.exp(-scaled))).astype(np.float32) if multi else softmax(scaled)
    columns = to_project_columns(values, [labels[index] for index in kept])
    return np.minimum(columns, np.float32(1.0))


def own_vector(modality: str, vector: FloatArray) -> FloatArray:
    """The part of a modality's statistics that its own classifier reads: means, without spreads.

    Args:
        modality: "face", "audio" or "text".
        vector: float32 (..., 2 D) of face or audio, (..., D) of text.
    """
    return vector if modality == "text" else vector[..., : vector.shape[-1] // 2]


class LateFusionHead:
    """A weighted mean of the probabilities of the encoders' own classifiers. One owning thread.

    A label that only some of the present classifiers know (the hub's voice model has no Surprise)
    is the weighted mean over those; then all are scaled to sum to one. A label that none of the
    present ones knows stays at its prior, so that they contribute nothing to it; one that no
    classifier of the session knows is NaN.

    Args:
        own_heads: modality to classifier.
        encoders: modality to encoder id; no other modality is ever present.
        weights: see :func:`class_weights`; renormalised over what is present.
        temperatures: modality to divisor of its logits; 1 where it is not named.
        head_id: identity; None makes one.
        notices: one-line notices for the user.

    Raises:
        SpecMismatch: an encoder has no classifier, or one whose classes have no names or are none
            of the seven.
    """

    def __init__(
        self,
        own_heads: Mapping[str, OwnHead],
        encoders: Mapping[str, str],
        *,
        weights: LateWeights = "equal",
        temperatures: Mapping[str, float] | None = None,
        head_id: str | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        known = np.zeros(len(LABELS), bool)
        for modality in encoders:
            known |= _known_columns(modality, own_heads.get(modality))
        self._heads = {name: own_heads[name] for name in MODALITIES if name in encoders}
        self._encoder_ids = dict(encoders)
        self._weights = class_weights(weights)
        given = temperatures or {}
        self._temperatures = {name: float(given.get(name, 1.0)) for name in self._heads}
        self._known = known
        self._prior = np.where(known, 1.0 / max(int(known.sum()), 1), np.nan).astype(np.float32)
        self._head_id = head_id or f"late-{weights}"
        self._notices = notices

    @property
    def head_id(self) -> str:
        """Identity of the head."""
        return self._head_id

    @property
    def encoder_ids(self) -> Mapping[str, str]:
        """Modality to the id of the encoder whose classifier is read."""
        return self._encoder_ids

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that any classifier knows, in the project's order."""
        return tuple(label for label, known in zip(LABELS, self._known, strict=True) if known)

    @property
    def prior(self) -> FloatArray:
        """float32 [7]: uniform over the known labels, NaN for the others."""
        return self._prior.copy()

    @property
    def notices(self) -> tuple[str, ...]:
        """One-line notices for the user."""
        return self._notices

    def probabilities(self, fusion_input: FusionInput) -> Mapping[frozenset[str], FloatArray]:
        """Probabilities of each non-empty subset of the present modalities.

        Returns:
            Subset to float32 [7], summing to one over the known labels; empty when nothing is
            present.

        Raises:
            ValueError: a vector has the wrong length or is not finite.
        """
        present = fusion_input.present
        own = {name: self._own(name, fusion_input) for name in self._heads if name in present}
        found = {}
        for subset in SUBSETS:
            if subset <= own.keys():
                names = [name for name in MODALITIES if name in subset]
                values = np.stack([own[name] for name in names])[:, None]
                weights = np.stack([self._weights[name] for name in names])
                found[subset] = weighted_mean(values, weights, self._prior)[0]
        return found

    def _own(self, modality: str, fusion_input: FusionInput) -> FloatArray:
        head, vector = self._heads[modality], fusion_input.of(modality)
        length = head.dim if modality == "text" else 2 * head.dim
        checked = checked_vector(modality, vector, length)
        logits = head.logits(own_vector(modality, checked))
        return label_columns(logits, head.labels, self._temperatures[modality])


def weighted_mean(values: FloatArray, weights: FloatArray, prior: FloatArray) -> FloatArray:
    """Weighted mean of what several classifiers say, label by label.

    Args:
        values: float32 [M, N, 7], calibrated probabilities of M classifiers for N moments; NaN
            where a classifier does not know a label or has nothing to read. In every moment one
            has something to say.
        weights: float32 [M, 7], renormalised over those that say something.
        prior: float32 [7], what a label that nobody speaks of keeps; NaN: the label is not known.

    Returns:
        float32 [N, 7], summing to one over the known labels.
    """
    has = ~np.isnan(values)
    share = weights[:, None, :].astype(np.float64) * has
    total = share.sum(axis=0)
    means = (share * np.nan_to_num(values)).sum(axis=0) / np.where(total > 0.0, total, 1.0)
    kept = np.where((total > 0.0) | np.isnan(prior), 0.0, prior)
    rest = (1.0 - kept.sum(axis=1)) / means.sum(axis=1)
    means = means * rest[:, None] + kept
    means[:, np.isnan(prior)] = np.nan
    return np.asarray(means, np.float32)


def checked_vector(modality: str, vector: FloatArray | None, length: int) -> FloatArray:
    """A modality's vector as float32 [length].

    Raises:
        ValueError: it is not there, has another length, or is not finite.
    """
    if vector is None or vector.shape != (length,):
        shape = None if vector is None else list(vector.shape)
        raise ValueError(f"{modality} must be [{length}], got {shape}")
    if not np.isfinite(vector).all():
        raise ValueError(f"{modality} holds a value that is not finite")
    return vector.astype(np.float32, copy=False)


def _known_columns(modality: str, head: OwnHead | None) -> np.typing.NDArray[np.bool_]:
    if head is None:
        raise SpecMismatch(
            f"late fusion: the {modality} encoder has no classifier of its own; "
            "give a fusion head, or switch the modality off"
        )
    names = {project_label(name) for name in head.labels}
    known = np.array([label in names for label in LABELS])
    if not known.any():
        told = ", ".join(head.labels) or "classes without names"
        raise SpecMismatch(
            f"late fusion: the {modality} encoder's own classifier has {told}, none of "
            f"{', '.join(LABELS)}; name them in its config.json (id2label), or give a fusion head"
        )
    return known
