"""A 1-D CNN over mel-frequency cepstra, in the published keys."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

PIECES = (
    "conv1",
    "relu1",
    "bn1",
    "conv2",
    "relu2",
    "pool",
    "bn2",
    "dropout1",
    "conv3",
    "relu3",
    "bn3",
    "flatten",
    "dropout2",
    "fc1",
)


@dataclass(frozen=True)
class MfccSize:
    """Sizes; the defaults are the published network's.

    Attributes:
        n_mfcc: Cepstra of a step.
        n_steps: Steps of a clip, at least 12.
        inner: Channels of the first two convolutions.
        outer: Channels of the third.
    """

    n_mfcc: int = 13
    n_steps: int = 212
    inner: int = 32
    outer: int = 64

    @property
    def steps_out(self) -> int:
        """Steps of the last map, 26."""
        return (self.n_steps - 4) // 8

    @property
    def features(self) -> int:
        """Length of the flattened last map, 1664."""
        return self.outer * self.steps_out


class MfccNet(nn.Module):
    """The audio encoder and its own classifier.

    Args:
        n_classes: Logits.
        size: Channels and steps; by default 34,024 parameters with 8 classes.
    """

    def __init__(self, n_classes: int = 8, size: MfccSize | None = None) -> None:
        super().__init__()
        size = size or MfccSize()
        self.conv1 = nn.Conv1d(size.n_mfcc, size.inner, 7, padding=2)
        self.relu1 = nn.ReLU()
        self.bn1 = nn.BatchNorm1d(size.inner)
        self.conv2 = nn.Conv1d(size.inner, size.inner, 7, padding=2)
        self.relu2 = nn.ReLU()
        self.pool = nn.MaxPool1d(8)
        self.bn2 = nn.BatchNorm1d(size.inner)
        self.dropout1 = nn.Dropout(0.2)
        self.conv3 = nn.Conv1d(size.inner, size.outer, 5, padding=2)
        self.relu3 = nn.ReLU()
        self.bn3 = nn.BatchNorm1d(size.outer)
        self.flatten = nn.Flatten()
        self.dropout2 = nn.Dropout(0.4)
        self.fc1 = nn.Linear(size.features, n_classes)

    def pieces(self) -> dict[str, nn.Module]:
        """The modules in the order in which they run, by the names in ``PIECES``."""
        return {name: self.get_submodule(name) for name in PIECES}

    def forward(self, mfcc: Tensor) -> Tensor:
        """Logits.

        Args:
            mfcc: float [B, n_mfcc, n_steps], published as 13 x 212.

        Returns:
            float [B, n_classes].
        """
        for piece in self.pieces().values():
            mfcc = piece(mfcc)
        return mfcc
