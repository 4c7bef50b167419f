"""Concatenation of vectors and two dense layers: the plainest learned fusion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConcatFC(nn.Module):
    """Concatenate, dense, ReLU, dropout, dense.

    Published as "Concat + FC" without its sizes. With vectors of 2048 and 1664 and 256 hidden
    units the network has 26.84 M parameters; with the two unimodal classifiers, which it does not
    use, 26.87 M, the published count.

    Args:
        dims: Length of each modality's vector.
        n_classes: Logits.
        hidden: Units of the first dense layer.
        dropout: Probability in training, after the ReLU.
    """

    def __init__(
        self, dims: Sequence[int], n_classes: int, hidden: int = 256, dropout: float = 0.4
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(sum(dims), hidden)
        self.fc2 = nn.Linear(hidden, n_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Sequence[Tensor]) -> Tensor:
        """Logits.

        Args:
            vectors: One float [B, D_m] per modality, in the order of ``dims``.

        Returns:
            float [B, n_classes].
        """
        hidden = torch.relu(self.fc1(torch.cat(list(vectors), 1)))
        logits: Tensor = self.fc2(self.dropout(hidden))
        return logits
