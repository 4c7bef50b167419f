"""The face network's training loop: a shallow network first, then a deeper one from its weights."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from realtime_er.training.checkpoints import read_checkpoint, write_checkpoint
from realtime_er.training.corpora.ferplus import FaceSet
from realtime_er.training.face.model import FaceNet, augment
from realtime_er.training.progress import Course, Tell

EPOCHS = 12
REFINE_EPOCHS = 15
_BATCH = 128
_PEAK_RATE = 3e-3
_REFINE_RATE = 2e-3
_WEIGHT_DECAY = 0.02
_WARMUP_STEPS = 150
_EMA_DECAY = 0.997
# Rare faces are shown more than once an epoch: without it, disgust (under 1 % of the pictures) is
# hardly ever predicted. Small factors, so that the frequent classes lose little.
_REPEATS = (1, 1, 1, 1, 3, 5, 1)


def fit(
    faces: FaceSet,
    *,
    seed: int,
    epochs: int,
    threads: int,
    photographs: FaceSet | None = None,
    refine_epochs: int | None = None,
    progress: Tell | None = None,
    checkpoint: Path | None = None,
    curves: Path | None = None,
) -> FaceNet:
    """Trains on a fixed schedule and returns the weights' average.

    An epoch is a function of the seed, its number and the state before it, so a run that goes on
    from its checkpoint sees what it would have seen.

    Args:
        faces: training faces.
        seed: seeds initial weights, order and augmentation.
        epochs: passes of the shallow network, at least 1.
        threads: torch threads.
        photographs: more faces for the deep one, which sees half of them an epoch; None without.
        refine_epochs: passes of the deep one, which begins with the shallow one's average; None:
            as shipped.
        progress: told within every epoch, and after it.
        checkpoint: written after every epoch, and read first when it is there.
        curves: gets a line after every epoch.

    Returns:
        The averaged deep network, in evaluation mode.

    Raises:
        ConfigError: the checkpoint is of a run with other settings.
        CorpusError: the checkpoint is damaged.
    """
    refine_epochs = REFINE_EPOCHS if refine_epochs is None else refine_epochs
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    plan = {"seed": seed, "epochs": epochs, "refine_epochs": refine_epochs}
    state = read_checkpoint(checkpoint, plan)
    first = int(state.get("epoch", 0))
    net, average, optimiser = _begin(FaceNet(deep=first > epochs), _PEAK_RATE)
    if first > 0:
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
    total = epochs + refine_epochs
    course = Course(total, done=first, tell=progress, curves=curves)
    for epoch in range(first, total):
        deep = epoch >= epochs
        torch.manual_seed(1000 * seed + epoch)
        if epoch == epochs:
            net, average, optimiser = _begin(deepened(average), _REFINE_RATE)
        shown = _shown(faces, photographs if deep else None)
        begin, length, peak = (epochs, refine_epochs, _REFINE_RATE) if deep else (
            0, epochs, _PEAK_RATE
        )  # fmt: skip
        _epoch(net, average, optimiser, shown, epoch - begin, length, peak, course)
        if checkpoint is not None:
            weights = {"net": net.state_dict(), "average": average.state_dict()}
            state = {**weights, "optimiser": optimiser.state_dict(), "epoch": epoch + 1}
            write_checkpoint(checkpoint, plan, state)
        course.epoch()
    return average if refine_epochs > 0 else deepened(average).eval()


def deepened(shallow: FaceNet) -> FaceNet:
    """A deep network that computes what the shallow one does."""
    deep = FaceNet()
    deep.load_state_dict({**deep.state_dict(), **shallow.state_dict()})
    return deep


def _begin(net: FaceNet, rate: float) -> tuple[FaceNet, FaceNet, torch.optim.AdamW]:
    net = net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=_WEIGHT_DECAY)
    return net, copy.deepcopy(net).eval(), optimiser


def _shown(faces: FaceSet, photographs: FaceSet | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and targets of one epoch, in a random order."""
    repeats = torch.tensor(_REPEATS)[torch.from_numpy(faces.leading())]
    index = torch.repeat_interleave(torch.arange(len(faces)), repeats)
    images, targets = torch.from_numpy(faces.images), torch.from_numpy(faces.soft_targets)
    if photographs is not None:
        half = torch.randperm(len(photographs))[: len(photographs) // 2]
        index = torch.cat([index, len(faces) + half])
        images = torch.cat([images, torch.from_numpy(photographs.images)])
        targets = torch.cat([targets, torch.from_numpy(photographs.soft_targets)])
    order = index[torch.randperm(len(index))]
    return images[order], targets[order]


def _epoch(
    net: FaceNet,
    average: FaceNet,
    optimiser: torch.optim.Optimizer,
    shown: tuple[torch.Tensor, torch.Tensor],
    epoch: int,
    epochs: int,
    peak: float,
    course: Course,
) -> None:
    images, targets = shown
    size = min(_BATCH, len(images))
    steps = len(images) // size
    net.train()
    for batch in range(steps):
        rows = slice(batch * size, (batch + 1) * size)
        step = epoch * steps + batch
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, steps * epochs, peak)
        x = augment(images[rows].unsqueeze(1).float(), torch.default_generator)
        _, logits = net(x.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits, targets[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        _follow(average, net, min(_EMA_DECAY, (2 + step) / (11 + step)))
        course.batch(float(loss.detach()), steps)


def _rate(step: int, total: int, peak: float) -> float:
    warm = min(1.0, (step + 1) / _WARMUP_STEPS)
    return float(peak * warm * (0.5 * (1.0 + np.cos(np.pi * step / total)) + 0.002))


@torch.no_grad()
def _follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Moves the average's weights and running statistics a step towards the network's."""
    for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1.0 - decay)
        else:
            mean.copy_(value)
