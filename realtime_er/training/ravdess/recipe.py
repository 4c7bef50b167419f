"""How the networks of the RAVDESS comparison are trained."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_er.config import number


@dataclass(frozen=True)
class RavdessRecipe:
    """The published recipe: Adam, no schedule, no weight decay, plain cross-entropy.

    Attributes:
        seed: of weights, order, dropout and augmentation.
        epochs: all of them are run; which is kept is chosen afterwards.
        batch: clips in a step.
        rate: Adam's, constant.
        augment: random crops and mirrored pictures, the same for all frames of a clip.
        per_frame: draw them anew for every frame, as the published code does.
        scale_low: smallest area of a crop, as a share of the picture.
        scale_high: largest; above 1 the whole picture is more likely, as published.
    """

    seed: int = number(1234, 0, open_low=False)
    epochs: int = number(70, 1, open_low=False)
    batch: int = number(16, 2, open_low=False)
    rate: float = number(1e-3, 0.0)
    augment: bool = True
    per_frame: bool = False
    scale_low: float = number(0.8, 0.0, 2.0)
    scale_high: float = number(1.4, 0.0, 2.0)
