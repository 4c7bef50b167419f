"""3-D ResNeXt-50 over a clip's pictures (Hara et al., CVPR 2018), in the published keys."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

N_FRAMES = 30
FRAME_PX = 224
PIECES = (
    "conv1",
    "bn1",
    "stem_pool",
    "layer1",
    "layer2",
    "layer3",
    "layer4",
    "pool",
    "flatten",
    "fc",
)


@dataclass(frozen=True)
class ResNeXtSize:
    """Widths and depths; the defaults are the published network's.

    Attributes:
        stem: Channels of the first convolution.
        planes: Inner channels of the first stage; each further one has twice as many.
        cardinality: Groups of the inner convolutions.
        layers: Bottlenecks of each stage.
    """

    stem: int = 64
    planes: int = 128
    cardinality: int = 32
    layers: tuple[int, int, int, int] = (3, 4, 6, 3)

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels of the map after each stage, (256, 512, 1024, 2048)."""
        first = 2 * self.planes
        return (first, 2 * first, 4 * first, 8 * first)


class Bottleneck(nn.Module):
    """1x1x1, grouped 3x3x3, 1x1x1 convolutions and a projected or plain shortcut (type B)."""

    def __init__(self, inputs: int, planes: int, cardinality: int, stride: int) -> None:
        super().__init__()
        outputs = 2 * planes
        self.conv1 = nn.Conv3d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = nn.Conv3d(planes, planes, 3, stride, 1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm3d(planes)
        self.conv3 = nn.Conv3d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = (
            nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs)
            )
            if stride != 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, T, H, W], divided by the stride along T, H and W."""
        inner = torch.relu(self.bn1(self.conv1(x)))
        inner = torch.relu(self.bn2(self.conv2(inner)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn3(self.conv3(inner)) + shortcut)


class StemPool(nn.Module):
    """ReLU and the stem's max-pool, 3x3x3 at stride 2.

    Args:
        relu: False leaves the ReLU out, as the published multimodal networks do: cut into blocks,
            they lost the ReLU with which their video encoder had been trained.
    """

    def __init__(self, *, relu: bool = True) -> None:
        super().__init__()
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, T, H, W], halved along T, H and W."""
        return F.max_pool3d(torch.relu(x) if self.relu else x, 3, 2, 1)


class ResNeXt3D(nn.Module):
    """The video encoder and its own classifier.

    Args:
        n_classes: Logits.
        size: Widths and depths; by default 25,882,056 parameters with 8 classes.
        bare_stem: Leave the stem's ReLU out (see :class:`StemPool`).
    """

    def __init__(
        self, n_classes: int = 8, size: ResNeXtSize | None = None, *, bare_stem: bool = False
    ) -> None:
        super().__init__()
        size = size or ResNeXtSize()
        self.conv1 = nn.Conv3d(3, size.stem, 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(size.stem)
        self.stem_pool = StemPool(relu=not bare_stem)
        inputs = size.stem
        for stage, (outputs, depth) in enumerate(zip(size.channels, size.layers, strict=True)):
            stack = [
                Bottleneck(
                    inputs if i == 0 else outputs,
                    outputs // 2,
                    size.cardinality,
                    2 if i == 0 and stage > 0 else 1,
                )
                for i in range(depth)
            ]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*stack))
            inputs = outputs
        # The published pool is 2 x 7 x 7, the whole map of 30 pictures of 224 x 224.
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(inputs, n_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def pieces(self) -> dict[str, nn.Module]:
        """The modules in the order in which they run, by the names in ``PIECES``."""
        return {name: self.get_submodule(name) for name in PIECES}

    def forward(self, video: Tensor) -> Tensor:
        """Logits.

        Args:
            video: float [B, 3, T, H, W], RGB, published as T = 30 of 224 x 224.

        Returns:
            float [B, n_classes].
        """
        for piece in self.pieces().values():
            video = piece(video)
        return video
