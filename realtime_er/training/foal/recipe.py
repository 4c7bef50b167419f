"""How Foal-Net is trained; ``config/train/foal.toml`` spells it out. Nothing here needs torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from realtime_er.config import number

Precision = Literal["fp32", "fp16", "bf16"]


@dataclass(frozen=True)
class FoalRecipe:
    """AdamW with a warm-up and a cosine, on batches in which every class is as likely.

    Attributes:
        seed: of weights, batches, draws and dropout.
        epochs: each as many clips as the training part has, drawn with replacement.
        batch: clips in a step, over all processes.
        start_rate: of learning, in the first step.
        peak_rate: after the warm-up.
        end_rate: in the last step.
        warmup: share of the steps.
        weight_decay: decoupled.
        dropout: before the classifier.
        avel: weight of the contrastive loss; 0 leaves it out.
        mem: weight of the matching loss; 0 leaves it out.
        positives: "sum" as released, or "mean", see ``fusion.alignment``.
        temperature: "released", or "clip", see ``fusion.alignment``.
        normalise: sound to zero mean and unit variance, as WavLM expects; the released code does
            not.
        precision: of the forward pass: "fp16" and "bf16" are for GPUs that have them.
        validation: share of the training sessions' dialogues that chooses the epoch.
        excited: whether Excited counts as Happy.
        image: what CLIP sees, "whole" picture as published, or the "face".
        rate_hz: frames per second, from which the first six seconds are read.
    """

    seed: int = number(1234, 0, open_low=False)
    epochs: int = number(40, 1, open_low=False)
    batch: int = number(16, 1, open_low=False)
    start_rate: float = number(1e-6, 0.0)
    peak_rate: float = number(1e-4, 0.0)
    end_rate: float = number(1e-5, 0.0)
    warmup: float = number(0.1, 0.0, 1.0, open_low=False)
    weight_decay: float = number(0.01, 0.0, open_low=False)
    dropout: float = number(0.0, 0.0, 0.95, open_low=False)
    avel: float = number(1.0, 0.0, open_low=False)
    mem: float = number(0.1, 0.0, open_low=False)
    positives: Literal["sum", "mean"] = "sum"
    temperature: Literal["released", "clip"] = "released"
    normalise: bool = True
    precision: Precision = "fp32"
    validation: float = number(0.1, 0.0, 0.5)
    excited: bool = True
    image: Literal["whole", "face"] = "whole"
    rate_hz: float = number(30.0, 0.0, 120.0)


def learning_rate(step: int, steps: int, recipe: FoalRecipe) -> float:
    """The rate of a step: linear from ``start_rate`` to ``peak_rate``, then a cosine down.

    The released code builds such a schedule and never uses it.

    Args:
        step: from 0 to ``steps`` - 1.
        steps: of the whole training.
        recipe: its rates and the share of the warm-up.
    """
    rising = round(recipe.warmup * steps)
    if step < rising:
        return recipe.start_rate + (recipe.peak_rate - recipe.start_rate) * step / rising
    share = (step - rising) / max(1, steps - 1 - rising)
    fall = recipe.peak_rate - recipe.end_rate
    return recipe.end_rate + fall * (1.0 + math.cos(math.pi * share)) / 2.0
