"""The compact face network, its augmentation and its training loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from realtime_er.messages import LABELS
from realtime_er.training.corpora.ferplus import SIDE_PX, FaceSet

EMBEDDING_DIM = 128
_BATCH = 128
_PEAK_RATE = 3e-3
_WEIGHT_DECAY = 0.02
_WARMUP_STEPS = 150
_EMA_DECAY = 0.997
# Rare faces are shown more than once an epoch: without it, disgust (under 1 % of the pictures) is
# hardly ever predicted. Small factors, so that the frequent classes lose little.
_REPEATS = (1, 1, 1, 1, 3, 5, 1)


@dataclass(frozen=True)
class FaceProgress:
    """State after one epoch: its number from 1, of how many, mean loss, seconds so far."""

    epoch: int
    epochs: int
    loss: float
    elapsed_s: float


class _Unit(nn.Module):
    """Two 3 x 3 convolutions with a shortcut; the first may halve height and width."""

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width_out)
        self.second = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(width_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                nn.Conv2d(width_in, width_out, 1, bias=False),
                nn.BatchNorm2d(width_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return functional.relu(y + self.shortcut(x))


class FaceNet(nn.Module):
    """Compact face network: grey levels in, a 128-d embedding and seven logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 32, 5, 2, 2, bias=False), nn.BatchNorm2d(32), nn.ReLU()
        )
        self.body = nn.Sequential(_Unit(32, 32, 1), _Unit(32, 64, 2), _Unit(64, 160, 2))
        # A coarse 3 x 3 map is kept: where the brows and the mouth are is what tells emotions apart.
        self.pool = nn.AvgPool2d(2)
        self.project = nn.Linear(160 * 9, EMBEDDING_DIM, bias=False)
        self.project_norm = nn.BatchNorm1d(EMBEDDING_DIM)
        self.classify = nn.Linear(EMBEDDING_DIM, len(LABELS))
        self.map_dropout = nn.Dropout(0.3)
        self.embedding_dropout = nn.Dropout(0.2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes faces.

        Args:
            image: float32 [N, 1, 48, 48], grey levels 0..255.

        Returns:
            Embedding, float32 [N, 128] (non-negative), and logits, float32 [N, 7].
        """
        centred = image - image.mean(dim=(2, 3), keepdim=True)
        # The floor of one grey level keeps a blank picture finite.
        scale = torch.sqrt((centred * centred).mean(dim=(2, 3), keepdim=True) + 1.0)
        features = self.pool(self.body(self.stem(centred / scale)))
        flat = self.map_dropout(features.flatten(1))
        embedding = functional.relu(self.project_norm(self.project(flat)))
        return embedding, self.classify(self.embedding_dropout(embedding))


def augment(image: Tensor, generator: torch.Generator) -> Tensor:
    """Varies a batch as live crops vary: pose in the frame, light, sharpness.

    Args:
        image: float32 [N, 1, 48, 48], grey levels 0..255.
        generator: source of all randomness.

    Returns:
        A new batch of the same shape, range and type.
    """
    n = image.shape[0]

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    angle = torch.deg2rad(draw(-15.0, 15.0))
    zoom = torch.exp(draw(float(np.log(0.8)), float(np.log(1.25))))
    flip = torch.where(draw(0.0, 1.0) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    theta = torch.stack(
        [
            torch.stack([cos * flip, -sin, draw(-0.16, 0.16)], dim=1),
            torch.stack([sin * flip, cos, draw(-0.16, 0.16)], dim=1),
        ],
        dim=1,
    )
    grid = functional.affine_grid(theta, [n, 1, SIDE_PX, SIDE_PX], align_corners=False)
    out = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)

    # Blur: a blend with the local mean. Low resolution: through 24 x 24 and back.
    amount = torch.where(draw(0.0, 1.0) < 0.3, draw(0.3, 1.0), 0.0).view(n, 1, 1, 1)
    out = out + amount * (functional.avg_pool2d(out, 3, 1, 1, count_include_pad=False) - out)
    small = torch.where(draw(0.0, 1.0) < 0.15)[0]
    if len(small) > 0:
        coarse = functional.avg_pool2d(out[small], 2)
        out[small] = functional.interpolate(coarse, scale_factor=2.0, mode="bilinear")

    # Light: gamma, a slanting gradient, contrast with clipping. Plain gain and offset would be
    # undone by the standardisation inside the network.
    gamma = torch.exp(draw(-0.5, 0.5)).view(n, 1, 1, 1)
    level = torch.pow((out / 255.0).clamp(0.004, 1.0), gamma)
    ramp = torch.linspace(-1.0, 1.0, SIDE_PX)
    slope_x, slope_y = draw(-0.3, 0.3).view(n, 1, 1, 1), draw(-0.3, 0.3).view(n, 1, 1, 1)
    level = level * (1.0 + slope_x * ramp.view(1, 1, 1, -1) + slope_y * ramp.view(1, 1, -1, 1))
    contrast = draw(0.7, 1.3).view(n, 1, 1, 1)
    offset = draw(-0.12, 0.12).view(n, 1, 1, 1)
    return ((level - 0.5) * contrast + 0.5 + offset).clamp(0.0, 1.0) * 255.0


def fit(
    faces: FaceSet,
    *,
    seed: int,
    epochs: int,
    threads: int,
    progress: Callable[[FaceProgress], None] | None = None,
    checkpoint: Path | None = None,
) -> FaceNet:
    """Trains the network on a fixed schedule and returns its weight average.

    Args:
        faces: training faces.
        seed: seeds initial weights, order and augmentation.
        epochs: passes over the data, at least 1.
        threads: torch threads.
        progress: called after every epoch.
        checkpoint: file that receives the averaged weights after every epoch.

    Returns:
        The averaged network, in evaluation mode.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(faces.images)
    targets = torch.from_numpy(faces.soft_targets)
    repeats = torch.tensor(_REPEATS)[torch.from_numpy(faces.leading())]
    index = torch.repeat_interleave(torch.arange(len(faces)), repeats)
    steps = max(1, len(index) // _BATCH)
    size = min(_BATCH, len(index))

    net = FaceNet().to(memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval()
    optimiser = torch.optim.AdamW(net.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY)
    started_s = time.monotonic()
    step = 0
    for epoch in range(1, epochs + 1):
        net.train()
        order = index[torch.randperm(len(index), generator=generator)]
        total = 0.0
        for batch in range(steps):
            rows = order[batch * size : (batch + 1) * size]
            x = augment(images[rows].unsqueeze(1).float(), generator)
            rate = _rate(step, steps * epochs)
            for group in optimiser.param_groups:
                group["lr"] = rate
            _, logits = net(x.contiguous(memory_format=torch.channels_last))
            loss = functional.cross_entropy(logits, targets[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            step += 1
            _follow(average, net, min(_EMA_DECAY, (1 + step) / (10 + step)))
            total += float(loss.detach())
        if checkpoint is not None:
            torch.save(average.state_dict(), checkpoint)
        if progress is not None:
            elapsed_s = time.monotonic() - started_s
            progress(FaceProgress(epoch, epochs, total / steps, elapsed_s))
    return average


def _rate(step: int, total: int) -> float:
    warm = min(1.0, (step + 1) / _WARMUP_STEPS)
    return float(_PEAK_RATE * warm * (0.5 * (1.0 + np.cos(np.pi * step / total)) + 0.002))


@torch.no_grad()
def _follow(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Moves the average's weights and running statistics a step towards the network's."""
    for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.dtype.is_floating_point:
            mean.lerp_(value, 1.0 - decay)
        else:
            mean.copy_(value)
