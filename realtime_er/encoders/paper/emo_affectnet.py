"""The face encoder of MER and AVCER: EMO-AffectNet's ResNet-50, ported from Keras by its authors.

It differs from torchvision's: the stem pads as TensorFlow does, the pool does not pad, batch norm
has another epsilon, and a block's stride sits on its first 1 x 1 convolution. A face is described
by ``fc1`` *before* its ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require
from realtime_er.encoders.paper.faces import SIDE_PX
from realtime_er.encoders.paper.hub import FACE_FILES, find_weights
from realtime_er.encoders.paper.own_heads import LinearHead
from realtime_er.encoders.runtimes.protocol import Network, Runtime
from realtime_er.encoders.runtimes.torch_runtime import TorchRuntime
from realtime_er.messages import LABELS, FloatArray

WHAT = "the EMO-AffectNet ResNet-50"
HUB_ID = "ElenaRyumina/face_emotion_recognition"
FILES = FACE_FILES
BATCH_FACES = 70
"""Faces run at once at most; limits memory, changes no result."""
_EXPANSION = 4


def _norm(channels: int) -> nn.BatchNorm2d:
    # Published as momentum 0.99, carried over from Keras where it means the opposite; with 0.99
    # any training would replace the running statistics each batch. Evaluation is not affected.
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: an odd pixel goes to the right and the bottom."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it
        """[N, C, H, W] to [N, C', ceil(H / stride), ceil(W / stride)]."""
        pads: list[int] = []
        for axis in (1, 0):  # torch counts pads from the last axis
            length, kernel, stride = (
                input.shape[2 + axis],
                self.kernel_size[axis],
                self.stride[axis],
            )
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(nn.functional.pad(input, pads))


class Bottleneck(nn.Module):
    """1 x 1 (with the stride), 3 x 3, 1 x 1 to four times the width, and the shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int, *, project: bool) -> None:
        super().__init__()
        out_channels = width * _EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride, bias=False)
        self.batch_norm1 = _norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.batch_norm2 = _norm(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.batch_norm3 = _norm(out_channels)
        self.i_downsample: nn.Sequential | None = None
        if project:
            self.i_downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), _norm(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, 4 width, H / stride, W / stride]."""
        shortcut = x if self.i_downsample is None else self.i_downsample(x)
        y = torch.relu(self.batch_norm1(self.conv1(x)))
        y = torch.relu(self.batch_norm2(self.conv2(y)))
        y = self.batch_norm3(self.conv3(y))
        return torch.relu(y + shortcut)


class EmoAffectNet(nn.Module):
    """The network, with the published names; 24,560,711 parameters, 322 entries at full size.

    Args:
        width: channels of the stem.
        blocks: blocks of the four stages.
        n_features: length of a face's description.
        n_classes: logits.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        n_features: int = 512,
        n_classes: int = 7,
    ) -> None:
        super().__init__()
        self.conv_layer_s2_same = SameConv2d(3, width, 7, 2, bias=False)
        self.batch_norm1 = _norm(width)
        self.max_pool = nn.MaxPool2d(3, 2)
        channels = width
        for stage, count in enumerate(blocks):
            inner = width * 2**stage
            layers = []
            for block in range(count):
                stride = 2 if block == 0 and stage > 0 else 1
                layers.append(Bottleneck(channels, inner, stride, project=block == 0))
                channels = inner * _EXPANSION
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self._stages = len(blocks)
        self.fc1 = nn.Linear(channels, n_features)
        self.fc2 = nn.Linear(n_features, n_classes)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Describes faces.

        Args:
            faces: float [N, 3, side, side], as ``prepare_face`` gives them.

        Returns:
            Features [N, n_features] (``fc1`` before its ReLU) and logits [N, n_classes].
        """
        x = torch.relu(self.batch_norm1(self.conv_layer_s2_same(faces)))
        x = self.max_pool(x)
        for stage in range(self._stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        features: Tensor = self.fc1(x.mean(dim=(2, 3)))
        logits: Tensor = self.fc2(torch.relu(features))
        return features, logits


def build_from_state(state: Mapping[str, Tensor], path: Path) -> EmoAffectNet:
    """The network that a state_dict belongs to; its sizes are read from the tensors.

    Raises:
        SpecMismatch: it is not this network's.
    """
    width = int(require(state, "conv_layer_s2_same.weight", WHAT, path).shape[0])
    n_features = int(require(state, "fc1.weight", WHAT, path).shape[0])
    n_classes = int(require(state, "fc2.weight", WHAT, path).shape[0])
    blocks = [
        len({name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")})
        for stage in (1, 2, 3, 4)
    ]
    return fill_module(
        lambda: EmoAffectNet(width, blocks, n_features, n_classes), state, WHAT, path
    )


class EmoAffectNetEncoder:
    """Faces to features at run time. One owning thread.

    Args:
        source: file, folder or hub id of the weights.
        device: torch's name of where to run.
        download: whether a hub id may be fetched.

    Raises:
        WeightsMissing: there are no such weights.
        SpecMismatch: they are another model's.
    """

    def __init__(
        self, source: str | Path = HUB_ID, *, device: str = "cpu", download: bool = False
    ) -> None:
        found = find_weights(source, FILES, download=download)
        net = build_from_state(read_state(found.path), found.path)
        self.sha256 = found.sha256
        self.encoder_id = f"emo-affectnet-resnet50/{self.sha256[:12]}"
        self.dim = net.fc1.out_features
        self.labels = LABELS if net.fc2.out_features == len(LABELS) else ()
        self.side_px = SIDE_PX
        self.own_head = LinearHead.of(net.fc2, self.labels, "relu")
        """``fc2`` of the ReLU of a feature, or of the mean feature of a window."""
        self.runtime: Runtime = TorchRuntime(net, device)
        """What runs the network; another form of the same network may be put here."""
        self.network: Network | None = Network(
            name="face",
            module=net,
            identity=found.identity,
            inputs=("faces",),
            free_axes={"faces": {0: "n"}},
            example=(
                np.random.default_rng(0).normal(0, 50, (1, 3, SIDE_PX, SIDE_PX)).astype("f4"),
            ),
            int8="static",
        )
        """The network for other runtimes; None frees it once ``runtime`` does without."""

    def encode(self, faces: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Describes faces, each by itself.

        Args:
            faces: float32 [N, 3, side, side], as ``prepare_face`` gives them; N may be 0.

        Returns:
            Features float32 [N, dim] and logits float32 [N, classes].

        Raises:
            ValueError: the shape is another, or a value is not finite.
        """
        if faces.ndim != 4 or faces.shape[1] != 3:
            raise ValueError(f"faces must be [N, 3, side, side], got {list(faces.shape)}")
        if not np.isfinite(faces).all():
            raise ValueError("faces hold values that are not finite")
        features = [np.zeros((0, self.dim), np.float32)]
        logits = [np.zeros((0, len(self.own_head.bias)), np.float32)]
        for start in range(0, len(faces), BATCH_FACES):
            f, z = self.runtime.run(faces[start : start + BATCH_FACES].astype(np.float32))
            features.append(f)
            logits.append(z)
        return np.concatenate(features), np.concatenate(logits)
