"""The compact face detector's network, what it is taught, and its loss.

One map with a cell for every 8 x 8 pixels says where the middle of a face is; beside it stand the
box and five landmarks that a face there has. Coarser maps (strides 16 and 32) are folded in from
above, so that a cell sees a face that fills the picture as well as one of a dozen pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE_PX = 8
PAD_PX = 32
"""Height and width of the input must be multiples of this."""
_BASE_PX = 32.0
_FOCAL_POWER = 2.0
_NEGATIVE_POWER = 4.0
_BOX_CELLS = 0.5
"""Cells whose target is above this learn the box; the peak alone would be one cell per face."""

FloatArray = npt.NDArray[np.float32]


class _Separable(nn.Module):
    """Depthwise then pointwise convolution, each normalised; a shortcut where the shapes allow."""

    def __init__(self, width_in: int, width_out: int, stride: int = 1, side: int = 3) -> None:
        super().__init__()
        self.depth = nn.Conv2d(
            width_in, width_in, side, stride, side // 2, groups=width_in, bias=False
        )
        self.depth_norm = nn.BatchNorm2d(width_in)
        self.point = nn.Conv2d(width_in, width_out, 1, bias=False)
        self.point_norm = nn.BatchNorm2d(width_out)
        self.shortcut = stride == 1 and width_in == width_out

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.depth_norm(self.depth(x)))
        y = self.point_norm(self.point(y))
        return functional.relu(y + x if self.shortcut else y)


class DetectorNet(nn.Module):
    """Pictures in, three maps out: score logits, boxes and landmarks, all in pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.fine = nn.Sequential(
            _Separable(16, 32, 2),
            _Separable(32, 32),
            _Separable(32, 64, 2),
            _Separable(64, 64),
            _Separable(64, 64),
        )
        self.middle = nn.Sequential(_Separable(64, 96, 2), _Separable(96, 96), _Separable(96, 96))
        self.coarse = nn.Sequential(
            _Separable(96, 128, 2), _Separable(128, 128, side=5), _Separable(128, 128, side=5)
        )
        self.coarse_down = nn.Sequential(nn.Conv2d(128, 96, 1, bias=False), nn.BatchNorm2d(96))
        self.middle_mix = _Separable(96, 96, side=5)
        self.middle_down = nn.Sequential(nn.Conv2d(96, 64, 1, bias=False), nn.BatchNorm2d(64))
        self.mix = nn.Sequential(_Separable(64, 64, side=5), _Separable(64, 64))
        self.head = nn.Conv2d(64, 15, 1)
        # Faces are rare: begin with that, or the first steps are wasted on it.
        start = torch.zeros(15)
        start[0] = -4.0
        nn.init.zeros_(self.head.weight)
        self.head.bias = nn.Parameter(start)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reads pictures.

        Args:
            image: float32 [N, 3, H, W], BGR 0..255; H and W multiples of 32.

        Returns:
            Score logits [N, H/8, W/8]; boxes (centre x, centre y, width, height) [N, 4, H/8, W/8];
            landmarks relative to the box (x / width, y / height from its centre)
            [N, 5, 2, H/8, W/8].
        """
        fine = self.fine(self.stem(image / 64.0 - 2.0))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = functional.relu(middle + _doubled(self.coarse_down(coarse)))
        fine = functional.relu(fine + _doubled(self.middle_down(self.middle_mix(middle))))
        raw = self.head(self.mix(fine))
        rows = torch.arange(raw.shape[2], device=raw.device, dtype=raw.dtype)
        columns = torch.arange(raw.shape[3], device=raw.device, dtype=raw.dtype)
        x = (columns + 0.5) * STRIDE_PX + raw[:, 1] * STRIDE_PX
        y = (rows[:, None] + 0.5) * STRIDE_PX + raw[:, 2] * STRIDE_PX
        size = _BASE_PX * torch.exp(raw[:, 3:5].clamp(-3.0, 4.0))
        box = torch.stack([x, y, size[:, 0], size[:, 1]], dim=1)
        return raw[:, 0], box, raw[:, 5:].unflatten(1, (5, 2))


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Deployed(nn.Module):
    """The network as it is shipped: one uint8 picture in, scores with only peaks left out."""

    def __init__(self, net: DetectorNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reads one picture, uint8 [H, W, 3] BGR.

        Returns:
            Scores 0..1 [H/8, W/8], zero but at local peaks; boxes (left, top, width, height) in
            pixels [H/8, W/8, 4]; landmarks in pixels [H/8, W/8, 10], x and y in turn.
        """
        picture = image.permute(2, 0, 1)[None].float()
        logit, box, shape = self.net(picture)
        score = torch.sigmoid(logit)
        peak = functional.max_pool2d(score[:, None], 3, 1, 1)[:, 0]
        score = torch.where(score == peak, score, torch.zeros_like(score))
        centre, size = box[:, :2], box[:, 2:]
        corner = torch.cat([centre - size / 2, size], dim=1)
        points = (centre[:, None] + shape * size[:, None]).flatten(1, 2)
        return score[0], corner[0].permute(1, 2, 0), points[0].permute(1, 2, 0)


