"""Multimodal compact bilinear pooling: the outer product of vectors, sketched (MCBP)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from realtime_er.errors import ConfigError


class CompactBilinear(nn.Module):
    """Count sketch of the outer product of M vectors (Fukui et al., EMNLP 2016, algorithm 1).

    Each vector is projected by its own count sketch, ``sketch[h_i] += s_i x_i`` with random places
    h and signs s; the sketch of their outer product is the circular convolution of the sketches,
    a product in the frequency domain. Places and signs are drawn once and saved as buffers
    (``place_{m}``, ``sign_{m}``): a checkpoint is worthless without them.

    Args:
        dims: Length of each vector.
        sketch_dim: Length of the sketch.
        seed: Of the random places and signs.
    """

    def __init__(self, dims: Sequence[int], sketch_dim: int = 16_000, seed: int = 0) -> None:
        super().__init__()
        if len(dims) < 2:
            raise ConfigError(f"bilinear pooling needs two vectors or more, got {len(dims)}")
        self.sketch_dim = sketch_dim
        rng = np.random.default_rng(seed)
        for m, dim in enumerate(dims):
            place = torch.from_numpy(rng.integers(0, sketch_dim, dim))
            sign = torch.from_numpy(rng.integers(0, 2, dim).astype(np.float32) * 2 - 1)
            self.register_buffer(f"place_{m}", place)
            self.register_buffer(f"sign_{m}", sign)

    def sketch(self, vector: Tensor, m: int) -> Tensor:
        """Count sketch [B, sketch_dim] of modality ``m``'s vector [B, D_m]."""
        place: Tensor = getattr(self, f"place_{m}")
        sign: Tensor = getattr(self, f"sign_{m}")
        empty = vector.new_zeros(vector.shape[0], self.sketch_dim)
        return empty.index_add(1, place, vector * sign.to(vector.dtype))

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """Sketch of the outer product, signed square root, length 1.

        Args:
            vectors: One float [B, D_m] per modality, in the order of ``dims``.

        Returns:
            float32 or float64 [B, sketch_dim].
        """
        # Under mixed precision vectors come in half precision, which has no general transform.
        exact = [x.to(torch.promote_types(x.dtype, torch.float32)) for x in vectors]
        spectrum = torch.fft.rfft(self.sketch(exact[0], 0))
        for m, vector in enumerate(exact[1:], 1):
            spectrum = spectrum * torch.fft.rfft(self.sketch(vector, m))
        pooled = torch.fft.irfft(spectrum, n=self.sketch_dim)
        # The root's slope is infinite at zero, where an entry of the sketch that nothing fell into
        # lies; a tiny offset keeps its gradient finite.
        rooted = torch.sign(pooled) * (torch.sqrt(pooled.abs() + 1e-10) - 1e-5)
        return F.normalize(rooted, dim=1)


class MCBP(nn.Module):
    """Compact bilinear pooling of vectors, then dense, ReLU, dropout, dense.

    The published comparison gives 51.03 M parameters and no sizes. The sketch of 16,000 is Fukui
    et al.'s; the hidden layer of 1570 units follows from it and the count (51.02 M).

    Args:
        dims: Length of each modality's vector.
        n_classes: Logits.
        sketch_dim: Length of the sketch.
        hidden: Units between sketch and logits.
        dropout: Probability in training, before both dense layers.
        seed: Of the sketch's random places and signs.
    """

    def __init__(
        self,
        dims: Sequence[int],
        n_classes: int,
        sketch_dim: int = 16_000,
        hidden: int = 1570,
        dropout: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.pool = CompactBilinear(dims, sketch_dim, seed)
        self.fc1 = nn.Linear(sketch_dim, hidden)
        self.fc2 = nn.Linear(hidden, n_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """Logits.

        Args:
            vectors: One float [B, D_m] per modality, in the order of ``dims``.

        Returns:
            float [B, n_classes].
        """
        hidden = torch.relu(self.fc1(self.dropout(self.pool(vectors))))
        logits: Tensor = self.fc2(self.dropout(hidden))
        return logits
