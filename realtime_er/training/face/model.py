"""The compact face network and its augmentation."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from realtime_er.messages import LABELS
from realtime_er.training.corpora.ferplus import SIDE_PX

EMBEDDING_DIM = 128


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
    """Compact face network: grey levels in, a 128-d embedding and seven logits out.

    Args:
        deep: with two more units, which compute nothing at first: what a shallow network has
            learned is what a deep one with its weights does, until it learns more.
    """

    def __init__(self, *, deep: bool = True) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 32, 5, 2, 2, bias=False), nn.BatchNorm2d(32), nn.ReLU()
        )
        units = [("0", _Unit(32, 32, 1)), ("1", _Unit(32, 64, 2)), ("2", _Unit(64, 160, 2))]
        if deep:
            units[2:2] = [("1_more", _Unit(64, 64, 1))]
            units += [("2_more", _Unit(160, 160, 1))]
            for name, unit in units:
                if name.endswith("_more"):
                    nn.init.zeros_(unit.second_norm.weight)
        self.body = nn.Sequential(OrderedDict(units))
        # A coarse 3 x 3 map is kept: where the brows and the mouth are is what tells emotions apart.
        self.pool = nn.AvgPool2d(2)
        self.project = nn.Linear(160 * 9, EMBEDDING_DIM, bias=False)
        self.project_norm = nn.BatchNorm1d(EMBEDDING_DIM)
        self.classify = nn.Linear(EMBEDDING_DIM, len(LABELS))
        # Train and held-out accuracy are two points apart: there is more to fit than to forget.
        self.map_dropout = nn.Dropout(0.2 if deep else 0.3)
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

    # Sensor noise, of which there is much in bad light.
    noise = torch.where(draw(0.0, 1.0) < 0.15, draw(2.0, 10.0), 0.0).view(n, 1, 1, 1)
    out = out + noise * torch.randn(out.shape, generator=generator)

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
