"""Means over the positions of a map that are really there."""

from __future__ import annotations

from torch import Tensor


def mean_over_positions(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over all axes after the channels.

    Args:
        x: float [B, C, ...].
        mask: bool [B, ...], False where a padded batch holds nothing; None: everything is there.

    Returns:
        float [B, C]; zeros for a sample of which nothing is there.
    """
    if x.ndim == 2:
        x = x[..., None]
    flat = x.flatten(2)
    if mask is None:
        return flat.mean(2)
    kept = mask.reshape(len(x), 1, -1).to(x.dtype)
    return (flat * kept).sum(2) / kept.sum(2).clamp(min=1.0)
