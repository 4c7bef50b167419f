"""A second training of the speech encoder, in which Whisper's states are to be foretold as well."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from realtime_er.training.recipes import SpeechRecipe
from realtime_er.training.speech.features import SpeechBatch, SpeechMaterial, draw_batch
from realtime_er.training.speech.fit import SpeechProgress, follow
from realtime_er.training.speech.loss import LABELS, allowed_classes, class_loss, clip_weights
from realtime_er.training.speech.model import EMBEDDING_DIM, SpeechNet, pool
from realtime_er.training.speech.teacher import STATE_DIM, TeacherStates

_TRIES = 3
_PER_STEP_LOSS = 2.0
_POOLED_LOSS = 1.0


def refine(
    net: SpeechNet,
    material: SpeechMaterial,
    teacher: TeacherStates,
    train: Sequence[int],
    recipe: SpeechRecipe,
    *,
    run: str = "",
    progress: Callable[[SpeechProgress], None] | None = None,
) -> SpeechNet:
    """Trains ``net`` (changed in place) on, with the teacher's states as further targets.

    Two linear layers, thrown away afterwards, map embeddings to the teacher's states one step
    before (what follows helps it), and pooled statistics to its pooled states. Of three random
    crops the one with most speech is taken. Deterministic for a recipe and a number of threads.
    Returns the moving average of the weights, in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    rng = torch.Generator().manual_seed(recipe.seed)
    members = torch.tensor(list(train))
    truth = torch.tensor([LABELS.index(clip.label) for clip in material.clips])
    allowed = allowed_classes(material.clips)
    weights = clip_weights(material.clips, train)
    average = copy.deepcopy(net)
    per_step = nn.Linear(EMBEDDING_DIM, STATE_DIM)
    pooled_layers = nn.Sequential(
        nn.BatchNorm1d(2 * EMBEDDING_DIM), nn.Linear(2 * EMBEDDING_DIM, 2 * STATE_DIM)
    )
    parameters = [*net.parameters(), *per_step.parameters(), *pooled_layers.parameters()]
    peak = recipe.refine_peak_rate
    optimiser = torch.optim.AdamW(parameters, lr=peak, weight_decay=recipe.weight_decay)
    batches = len(members) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, peak, total_steps=max(2, recipe.refine_epochs * batches), pct_start=0.1
    )
    started_s = time.monotonic()
    for epoch in range(1, recipe.refine_epochs + 1):
        net.train()
        total = 0.0
        order = members[torch.randperm(len(members), generator=rng)]
        for number in range(batches):
            chosen = order[number * recipe.batch : (number + 1) * recipe.batch]
            batch = draw_batch(material, chosen, rng, _TRIES)
            embeddings, _ = net.encode(batch.features)
            pooled = pool(embeddings, batch.steps)
            about = truth[chosen], allowed[chosen], weights[chosen]
            loss = class_loss(net.head(pooled), *about)
            step_loss = class_loss(net.step_head(pooled[:, :EMBEDDING_DIM]), *about)
            loss = loss + recipe.step_loss * step_loss
            total += float(loss.detach())
            loss = loss + _PER_STEP_LOSS * _foretold(per_step(embeddings), batch, teacher, chosen)
            off = pooled_layers(pooled) - teacher.pooled[chosen]
            loss = loss + _POOLED_LOSS * (off**2).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimiser.step()
            schedule.step()
            follow(average, net)
        if progress is not None:
            elapsed_s = time.monotonic() - started_s
            mean = total / max(1, batches)
            progress(SpeechProgress(run, epoch, recipe.refine_epochs, mean, elapsed_s))
    return average.eval()


def _foretold(found: Tensor, batch: SpeechBatch, teacher: TeacherStates, chosen: Tensor) -> Tensor:
    """Mean squared error of states foretold, [B, S, 384], over the steps that count."""
    places = batch.places - 1
    counted = (places >= 0) & (torch.arange(found.shape[1])[None] < batch.steps[:, None])
    places = places.clamp(0, teacher.per_step.shape[1] - 1)
    off = ((found - teacher.per_step[chosen[:, None], places].float()) ** 2).mean(dim=-1)
    return (off * counted).sum() / counted.sum().clamp(min=1)
