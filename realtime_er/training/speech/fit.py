"""The first training of the speech encoder, towards the corpora's classes alone."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech.features import SpeechMaterial, draw_batch
from realtime_er.training.speech.loss import LABELS, allowed_classes, class_loss, clip_weights
from realtime_er.training.speech.model import SpeechNet, pool

_EMA_DECAY = 0.995


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
    rng = torch.Generator().manual_seed(recipe.seed)
    members = torch.tensor(list(train))
    truth = torch.tensor([LABELS.index(clip.label) for clip in material.clips])
    allowed = allowed_classes(material.clips)
    weights = clip_weights(material.clips, train)
    net = SpeechNet(len(LABELS))
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=recipe.peak_rate, weight_decay=recipe.weight_decay
    )
    batches = len(members) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak_rate, total_steps=max(2, recipe.epochs * batches), pct_start=0.2
    )
    started_s = time.monotonic()
    for epoch in range(1, recipe.epochs + 1):
        net.train()
        total = 0.0
        order = members[torch.randperm(len(members), generator=rng)]
        for number in range(batches):
            chosen = order[number * recipe.batch : (number + 1) * recipe.batch]
            batch = draw_batch(material, chosen, rng)
            embeddings, _ = net.encode(batch.features)
            pooled = pool(embeddings, batch.steps)
            size = embeddings.shape[2]
            about = truth[chosen], allowed[chosen], weights[chosen]
            loss = class_loss(net.head(pooled), *about)
            step_loss = class_loss(net.step_head(pooled[:, :size]), *about)
            loss = loss + recipe.step_loss * step_loss
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            follow(average, net)
        if progress is not None:
            elapsed_s = time.monotonic() - started_s
            mean = total / max(1, batches)
            progress(SpeechProgress(run, epoch, recipe.epochs, mean, elapsed_s))
    return average.eval()
