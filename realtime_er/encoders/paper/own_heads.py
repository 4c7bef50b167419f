"""The classifiers that the published encoders bring along, applied to vectors that are there already.

Numpy copies of the encoders' last layers, so another thread than the encoder's may use them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from realtime_er.messages import FloatArray

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["none", "relu", "tanh"]

_ACTIVATIONS: dict[Activation, Callable[[FloatArray], FloatArray]] = {
    "none": lambda values: values,
    "relu": lambda values: np.maximum(values, np.float32(0.0)),
    "tanh": np.tanh,
}


@dataclass(frozen=True)
class LinearHead:
    """``weight activation(vector) + bias``. Read-only, for any thread.

    Attributes:
        labels: names of the classes in their own order and spelling; empty where the files do not
            name them.
        weight: float32 [C, D].
        bias: float32 [C].
        activation: what stands between the encoder's vector and its classifier.
    """

    labels: tuple[str, ...]
    weight: FloatArray
    bias: FloatArray
    activation: Activation = "none"

    @classmethod
    def of(cls, layer: nn.Linear, labels: tuple[str, ...], activation: Activation) -> LinearHead:
        """A copy of a layer of torch."""
        weight, bias = (value.detach().cpu().numpy().copy() for value in (layer.weight, layer.bias))
        return cls(labels, weight, bias, activation)

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return int(self.weight.shape[1])

    def logits(self, vector: FloatArray) -> FloatArray:
        """Logits of the encoder's vectors, or of their mean over time.

        Args:
            vector: float32 [D] or [N, D].

        Returns:
            float32 [C] or [N, C].

        Raises:
            ValueError: the vectors have another length.
        """
        if vector.shape[-1] != self.dim:
            raise ValueError(f"vectors of {self.dim} are needed, got {list(vector.shape)}")
        active = _ACTIVATIONS[self.activation](vector)
        return np.asarray(active @ self.weight.T + self.bias, np.float32)
