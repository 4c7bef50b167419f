"""The numbers behind the models of the compact bundle; ``config/train/NAME.toml`` spells them out.

Plain settings that ``config.read_settings`` checks; nothing here needs torch. The defaults are those
of the models that ship.
"""

from __future__ import annotations

from dataclasses import dataclass

from realtime_er.config import number


@dataclass(frozen=True)
class DetectorRecipe:
    """The face detector's: ``epochs`` are hundreds of batches of composed pictures."""

    seed: int = number(1, 0, open_low=False)
    epochs: int = number(20, 1, open_low=False)


@dataclass(frozen=True)
class FaceRecipe:
    """The face encoder's: ``epochs`` are passes over FER+ train."""

    seed: int = number(1, 0, open_low=False)
    epochs: int = number(12, 1, open_low=False)


@dataclass(frozen=True)
class TextRecipe:
    """The text encoder's: ``epochs`` are passes over all three corpora."""

    seed: int = number(1, 0, open_low=False)
    epochs: int = number(2, 1, open_low=False)


@dataclass(frozen=True)
class SpeechRecipe:
    """The speech encoder's two trainings, each AdamW with a one-cycle rate.

    Attributes:
        seed: of disturbances, weights and order.
        epochs: of the first training, from scratch.
        refine_epochs: of the second, with a teacher; 0 leaves it out.
        versions: of each clip, the undisturbed one among them.
        batch: clips in a step.
        peak_rate: of the first training.
        refine_peak_rate: of the second.
        weight_decay: of both.
        step_loss: weight of the loss at single steps, beside that of the pooled head.
    """

    seed: int = number(1, 0, open_low=False)
    epochs: int = number(56, 1, open_low=False)
    refine_epochs: int = number(28, 0, open_low=False)
    versions: int = number(10, 1, open_low=False)
    batch: int = number(32, 2, open_low=False)
    peak_rate: float = number(3e-3, 0.0)
    refine_peak_rate: float = number(2e-3, 0.0)
    weight_decay: float = number(0.03, 0.0, open_low=False)
    step_loss: float = number(0.3, 0.0, open_low=False)


@dataclass(frozen=True)
class FusionRecipe:
    """The fusion head's: AdamW with a cosine rate on label-matched triples.

    Attributes:
        seed: of parts, triples, weights and dropout.
        epochs: of fresh triples.
        triples: of an epoch.
        batch: triples in a step, a multiple of the seven labels.
        gated_dim: units of each gated pair.
        rate: at the start.
        weight_decay: decoupled.
        dropout: after projections and the joint layer.
        noise: added to vectors, in their standard deviations.
        smoothing: of the labels.
    """

    seed: int = number(1, 0, open_low=False)
    epochs: int = number(20, 1, open_low=False)
    triples: int = number(4200, 7, open_low=False)
    batch: int = number(70, 7, open_low=False)
    gated_dim: int = number(64, 1, open_low=False)
    rate: float = number(5e-4, 0.0)
    weight_decay: float = number(0.02, 0.0, open_low=False)
    dropout: float = number(0.3, 0.0, 0.95, open_low=False)
    noise: float = number(0.2, 0.0, open_low=False)
    smoothing: float = number(0.05, 0.0, 0.5, open_low=False)
