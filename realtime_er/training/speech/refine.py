"""A second training of the speech encoder, in which Whisper's states are to be foretold as well."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech.features import SpeechBatch, SpeechMaterial
from realtime_er.training.speech.fit import Keeping, train_on
from realtime_er.training.speech.model import EMBEDDING_DIM, SpeechNet
from realtime_er.training.speech.teacher import STATE_DIM, TeacherStates

_TRIES = 3
_RISE = 0.1
_PER_STEP_LOSS = 2.0
_POOLED_LOSS = 1.0


def refine(
    net: SpeechNet,
    material: SpeechMaterial,
    teacher: TeacherStates,
    train: Sequence[int],
    recipe: SpeechRecipe,
    keeping: Keeping | None = None,
) -> SpeechNet:
    """Trains ``net`` (changed in place) on, with the teacher's states as further targets.

    Of three random crops the one with most speech is taken. Deterministic for a recipe and a
    number of threads. Returns the moving average of the weights, in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    return train_on(
        net, material, train, recipe,
        epochs=recipe.refine_epochs, peak_rate=recipe.refine_peak_rate, rise=_RISE, tries=_TRIES,
        further=_States(teacher), keeping=keeping or Keeping(),
    )  # fmt: skip


class _States(nn.Module):
    """The teacher's states, to be foretold by two linear layers.

    One maps embeddings to the states one step before (what follows helps the teacher), the other
    pooled statistics to the pooled states.
    """

    def __init__(self, teacher: TeacherStates) -> None:
        super().__init__()
        self._teacher = teacher
        self._per_step = nn.Linear(EMBEDDING_DIM, STATE_DIM)
        self._pooled = nn.Sequential(
            nn.BatchNorm1d(2 * EMBEDDING_DIM), nn.Linear(2 * EMBEDDING_DIM, 2 * STATE_DIM)
        )

    def loss(
        self, embeddings: Tensor, pooled: Tensor, batch: SpeechBatch, chosen: Tensor
    ) -> Tensor:
        """Mean squared errors, weighed; over the steps that count."""
        found = self._per_step(embeddings)
        places = batch.places - 1
        counted = (places >= 0) & (torch.arange(found.shape[1])[None] < batch.steps[:, None])
        places = places.clamp(0, self._teacher.per_step.shape[1] - 1)
        states = self._teacher.per_step[chosen[:, None], places].float()
        off = ((found - states) ** 2).mean(dim=-1)
        per_step: Tensor = (off * counted).sum() / counted.sum().clamp(min=1)
        pooled_off: Tensor = self._pooled(pooled) - self._teacher.pooled[chosen]
        return _PER_STEP_LOSS * per_step + _POOLED_LOSS * (pooled_off**2).mean()
