"""Alignment before fusion: the two auxiliary losses of Foal-Net, for any pair of modalities.

AVEL pulls vectors of one emotion together across modalities, by contrast within the batch. MEM
asks a matcher whether two modalities belong to one clip; its negatives are drawn by similarity
among the clips of another emotion. Neither is needed once a head is trained. Their parts are here;
``foal.py`` puts them together as published, ``gated_alignment.py`` beside the gated head.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

Positives = Literal["sum", "mean"]
"""A row's positives in AVEL: "sum" as released (rows of frequent emotions weigh more), or "mean"."""
Temperature = Literal["released", "clip"]
"""How the learned scalar acts: "released" divides similarities by it, as the published code does,
which shrinks them to within 1 / 2.66; "clip" multiplies by its exponential (14.3), as CLIP has it."""

INITIAL_TEMPERATURE = math.log(1.0 / 0.07)
LARGEST_FACTOR = 100.0
"""Of "clip", as in CLIP."""


class AlignmentLosses(NamedTuple):
    """Both losses as scalars with gradients, zero where the batch has nothing for them.

    Attributes:
        avel: contrast over the batch.
        mem: matching of pairs.
    """

    avel: Tensor
    mem: Tensor


class Projection(nn.Module):
    """To the space where modalities are compared: W1, GELU, W2, dropout, residual, LayerNorm.

    Args:
        in_dim: length of the vectors.
        out_dim: of the common space.
        dropout: probability.
    """

    def __init__(self, in_dim: int, out_dim: int = 512, dropout: float = 0.5) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_dim, out_dim, bias=False)
        self.linear2 = nn.Linear(out_dim, out_dim, bias=False)
        self.layer_norm = nn.LayerNorm(out_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor) -> Tensor:
        """Projects vectors, float [..., in_dim] to float [..., out_dim]."""
        embedded = self.linear1(vectors)
        refined = self.dropout(self.linear2(functional.gelu(embedded)))
        projected: Tensor = self.layer_norm(embedded + refined)
        return projected


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Mean over the steps that are there; zeros where none is.

    Args:
        states: float [B, T, D].
        mask: bool [B, T], true where there is something.

    Returns:
        float [B, D].
    """
    kept = torch.where(mask[..., None], states, states.new_zeros(()))
    return kept.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def similarities(
    first: Tensor, second: Tensor, scale: Tensor, temperature: Temperature = "released"
) -> Tensor:
    """Cosine of every pair, sharpened or softened by the learned scalar.

    Args:
        first: float [M, D].
        second: float [N, D].
        scale: float, no dimensions.
        temperature: how ``scale`` acts.

    Returns:
        float [M, N], float32 at least: half precision would blur the contrast.

    Raises:
        ValueError: there is no such ``temperature``.
    """
    if temperature not in get_args(Temperature):
        raise ValueError(
            f"temperature must be one of {list(get_args(Temperature))}: {temperature!r}"
        )
    with torch.autocast(first.device.type, enabled=False):
        exact = torch.promote_types(first.dtype, torch.float32)
        one = functional.normalize(first.to(exact), dim=-1)
        other = functional.normalize(second.to(exact), dim=-1)
        cosine = one @ other.T
        if temperature == "released":
            return cosine / scale
        return cosine * scale.exp().clamp(max=LARGEST_FACTOR)


def contrast(
    similarity: Tensor, row_labels: Tensor, column_labels: Tensor, positives: Positives = "sum"
) -> Tensor:
    """One direction of AVEL: - log softmax over columns, at those with the row's label.

    Args:
        similarity: float [M, N].
        row_labels: int64 [M].
        column_labels: int64 [N]; every row's label occurs among them.
        positives: whether a row's positives are summed or averaged.

    Returns:
        A scalar, the mean over rows; zero without a row.

    Raises:
        ValueError: there is no such ``positives``.
    """
    if positives not in get_args(Positives):
        raise ValueError(f"positives must be one of {list(get_args(Positives))}: {positives!r}")
    if similarity.numel() == 0:
        return similarity.sum()
    same = row_labels[:, None] == column_labels[None, :]
    told = -functional.log_softmax(similarity, dim=1)
    rows = torch.where(same, told, told.new_zeros(())).sum(dim=1)
    if positives == "mean":
        rows = rows / same.sum(dim=1).clamp(min=1)
    return rows.mean()


def draw_negatives(
    similarity: Tensor,
    row_labels: Tensor,
    column_labels: Tensor,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """A hard negative for each row: a column of another label, drawn by softmax of similarity.

    The published code adds -10000 to columns of the row's own label, so a batch of one label gives
    it negatives that are none. Here a row without a column of another label has no negative.

    Args:
        similarity: float [M, N]; no gradient flows through the draw.
        row_labels: int64 [M].
        column_labels: int64 [N].
        generator: on the CPU; what the draw depends on.

    Returns:
        int64 [K], the rows that have a negative, and int64 [K], its column; on the device of
        ``similarity``.
    """
    other = row_labels[:, None] != column_labels[None, :]
    rows = other.any(dim=1).nonzero()[:, 0]
    if len(rows) == 0:
        return rows, rows
    allowed = similarity.detach()[rows].masked_fill(~other[rows], -torch.inf)
    chances = torch.softmax(allowed, dim=1).cpu()
    columns = torch.multinomial(chances, 1, generator=generator)[:, 0]
    return rows, columns.to(rows.device)


def matching_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Cross-entropy of a matcher over own pairs (class 1) and drawn pairs (class 0).

    Args:
        positive: float [B, 2], logits of the clips' own pairs.
        negative: float [K, 2], logits of drawn pairs; K may be 0.

    Returns:
        A scalar, the mean over the B + K pairs; zero without one.
    """
    logits = torch.cat([positive, negative])
    if len(logits) == 0:
        return logits.sum()
    wanted = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    wanted[: len(positive)] = 1
    return functional.cross_entropy(logits, wanted)
