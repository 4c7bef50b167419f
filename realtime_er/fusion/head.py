"""Fusion heads at run time: probabilities of every subset of the modalities, and attribution.

Pure functions and one class that owns an ONNX session; one owning thread, no locks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Protocol

import numpy as np

from realtime_er.encoders.bundle import load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import SpecMismatch
from realtime_er.messages import LABELS, MODALITIES, FloatArray

_Places = np.typing.NDArray[np.intp]

SUBSETS: tuple[frozenset[str], ...] = tuple(
    frozenset(chosen) for size in (1, 2, 3) for chosen in combinations(MODALITIES, size)
)
"""The seven non-empty subsets of the modalities: singles, pairs, all three."""


def subset_name(subset: Collection[str]) -> str:
    """Name of a subset in cards, "face+audio+text" for instance: modalities in their order."""
    return "+".join(modality for modality in MODALITIES if modality in subset)


def statistics(values: FloatArray) -> FloatArray:
    """Mean and population standard deviation over time.

    Args:
        values: float32 [T, D], embeddings.

    Returns:
        float32 [2 D]: the means, then the standard deviations (ddof 0, so all zeros for T = 1).

    Raises:
        ValueError: ``values`` is not [T, D] or holds no row; absent evidence has no statistics.
    """
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"statistics need [T, D] with T >= 1, got {values.shape}")
    # What numpy's mean and std do, without a second mean and their bookkeeping: at every tick.
    exact = values.astype(np.float64)
    n_rows = len(exact)
    mean = np.add.reduce(exact, axis=0) / n_rows
    exact -= mean
    np.multiply(exact, exact, out=exact)
    spread = np.sqrt(np.add.reduce(exact, axis=0) / n_rows)
    return np.concatenate([mean, spread]).astype(np.float32)


@dataclass(frozen=True)
class FusionInput:
    """What a head reads at one tick. ``None`` is an absent modality.

    Attributes:
        face: float32 [2 Df], statistics of the face embeddings.
        audio: float32 [2 Da], statistics of the speech embeddings.
        text: float32 [Dt], the utterance's embedding.
    """

    face: FloatArray | None = None
    audio: FloatArray | None = None
    text: FloatArray | None = None

    def of(self, modality: str) -> FloatArray | None:
        """The vector of one modality by name."""
        return {"face": self.face, "audio": self.audio, "text": self.text}[modality]

    @property
    def present(self) -> frozenset[str]:
        """Names of the modalities that are there."""
        return frozenset(name for name in MODALITIES if self.of(name) is not None)


class FusionHead(Protocol):
    """What turns a FusionInput into probabilities. One owning thread."""

    @property
    def head_id(self) -> str:
        """Identity of the head."""
        ...

    @property
    def encoder_ids(self) -> Mapping[str, str]:
        """Modality to the id of the encoder that the head was trained on."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the probabilities, in the project's order."""
        ...

    @property
    def prior(self) -> FloatArray:
        """float32 [7], the probabilities without any evidence."""
        ...

    def probabilities(self, fusion_input: FusionInput) -> Mapping[frozenset[str], FloatArray]:
        """Calibrated probabilities of each non-empty subset of the present modalities.

        Returns:
            Subset to float32 [7], summing to one; empty when nothing is present.

        Raises:
            ValueError: A vector has the wrong length or is not finite.
        """
        ...


