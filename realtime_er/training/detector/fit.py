"""The face detector's training loop."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

from realtime_er.training.checkpoints import read_checkpoint, write_checkpoint
from realtime_er.training.detector.compose import compose
from realtime_er.training.detector.data import Bank
from realtime_er.training.detector.model import DetectorNet, draw_targets, loss_of
from realtime_er.training.progress import Course, Tell

EPOCHS = 20
REFINE_EPOCHS = 8
_BATCH = 24
_BATCHES_PER_EPOCH = 100
_PEAK_RATE = 4e-3
_REFINE_RATE = 2e-3
_WEIGHT_DECAY = 0.01
_WARMUP_STEPS = 100
_EMA_DECAY = 0.997
# Height and width of a batch's pictures: what 320 px pictures of usual shapes become.
_SHAPES = ((256, 256), (192, 320), (256, 320), (320, 192), (256, 256))


def fit(
    bank: Bank,
    *,
    seed: int,
    epochs: int,
    threads: int,
    refine_epochs: int | None = None,
    checkpoint: Path | None = None,
    progress: Tell | None = None,
    curves: Path | None = None,
) -> DetectorNet:
    """Trains on pictures composed from a bank, then on hard ones; returns the weights' average.

    A batch is a function of the seed and its number, so a run that goes on from its checkpoint
    sees what it would have seen.

    Args:
        bank: training part.
        seed: of weights and pictures.
        epochs: how many hundreds of batches, at least 1.
        threads: torch threads.
        refine_epochs: how many more of hard pictures, from the average on; None: as shipped.
        checkpoint: written after every epoch, and read first when it is there.
        progress: told within every epoch, and after it.
        curves: gets a line after every epoch.

    Returns:
        The averaged network in evaluation mode.

    Raises:
        ConfigError: the checkpoint is of a run with other settings.
        CorpusError: the checkpoint is damaged.
    """
    refine_epochs = REFINE_EPOCHS if refine_epochs is None else refine_epochs
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    net = DetectorNet().to(memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval()
    optimiser = _optimiser(net)
    plan = {"seed": seed, "epochs": epochs, "refine_epochs": refine_epochs}
    state = read_checkpoint(checkpoint, plan)
    first = int(state.get("epoch", 0))
    if first > 0:
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
    course = Course(epochs + refine_epochs, done=first, tell=progress, curves=curves)
    for epoch in range(first, epochs + refine_epochs):
        hard = epoch >= epochs
        if epoch == epochs:
            net.load_state_dict(average.state_dict())
            optimiser = _optimiser(net)
        begin, end = (epochs, epochs + refine_epochs) if hard else (0, epochs)
        _epoch(net, average, optimiser, bank, seed, epoch, begin, end, hard, course)
        if checkpoint is not None:
            weights = {"net": net.state_dict(), "average": average.state_dict()}
            state = {**weights, "optimiser": optimiser.state_dict(), "epoch": epoch + 1}
            write_checkpoint(checkpoint, plan, state)
        course.epoch()
    return average


def _optimiser(net: DetectorNet) -> torch.optim.AdamW:
    return torch.optim.AdamW(net.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY)


def _epoch(
    net: DetectorNet,
    average: DetectorNet,
    optimiser: torch.optim.Optimizer,
    bank: Bank,
    seed: int,
    epoch: int,
    begin: int,
    end: int,
    hard: bool,
    course: Course,
) -> None:
    """A hundred batches of the part of the plan that lasts from epoch ``begin`` to ``end``."""
    net.train()
    for batch in range(_BATCHES_PER_EPOCH):
        step = (epoch - begin) * _BATCHES_PER_EPOCH + batch
        peak = _REFINE_RATE if hard else _PEAK_RATE
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, (end - begin) * _BATCHES_PER_EPOCH, peak)
        rng = np.random.default_rng([seed, step, 1] if hard else [seed, step])
        loss = _step(net, optimiser, bank, rng, hard)
        _follow(average, net, min(_EMA_DECAY, (1 + step) / (10 + step)))
        course.batch(loss, _BATCHES_PER_EPOCH)


def _step(
    net: DetectorNet,
    optimiser: torch.optim.Optimizer,
    bank: Bank,
    rng: np.random.Generator,
    hard: bool,
) -> float:
    high, wide = _SHAPES[int(rng.integers(len(_SHAPES)))]
    scenes = [compose(bank, high, wide, rng, hard=hard) for _ in range(_BATCH)]
    images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    # Already channels last in memory: the picture's own layout.
    images = images.permute(0, 3, 1, 2).float()
    targets = draw_targets(
        [np.reshape(scene.faces, (-1, 14)).astype(np.float32) for scene in scenes],
        [np.reshape(scene.ignored, (-1, 4)).astype(np.float32) for scene in scenes],
        high,
        wide,
    )
    loss = loss_of(net(images), targets)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimiser.step()
    return float(loss.detach())


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
