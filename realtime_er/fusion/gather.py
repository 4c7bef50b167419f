"""A batch spread over processes, put together so that gradients find their way back.

The published code gathers vectors without gradients, which leaves each process' negatives fixed.
Here the gradient of every process' loss reaches the rows of every other: with each process' loss a
mean over its own rows and gradients averaged over processes, several processes learn exactly what
one would from the whole batch. All processes must bring batches of one size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


def _alone() -> bool:
    return not (distributed.is_available() and distributed.is_initialized())


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        ctx.size = len(rows)
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        summed = gradient.contiguous()
        distributed.all_reduce(summed)
        start = distributed.get_rank() * ctx.size
        return summed[start : start + ctx.size]


def gather_rows(rows: Tensor) -> Tensor:
    """Rows of all processes in their order, with gradients; one process gets its own back.

    Args:
        rows: float [B, D], B the same everywhere.

    Returns:
        float [processes * B, D].
    """
    if _alone():
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


def gather_labels(labels: Tensor) -> Tensor:
    """Labels of all processes in their order.

    Args:
        labels: int64 [B], B the same everywhere.

    Returns:
        int64 [processes * B].
    """
    if _alone():
        return labels
    parts = [torch.empty_like(labels) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, labels.contiguous())
    return torch.cat(parts)
