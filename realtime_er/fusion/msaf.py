"""Multimodal split attention fusion: channel blocks of all modalities share one softmax (MSAF)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from realtime_er.errors import ConfigError
from realtime_er.fusion.positions import mean_over_positions

Masks = Sequence[Tensor | None]


class SplitAttention(nn.Module):
    """Attention over the channel blocks of one time segment; see :class:`MSAF`."""

    def __init__(
        self,
        channels: Sequence[int],
        block_channels: int,
        reduction: int,
        block_dropout: float,
        floor: float,
        *,
        published_double_mask: bool,
    ) -> None:
        super().__init__()
        self.block_channels = block_channels
        self.blocks_of = [-(-size // block_channels) for size in channels]
        self.block_dropout = block_dropout
        self.floor = floor
        self.published_double_mask = published_double_mask
        units = max(1, block_channels // reduction)
        self.joint_features = nn.Sequential(
            nn.Linear(block_channels, units), nn.BatchNorm1d(units), nn.ReLU()
        )
        self.dense_group = nn.ModuleList(
            nn.Linear(units, block_channels) for _ in range(sum(self.blocks_of))
        )

    def _split(self, x: Tensor, n_blocks: int) -> Tensor:
        """[B, C_m, ...] to [B, n, C, positions], the last block filled with zero channels."""
        flat = x.flatten(2) if x.ndim > 2 else x[..., None]
        missing = n_blocks * self.block_channels - flat.shape[1]
        padded = F.pad(flat, (0, 0, 0, missing))
        # Not len(): an export would freeze the batch.
        return padded.reshape(x.shape[0], n_blocks, self.block_channels, -1)

    def mask(self, like: Tensor) -> Tensor:
        """Block dropout: float [B, N], 0 or 1 / (1 - p), of expectation 1."""
        keep = like.new_full((len(like), sum(self.blocks_of)), 1.0 - self.block_dropout)
        return torch.bernoulli(keep) / (1.0 - self.block_dropout)

    def attention(self, blocks: Sequence[Tensor], masks: Masks) -> Tensor:
        """Weights of the blocks.

        Args:
            blocks: One float [B, n_m, C, positions] per modality.
            masks: See :meth:`MSAF.forward`; one per modality.

        Returns:
            float [B, N, C]: a softmax over the N blocks for each channel, raised to the floor.
        """
        pairs = list(zip(blocks, masks, strict=True))
        q = torch.stack([mean_over_positions(x.sum(1), mask) for x, mask in pairs]).sum(0)
        z = self.joint_features(q)
        score = torch.stack([layer(z) for layer in self.dense_group], 1)
        if any(mask is not None for mask in masks):
            there = [_there(x, mask).repeat(1, x.shape[1]) for x, mask in pairs]
            # Finite, so that a sample of which nothing is there has finite gradients.
            lowest = torch.finfo(score.dtype).min
            score = score.masked_fill(~torch.cat(there, 1)[..., None], lowest)
        return self.floor + (1.0 - self.floor) * torch.softmax(score, 1)

    def forward(self, maps: Sequence[Tensor], masks: Masks) -> list[Tensor]:
        """Weighted maps, float [B, C_m, ...] each, shapes kept."""
        blocks = [self._split(x, n) for x, n in zip(maps, self.blocks_of, strict=True)]
        if self.training and self.block_dropout > 0.0:
            mask = self.mask(maps[0])[..., None, None]
            parts = torch.split(mask, self.blocks_of, 1)
            blocks = [x * part for x, part in zip(blocks, parts, strict=True)]
            alpha = self.attention(blocks, masks)[..., None]
            alpha = alpha * mask if self.published_double_mask else alpha
        else:
            alpha = self.attention(blocks, masks)[..., None]
        weighted = [
            x * part for x, part in zip(blocks, torch.split(alpha, self.blocks_of, 1), strict=True)
        ]
        return [
            y.flatten(1, 2)[:, : x.shape[1]].reshape(x.shape)
            for x, y in zip(maps, weighted, strict=True)
        ]


class MSAF(nn.Module):
    """Multimodal split attention fusion of M maps (Su et al., arXiv 2012.07175).

    Each modality's channels are cut into blocks of C; the sums of the blocks, averaged over the
    positions and added over the modalities, give a joint vector, and from it each block its
    weights, a softmax over the blocks of all modalities::

        z = ReLU(BN(W sum_m mean_positions(sum_blocks x_m) + b))
        alpha = softmax_over_blocks(U_j z + d_j),    alpha <- floor + (1 - floor) alpha
        y_m = x_m * alpha

    Two faults of the published module are not here: in training its dropout mask is applied
    twice, and channels that are no multiple of C are padded along the wrong axis (it crashes).
    Parameters keep their published names.

    Args:
        channels: Channels of each modality.
        block_channels: C.
        reduction: z has ``C // reduction`` units.
        block_dropout: Probability in training that a sample loses a block.
        floor: Smallest weight.
        segments: The first axis after the channels (time) is cut into so many pieces, each
            with parameters of its own; what does not divide goes to the last.
        published_double_mask: Train with the mask applied twice (blocks that are kept are scaled
            by 1 / (1 - p)^2). Evaluation is the same either way.

    Raises:
        ConfigError: A size is below one, or a probability outside [0, 1).
    """

    def __init__(
        self,
        channels: Sequence[int],
        block_channels: int,
        reduction: int = 4,
        block_dropout: float = 0.2,
        floor: float = 0.0,
        segments: int = 1,
        *,
        published_double_mask: bool = False,
    ) -> None:
        super().__init__()
        if min(*channels, block_channels, reduction, segments) < 1:
            raise ConfigError("MSAF: channels, block width, reduction and segments must be >= 1")
        if not (0.0 <= block_dropout < 1.0 and 0.0 <= floor < 1.0):
            raise ConfigError(
                f"MSAF: block dropout and floor must be in [0, 1), got {block_dropout} and {floor}"
            )
        self.blocks = nn.ModuleList(
            SplitAttention(
                channels,
                block_channels,
                reduction,
                block_dropout,
                floor,
                published_double_mask=published_double_mask,
            )
            for _ in range(segments)
        )

    def forward(self, maps: Sequence[Tensor], masks: Masks | None = None) -> list[Tensor]:
        """Weighted maps.

        Args:
            maps: One float [B, C_m, ...] per modality; axes after the channels are free and may
                differ between modalities. With several segments axis 2 is time, and each map
                needs at least ``segments`` steps of it. In training B > 1 (batch normalisation).
            masks: For each modality bool [B, ...], the axes after the channels, False where a
                padded batch holds nothing, or None. A modality of which nothing is there takes
                no part in a sample's softmax.

        Returns:
            The same shapes.

        Raises:
            ValueError: A map has fewer time steps than there are segments.
        """
        count = len(self.blocks)
        masks = masks or [None] * len(maps)
        if count == 1:
            only: list[Tensor] = self.blocks[0](maps, masks)
            return only
        if any(x.ndim < 3 or x.shape[2] < count for x in maps):
            raise ValueError(f"MSAF with {count} segments needs maps of {count} time steps or more")
        pieces = [_segments(x, count, 2) for x in maps]
        mask_pieces = [
            [None] * count if mask is None else _segments(mask, count, 1) for mask in masks
        ]
        done = [
            block([p[i] for p in pieces], [p[i] for p in mask_pieces])
            for i, block in enumerate(self.blocks)
        ]
        return [torch.cat([part[m] for part in done], 2) for m in range(len(maps))]


def _there(x: Tensor, mask: Tensor | None) -> Tensor:
    """Bool [B, 1], whether anything of a modality is there."""
    if mask is None:
        return torch.ones(x.shape[0], 1, dtype=torch.bool, device=x.device)
    return mask.reshape(mask.shape[0], -1).any(1, keepdim=True)


def _segments(x: Tensor, count: int, axis: int) -> list[Tensor]:
    """Cuts an axis into equal pieces, the last one longer by what is left over."""
    step = x.shape[axis] // count
    sizes = [step] * (count - 1) + [x.shape[axis] - step * (count - 1)]
    return list(torch.split(x, sizes, axis))