@dataclass(frozen=True)
class Targets:
    """What one batch teaches, as maps of cells.

    Attributes:
        score: float32 [N, h, w], 1 at the middle of a face, falling off around it.
        weight: float32 [N, h, w], 0 where the teacher was undecided.
        box: float32 [N, 4, h, w], centre and size in pixels of the face that owns the cell.
        shape: float32 [N, 5, 2, h, w], its landmarks relative to that box.
    """

    score: Tensor
    weight: Tensor
    box: Tensor
    shape: Tensor


def draw_targets(
    faces: list[FloatArray], ignored: list[FloatArray], height_px: int, width_px: int
) -> Targets:
    """Turns lists of faces into maps.

    Args:
        faces: per picture float32 [K, 14]: left, top, width, height, five points (x, y).
        ignored: per picture float32 [J, 4], boxes in which nothing is taught.
        height_px: of the pictures.
        width_px: of the pictures.
    """
    high, wide = height_px // STRIDE_PX, width_px // STRIDE_PX
    n = len(faces)
    score = np.zeros((n, high, wide), np.float32)
    weight = np.ones((n, high, wide), np.float32)
    box = np.ones((n, 4, high, wide), np.float32)
    shape = np.zeros((n, 10, high, wide), np.float32)
    ys, xs = np.mgrid[0:high, 0:wide].astype(np.float32)
    for index, (own, undecided) in enumerate(zip(faces, ignored, strict=True)):
        for row in undecided:
            left, top, width, height = row[:4] / STRIDE_PX
            inside = (xs + 1 > left) & (xs < left + width) & (ys + 1 > top) & (ys < top + height)
            weight[index][inside] = 0.0
        for row in own:
            centre = row[:2] + row[2:4] / 2
            at = np.clip(np.floor(centre / STRIDE_PX), 0, (wide - 1, high - 1))
            spread = np.maximum(0.6, 0.09 * row[2:4] / STRIDE_PX)
            heat = np.exp(
                -0.5 * (((xs - at[0]) / spread[0]) ** 2 + ((ys - at[1]) / spread[1]) ** 2)
            )
            owned = heat > score[index]
            score[index] = np.maximum(score[index], heat)
            box[index][:, owned] = np.concatenate([centre, row[2:4]])[:, None]
            relative = (row[4:14].reshape(5, 2) - centre) / row[2:4]
            shape[index][:, owned] = relative.reshape(10)[:, None]
            weight[index][heat > 0.3] = 1.0
    return Targets(
        torch.from_numpy(score),
        torch.from_numpy(weight),
        torch.from_numpy(box),
        torch.from_numpy(shape.reshape(n, 5, 2, high, wide)),
    )


def loss_of(output: tuple[Tensor, Tensor, Tensor], targets: Targets) -> Tensor:
    """Focal loss of the scores, plus overlap of the boxes, plus distance of the landmarks."""
    logit, box, shape = output
    chance = torch.sigmoid(logit).clamp(1e-5, 1.0 - 1e-5)
    middle = (targets.score > 0.999).float()
    hit = middle * (1.0 - chance) ** _FOCAL_POWER * torch.log(chance)
    miss = (
        (1.0 - middle)
        * (1.0 - targets.score) ** _NEGATIVE_POWER
        * chance**_FOCAL_POWER
        * torch.log(1.0 - chance)
    )
    faces = middle.sum().clamp(min=1.0)
    score_loss = -((hit + miss) * targets.weight).sum() / faces

    own = (targets.score > _BOX_CELLS).float()
    share = own * targets.score
    total = share.sum().clamp(min=1.0)
    overlap = _overlap(box, targets.box)
    ratio = torch.log(box[:, 2:] / targets.box[:, 2:]).abs().sum(dim=1)
    box_loss = (share * ((1.0 - overlap) + 0.5 * ratio)).sum() / total
    # Landmarks are relative to the box, so this is a share of the face whatever its size.
    away = functional.smooth_l1_loss(shape, targets.shape, reduction="none", beta=0.02)
    shape_loss = (share * away.sum(dim=(1, 2))).sum() / total
    return score_loss + 2.0 * box_loss + 3.0 * shape_loss


def _overlap(first: Tensor, second: Tensor) -> Tensor:
    """Generalised intersection over union of boxes given by centre and size, [N, 4, h, w]."""
    low = torch.maximum(first[:, :2] - first[:, 2:] / 2, second[:, :2] - second[:, 2:] / 2)
    high = torch.minimum(first[:, :2] + first[:, 2:] / 2, second[:, :2] + second[:, 2:] / 2)
    both = (high - low).clamp(min=0.0).prod(dim=1)
    union = first[:, 2:].prod(dim=1) + second[:, 2:].prod(dim=1) - both
    out_low = torch.minimum(first[:, :2] - first[:, 2:] / 2, second[:, :2] - second[:, 2:] / 2)
    out_high = torch.maximum(first[:, :2] + first[:, 2:] / 2, second[:, :2] + second[:, 2:] / 2)
    hull = (out_high - out_low).prod(dim=1)
    return both / union - (hull - union) / hull
