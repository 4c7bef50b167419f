"""Tiny RAVDESS networks, and weights that leave no term of an equation at zero or one."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from realtime_er.encoders.ravdess.mfcc_net import MfccSize
from realtime_er.encoders.ravdess.resnext3d import ResNeXtSize
from realtime_er.fusion.ravdess import NetworkSize

M = TypeVar("M", bound=nn.Module)

TINY = NetworkSize(
    ResNeXtSize(stem=4, planes=4, cardinality=2, layers=(1, 1, 1, 1)),
    MfccSize(n_mfcc=5, n_steps=36, inner=8, outer=16),
)


def shaken(module: M, seed: int = 0) -> M:
    """Every parameter and statistic drawn anew, float64, in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point() or "sign_" in name:
                continue
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            if "running_var" in name:
                value.copy_(0.5 + drawn.abs())
            elif name.endswith("weight") and value.ndim == 1:
                value.copy_(1.0 + 0.3 * drawn)
            else:
                fan = max(value[0].numel(), 1) if value.ndim else 1
                value.copy_(drawn / fan**0.5)
    return module.eval()


def clip(batch: int, seed: int = 0, size: NetworkSize = TINY) -> tuple[Tensor, Tensor]:
    """Pictures [B, 3, 8, 64, 64] and cepstra that the tiny networks take, float64."""
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(batch, 3, 8, 64, 64, generator=generator, dtype=torch.float64)
    shape = (batch, size.audio.n_mfcc, size.audio.n_steps)
    return video, torch.randn(*shape, generator=generator, dtype=torch.float64)
