"""How the publication's fusion head is trained: its settings, and reading them from a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from realtime_er.errors import ConfigError
from realtime_er.fusion.gated import Gate
from realtime_er.messages import MODALITIES


@dataclass(frozen=True)
class MerRecipe:
    """How a head is trained.

    Attributes:
        gated_dim: units of each gated pair; the published checkpoints have 32 and 64.
        gate: "softmax" as released, or "sigmoid" as drawn.
        dropout: after projections and the joint layer.
        learning_rate: of Adam.
        weight_decay: coupled, as in Adam's own L2.
        batch: clips in a step.
        epochs: at most.
        patience: epochs without a better score before it ends.
        class_weights: weighted loss ("WL"): n / (K n_k), or for several labels negatives over
            positives.
        select: the validation figure that chooses the epoch; empty means UAR, and for several
            labels the weighted accuracy, because the published UAR there is best when everything
            is predicted.
        modality_dropout: probability with which each modality of a clip is hidden in a step; one
            always stays.
        subset_heads: whether a further head is trained for every subset of the modalities.
        standardise: whether vectors are shifted and scaled by the training part's statistics.
        seed: of weights, order and dropout.
    """

    gated_dim: int = 128
    gate: Gate = "softmax"
    dropout: float = 0.1
    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    batch: int = 32
    epochs: int = 300
    patience: int = 20
    class_weights: bool = True
    select: Literal["", "UAR", "wAcc", "Acc", "wF1", "mF1", "F1"] = ""
    modality_dropout: float = 0.0
    subset_heads: bool = False
    standardise: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        counts = (self.gated_dim, self.batch, self.epochs, self.patience)
        if self.gate not in get_args(Gate):
            raise ConfigError(f"gate {self.gate!r} must be one of {', '.join(get_args(Gate))}")
        if min(counts) < 1 or not self.learning_rate > 0.0 or self.weight_decay < 0.0:
            raise ConfigError(
                "gated_dim, batch, epochs, patience and learning_rate must be above 0"
            )
        if not (0.0 <= self.dropout < 1.0 and 0.0 <= self.modality_dropout < 1.0):
            raise ConfigError("dropout and modality_dropout must be from 0 to below 1")

    def criterion(self, *, multi: bool) -> str:
        """The figure that chooses the epoch.

        Raises:
            ConfigError: there is no such figure for this kind of labels.
        """
        chosen = self.select or ("wAcc" if multi else "UAR")
        if chosen not in (("wAcc", "wF1", "Acc", "F1", "UAR") if multi else
                          ("Acc", "wF1", "mF1", "UAR")):  # fmt: skip
            kind = "several labels" if multi else "one label"
            raise ConfigError(f"select {chosen}: clips with {kind} have no such figure")
        return chosen


def recipe_from(settings: Mapping[str, Any]) -> MerRecipe:
    """A recipe with some settings changed, from plain values.

    Raises:
        ConfigError: an unknown setting, a value of another type, or one out of range.
    """
    known = {field.name: field for field in fields(MerRecipe)}
    usual = MerRecipe()
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(f"--recipe {name}: no such setting; there are {', '.join(known)}")
        kind = type(getattr(usual, name))
        whole = kind is float and isinstance(value, int) and not isinstance(value, bool)
        given = float(value) if whole else value
        if type(given) is not kind:
            raise ConfigError(f"--recipe {name}={value}: expected {kind.__name__}")
        values[name] = given
    return MerRecipe(**values)


def modalities_from(text: str) -> list[str]:
    """Modalities of a list such as "face,audio".

    Raises:
        ConfigError: it is empty, or names another.
    """
    chosen = [part.strip() for part in text.split(",") if part.strip()]
    if not chosen or any(name not in MODALITIES for name in chosen):
        raise ConfigError(f"--modalities {text}: write some of {','.join(MODALITIES)}")
    return chosen