class OnnxFusionHead:
    """A fusion head from a model folder: "face", "audio", "text", "mask" [N, 3] -> "logits".

    Args:
        folder: The model's folder, ``model.onnx`` and ``card.json``.
        encoders: Modality to encoder id of the encoders in use; those switched off may be left
            out, since their modality is never present.
        threads: ONNX Runtime's threads within one operator.

    Raises:
        WeightsMissing: The folder lacks its card or model.
        SpecMismatch: The card contradicts the model, or was trained on other encoders.
    """

    def __init__(self, folder: Path, encoders: Mapping[str, str], threads: int = 1) -> None:
        card = load_card(Path(folder))
        if card.kind != "fusion":
            raise SpecMismatch(f"{card.folder}: a {card.kind} model, not fusion")
        if card.labels != LABELS:
            raise SpecMismatch(f"{card.folder}: labels {list(card.labels)}, not {list(LABELS)}")
        try:
            self._encoder_ids = {name: str(card.raw["encoders"][name]) for name in MODALITIES}
            self._prior = np.array([card.raw["prior"][name] for name in LABELS], np.float32)
            temperatures = card.raw["temperatures"]
            self._temperature = {
                subset: float(temperatures[subset_name(subset)]) for subset in SUBSETS
            }
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SpecMismatch(f"{card.folder}: fusion card lacks {error}") from error
        for modality, given in encoders.items():
            trained = self._encoder_ids.get(modality)
            if given != trained:
                raise SpecMismatch(
                    f"{card.folder}: head {card.id} was trained on {modality} encoder {trained}, "
                    f"not {given}; use the bundle's own encoder or retrain the head "
                    "(realtime-er train fusion)"
                )
        if not all(0.0 < value < np.inf for value in self._temperature.values()):
            raise SpecMismatch(f"{card.folder}: temperatures must be positive")
        if not np.isclose(self._prior.sum(), 1.0, atol=1e-4):
            raise SpecMismatch(f"{card.folder}: the prior does not sum to one")
        self._prior /= self._prior.sum()
        self._head_id = card.id
        self._session = onnx_session(card.path, threads)
        shapes = {node.name: node.shape for node in self._session.get_inputs()}
        if set(shapes) != {*MODALITIES, "mask"}:
            raise SpecMismatch(f"{card.path}: inputs {sorted(shapes)} are not a fusion head's")
        try:
            self._lengths = {name: int(shapes[name][1]) for name in MODALITIES}
        except (IndexError, TypeError, ValueError) as error:
            raise SpecMismatch(f"{card.path}: its inputs have no fixed length") from error

    @property
    def head_id(self) -> str:
        """Identity of the head."""
        return self._head_id

    @property
    def encoder_ids(self) -> Mapping[str, str]:
        """Modality to the id of the encoder that the head was trained on."""
        return self._encoder_ids

    @property
    def labels(self) -> tuple[str, ...]:
        """The seven project labels."""
        return LABELS

    @property
    def prior(self) -> FloatArray:
        """float32 [7], the probabilities without any evidence."""
        return self._prior.copy()

    def probabilities(self, fusion_input: FusionInput) -> Mapping[frozenset[str], FloatArray]:
        """Calibrated probabilities of each non-empty subset, in one run of the model.

        Returns:
            Subset to float32 [7], summing to one; empty when nothing is present.

        Raises:
            ValueError: A vector has the wrong length or is not finite.
        """
        present = fusion_input.present
        subsets = [subset for subset in SUBSETS if subset <= present]
        if not subsets:
            return {}
        feed: dict[str, FloatArray] = {
            name: np.repeat(self._vector(name, fusion_input.of(name))[None], len(subsets), axis=0)
            for name in MODALITIES
        }
        feed["mask"] = np.array(
            [[float(name in subset) for name in MODALITIES] for subset in subsets], np.float32
        )
        logits = np.asarray(self._session.run(["logits"], feed)[0], np.float64)
        scale = np.array([self._temperature[subset] for subset in subsets])
        values = softmax(logits / scale[:, None])
        return dict(zip(subsets, values, strict=True))

    def _vector(self, modality: str, vector: FloatArray | None) -> FloatArray:
        length = self._lengths[modality]
        if vector is None:
            # Masked out in every row; the value is never read.
            return np.zeros(length, np.float32)
        if vector.shape != (length,):
            raise ValueError(f"{modality} must be [{length}], got {list(vector.shape)}")
        if not np.isfinite(vector).all():
            raise ValueError(f"{modality} holds a value that is not finite")
        return vector.astype(np.float32, copy=False)


def softmax(logits: np.typing.NDArray[np.float64]) -> FloatArray:
    """Softmax over the last axis, computed in float64, float32 out."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def shapley(
    values: Mapping[frozenset[str], FloatArray], present: Collection[str], prior: FloatArray
) -> dict[str, FloatArray]:
    """Exact Shapley values of the modalities.

    Args:
        values: Every non-empty subset of ``present`` to its probabilities, [7].
        present: Names of the present modalities.
        prior: [7], the value of the empty set.

    Returns:
        Every modality to float32 [7]. They sum to ``values[present] - prior``; an absent
        modality has zeros.

    Raises:
        KeyError: A subset is missing.
    """
    players = tuple(name for name in MODALITIES if name in present)
    coalitions, terms = _shapley_terms(players)
    table = np.array([values[one] if one else prior for one in coalitions], np.float64)
    total = np.zeros((len(players), len(prior)), np.float64)
    for weight, joined, without in terms:
        total += weight * (table.take(joined, 0) - table.take(without, 0))
    result = {name: np.zeros(len(prior), np.float32) for name in MODALITIES}
    result.update(zip(players, total.astype(np.float32), strict=True))
    return result


@cache
def _shapley_terms(
    players: tuple[str, ...],
) -> tuple[tuple[frozenset[str], ...], tuple[tuple[float, _Places, _Places], ...]]:
    """The coalitions, and the terms of each player's sum, all players side by side.

    A term is a weight and, for every player, the numbers of the coalitions with and without them.
    """
    count = len(players)
    coalitions = tuple(frozenset(c) for n in range(count + 1) for c in combinations(players, n))
    place = {coalition: number for number, coalition in enumerate(coalitions)}
    weights: list[float] = []
    without: list[list[int]] = []
    joined: list[list[int]] = []
    for name in players:
        others = [other for other in players if other != name]
        chosen = [frozenset(c) for n in range(count) for c in combinations(others, n)]
        weights = [
            factorial(len(c)) * factorial(count - len(c) - 1) / factorial(count) for c in chosen
        ]
        without.append([place[c] for c in chosen])
        joined.append([place[c | {name}] for c in chosen])
    columns = zip(weights, zip(*joined, strict=True), zip(*without, strict=True), strict=True)
    return coalitions, tuple((weight, np.array(j), np.array(w)) for weight, j, w in columns)
