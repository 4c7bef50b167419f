"""Multimodal transfer module: squeeze and excitation across modalities (MMTM)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from realtime_er.fusion.positions import mean_over_positions


class MMTM(nn.Module):
    """Each modality's channels are weighted by what all modalities hold.

    Vaezi Joze et al., "MMTM: multimodal transfer module for CNN fusion", CVPR 2020, equations
    1 to 4, for M modalities::

        s_m = mean of x_m over its positions,    z = ReLU(W [s_1; ...; s_M] + b)
        y_m = 2 sigmoid(W_m z + b_m) * x_m

    Args:
        channels: Channels of each modality.
        ratio: z has ``2 * sum(channels) // ratio`` units, at least one; 4 is published.
    """

    def __init__(self, channels: Sequence[int], ratio: int = 4) -> None:
        super().__init__()
        units = max(1, 2 * sum(channels) // ratio)
        self.squeeze = nn.Linear(sum(channels), units)
        self.excite = nn.ModuleList(nn.Linear(units, size) for size in channels)

    def forward(
        self, maps: Sequence[Tensor], masks: Sequence[Tensor | None] | None = None
    ) -> list[Tensor]:
        """Weighted maps.

        Args:
            maps: One float [B, C_m, ...] per modality, any number of axes after the channels.
            masks: For each modality bool [B, ...], False where a padded batch holds nothing, or
                None. A modality of which nothing is there adds nothing to z.

        Returns:
            The same shapes.
        """
        masks = masks or [None] * len(maps)
        means = [mean_over_positions(x, mask) for x, mask in zip(maps, masks, strict=True)]
        z = torch.relu(self.squeeze(torch.cat(means, 1)))
        return [
            x * (2.0 * torch.sigmoid(layer(z))).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
            for x, layer in zip(maps, self.excite, strict=True)
        ]
