"""The training loop of the speech encoder, and its first training, towards the classes alone."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech.features import SpeechBatch, SpeechMaterial, draw_batch
from realtime_er.training.speech.loss import LABELS, allowed_classes, class_loss, clip_weights
from realtime_er.training.speech.model import SpeechNet, pool

_EMA_DECAY = 0.995
_FIRST_RISE = 0.2  # part of the first training in which the rate rises


@dataclass(frozen=True)
class SpeechProgress:
    """State after one epoch: which run ("fold 1"), epoch from 1, of how many, loss, seconds."""

    run: str
    epoch: int
    epochs: int
    loss: float
    elapsed_s: float


@torch.no_grad()
def follow(average: SpeechNet, net: SpeechNet) -> None:
    """Moves the slow copy ``average`` a little towards ``net``; counters are copied."""
    pairs = zip(average.state_dict().values(), net.state_dict().values(), strict=True)
    for kept, new in pairs:
        if kept.is_floating_point():
            kept.lerp_(new, 1.0 - _EMA_DECAY)
        else:
            kept.copy_(new)


class FurtherTargets(Protocol):
    """What a training adds to the loss towards the classes; its own weights learn as well."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """Weights that are thrown away afterwards."""
        ...

    def loss(
        self, embeddings: Tensor, pooled: Tensor, batch: SpeechBatch, chosen: Tensor
    ) -> Tensor:
        """The loss of a batch, [], from embeddings [B, S, D] and their statistics [B, 2 D]."""
        ...


def fit(
    material: SpeechMaterial,
    train: Sequence[int],
    recipe: SpeechRecipe,
    *,
    run: str = "",
    progress: Callable[[SpeechProgress], None] | None = None,
) -> SpeechNet:
    """Trains one network on the clips ``train`` (numbers within ``material``).

    The schedule is fixed; nothing is chosen by looking at the other clips. Deterministic for a
    recipe and a number of threads. Returns the moving average of the weights, in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    return train_on(
        SpeechNet(len(LABELS)), material, train, recipe,
        epochs=recipe.epochs, peak_rate=recipe.peak_rate, rise=_FIRST_RISE,
        run=run, progress=progress,
    )  # fmt: skip


def train_on(
    net: SpeechNet,
    material: SpeechMaterial,
    train: Sequence[int],
    recipe: SpeechRecipe,
    *,
    epochs: int,
    peak_rate: float,
    rise: float,
    tries: int = 1,
    further: FurtherTargets | None = None,
    run: str = "",
    progress: Callable[[SpeechProgress], None] | None = None,
) -> SpeechNet:
    """Trains ``net`` (changed in place) with a one-cycle rate.

    Args:
        net: From random weights or from a training before.
        material: The clips' versions.
        train: Numbers of the clips to learn from.
        recipe: Seed, size of a batch, and what both trainings share.
        epochs: Passes over ``train``.
        peak_rate: Highest rate.
        rise: Part of the steps in which the rate rises to it.
        tries: Crops drawn for each clip, of which the one with most speech is taken.
        further: What else is to be foretold; None for the classes alone.
        run: Name of this training, for ``progress``.
        progress: Called after each epoch, in this thread, with the loss towards the classes.

    Returns:
        The moving average of the weights, in evaluation mode.
    """
    rng = torch.Generator().manual_seed(recipe.seed)
    members = torch.tensor(list(train))
    truth = torch.tensor([LABELS.index(clip.label) for clip in material.clips])
    allowed = allowed_classes(material.clips)
    weights = clip_weights(material.clips, train)
    average = copy.deepcopy(net)
    parameters = [*net.parameters(), *(further.parameters() if further else ())]
    optimiser = torch.optim.AdamW(parameters, lr=peak_rate, weight_decay=recipe.weight_decay)
    batches = len(members) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak_rate, total_steps=max(2, epochs * batches), pct_start=rise
    )
    started_s = time.monotonic()
    for epoch in range(1, epochs + 1):
        net.train()
        total = 0.0
        order = members[torch.randperm(len(members), generator=rng)]
        for number in range(batches):
            chosen = order[number * recipe.batch : (number + 1) * recipe.batch]
            batch = draw_batch(material, chosen, rng, tries)
            embeddings, _ = net.encode(batch.features)
            pooled = pool(embeddings, batch.steps)
            size = embeddings.shape[2]
            about = truth[chosen], allowed[chosen], weights[chosen]
            loss = class_loss(net.head(pooled), *about)
            step_loss = class_loss(net.step_head(pooled[:, :size]), *about)
            loss = loss + recipe.step_loss * step_loss
            total += float(loss.detach())
            if further is not None:
                loss = loss + further.loss(embeddings, pooled, batch, chosen)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimiser.step()
            schedule.step()
            follow(average, net)
        if progress is not None:
            elapsed_s = time.monotonic() - started_s
            mean = total / max(1, batches)
            progress(SpeechProgress(run, epoch, epochs, mean, elapsed_s))
    return average.eval()
