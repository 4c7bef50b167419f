"""The compact speech network: a causal log-mel front end, a small convolutional encoder, a head.

Everything looks only at the past, so the same weights run in two ways that agree: over whole clips
(training) and over steps of 80 ms with cached left contexts (:class:`StreamingGraph`, exported).
All states are zeros at the start, and zero means silence: features are heights above a floor.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SAMPLE_RATE_HZ = 16_000
STEP_SAMPLES = 1280
FRAME_SAMPLES = 400
HOP_SAMPLES = 160
OVERLAP_SAMPLES = FRAME_SAMPLES - HOP_SAMPLES
FRAMES_PER_STEP = STEP_SAMPLES // HOP_SAMPLES
OUTPUTS_PER_STEP = 2
BANDS = 64
EMBEDDING_DIM = 96
_FFT = 512
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7600.0
# About the power of 16-bit quantisation noise in a frame.
POWER_FLOOR = 1e-8
# The level falls by 3 dB/s when nothing is loud (log10 of power per 10 ms frame).
LEVEL_DECAY = 0.003
_HEIGHT_BELOW_LEVEL = 5.0
_DILATIONS = (1, 2, 4, 8)


def _mel_filters() -> Tensor:
    """Triangular filters, float32 [bins, BANDS], equally spaced on the mel scale."""

    def to_mel(hz: float) -> float:
        return 2595.0 * math.log10(1.0 + hz / 700.0)

    mels = np.linspace(to_mel(_LOWEST_HZ), to_mel(_HIGHEST_HZ), BANDS + 2)
    edges_hz = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bins_hz = np.arange(_FFT // 2 + 1) * SAMPLE_RATE_HZ / _FFT
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz[:, None] - low) / (centre - low)
    falling = (high - bins_hz[:, None]) / (high - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    # Narrow low bands may meet one bin only; equal sums keep white noise flat over the bands.
    return torch.from_numpy((filters / np.maximum(filters.sum(axis=0), 0.5)).astype(np.float32))


def _window() -> Tensor:
    return torch.hann_window(FRAME_SAMPLES, periodic=True)


def clip_power(samples: Tensor) -> Tensor:
    """Mel band powers of whole clips, as a stream that starts with them would see them.

    Args:
        samples: float32 [N, S], in [-1, 1].

    Returns:
        float32 [N, S // 160, 64].
    """
    frames = functional.pad(samples, (OVERLAP_SAMPLES, 0)).unfold(1, FRAME_SAMPLES, HOP_SAMPLES)
    spectrum = torch.fft.rfft(frames * _window(), n=_FFT)
    return cast(Tensor, (spectrum.real**2 + spectrum.imag**2) @ _mel_filters())


def level_of(power: Tensor) -> Tensor:
    """Broadband level in log10 above the floor, [..., frames] from [..., frames, BANDS]."""
    # "+ 1" after scaling, because the ONNX exporter takes a term like 1e-8 for zero and drops it.
    return torch.log10(power.mean(dim=-1) / POWER_FLOOR + 1.0)


def heights(power: Tensor, level: Tensor) -> Tensor:
    """Log powers above a floor that follows the level (gain cancels out), >= 0."""
    log_power = torch.log10(power / POWER_FLOOR + 1.0)
    return 0.5 * torch.relu(log_power - level.unsqueeze(-1) + _HEIGHT_BELOW_LEVEL)


def clip_features(power: Tensor, start_level: Tensor | None = None) -> Tensor:
    """Gain-invariant features of whole clips.

    Args:
        power: float32 [N, T, 64] from :func:`clip_power`.
        start_level: float32 [N], the level before the first frame; zeros when absent.

    Returns:
        float32 [N, T, 64].
    """
    frames = power.shape[1]
    fall = LEVEL_DECAY * torch.arange(1, frames + 1, dtype=power.dtype)
    level = level_of(power) + fall
    if start_level is not None:
        level = torch.cat([start_level[:, None], level], dim=1)
    level = torch.cummax(level, dim=1).values[:, -frames:] - fall
    return heights(power, torch.relu(level))


class _CausalConv(nn.Module):
    """A convolution over time ([N, C, T, F]) with the past only, and its normalisation.

    ``context`` frames before the input are needed: zeros for clips, cached frames for streams.
    """

    def __init__(
        self,
        width_in: int,
        width_out: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.context = (kernel[0] - 1) * dilation - (stride[0] - 1)
        self.width_in = width_in
        self.conv = nn.Conv2d(
            width_in, width_out, kernel, stride, (0, kernel[1] // 2), (dilation, 1), bias=False
        )
        self.norm = nn.BatchNorm2d(width_out)

    def forward(self, x: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if past is None:
            x = functional.pad(x, (0, 0, self.context, 0))
        else:
            x = torch.cat([past, x], dim=2)
        return functional.relu(self.norm(self.conv(x))), x[:, :, x.shape[2] - self.context :]


class SpeechNet(nn.Module):
    """Features [N, T, 64] to embeddings per step [N, T // 8, 96]; pooled statistics to classes."""

    def __init__(self, classes: int, dropout: float = 0.05, head_dropout: float = 0.2) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                _CausalConv(1, 16, (5, 5), (2, 2)),
                _CausalConv(16, 24, (3, 3), (1, 2)),
                _CausalConv(24, 32, (3, 3), (2, 2)),
                # All bands at once: from here on a plain sequence of channels.
                _CausalConv(32 * 8, EMBEDDING_DIM, (1, 1), (1, 1)),
            ]
        )
        self.blocks = nn.ModuleList(
            [
                _CausalConv(EMBEDDING_DIM, EMBEDDING_DIM, (3, 1), (1, 1), dilation)
                for dilation in _DILATIONS
            ]
        )
        self.dropout = nn.Dropout(dropout)
        self.step_head = nn.Linear(EMBEDDING_DIM, classes)
        self.head = nn.Sequential(
            nn.BatchNorm1d(2 * EMBEDDING_DIM),
            nn.Dropout(head_dropout),
            nn.Linear(2 * EMBEDDING_DIM, 96),
            nn.ReLU(),
            nn.Dropout(head_dropout),
            nn.Linear(96, classes),
        )

    def zero_pasts(self) -> list[Tensor]:
        """The layers' contexts at the start of a stream, one per layer that has one."""
        bands = [BANDS, 32, 16]
        pasts = [
            torch.zeros(1, layer.width_in, layer.context, width)
            for layer, width in zip(self._convs()[:3], bands, strict=True)
        ]
        return pasts + [
            torch.zeros(1, layer.width_in, layer.context, 1) for layer in self._blocks()
        ]

    def _convs(self) -> list[_CausalConv]:
        return cast(list[_CausalConv], list(self.convs))

    def _blocks(self) -> list[_CausalConv]:
        return cast(list[_CausalConv], list(self.blocks))

    def encode(
        self, features: Tensor, pasts: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Embeddings per step and the layers' next contexts.

        Args:
            features: float32 [N, T, 64], T a multiple of 8.
            pasts: contexts of the layers; the start of a stream when absent.

        Returns:
            float32 [N, T // 8, 96] and the contexts to pass with the next frames.
        """
        given: list[Tensor | None] = list(pasts) if pasts else [None] * 7
        following = []
        x = features.unsqueeze(1)
        *front, join = self._convs()
        for layer, past in zip(front, given[:3], strict=True):
            x, after = layer(x, past)
            following.append(after)
        x = x.permute(0, 1, 3, 2).flatten(1, 2).unsqueeze(-1)
        x, _ = join(x)
        for layer, past in zip(self._blocks(), given[3:], strict=True):
            y, after = layer(x, past)
            following.append(after)
            x = x + self.dropout(y)
        steps = x.shape[2] // OUTPUTS_PER_STEP
        per_step = x.squeeze(-1).reshape(x.shape[0], EMBEDDING_DIM, steps, OUTPUTS_PER_STEP)
        return per_step.mean(dim=-1).transpose(1, 2), following


def pool(embeddings: Tensor, steps: Tensor) -> Tensor:
    """Mean and population standard deviation over each clip's first steps.

    Args:
        embeddings: float32 [N, S, D].
        steps: int64 [N], how many steps of each clip count.

    Returns:
        float32 [N, 2 D].
    """
    counted = (torch.arange(embeddings.shape[1])[None] < steps[:, None]).unsqueeze(-1)
    size = steps[:, None].to(embeddings.dtype)
    mean = (embeddings * counted).sum(dim=1) / size
    variance = ((embeddings - mean[:, None]) ** 2 * counted).sum(dim=1) / size
    # The square root has no slope at zero, which one-step clips would meet in training.
    return torch.cat([mean, torch.sqrt(variance + 1e-6)], dim=1)


class StreamingGraph(nn.Module):
    """One step of a stream: 1280 samples and the states in, embedding and new states out."""

    def __init__(self, net: SpeechNet) -> None:
        super().__init__()
        self.net = net
        angle = (
            2.0
            * math.pi
            / _FFT
            * torch.arange(FRAME_SAMPLES, dtype=torch.float64)
            * torch.arange(_FFT // 2 + 1, dtype=torch.float64)[:, None]
        )
        basis = torch.cat([torch.cos(angle), torch.sin(angle)]) * _window().double()
        self.register_buffer("basis", basis.float().unsqueeze(1))
        self.register_buffer("mel", _mel_filters())
        index = torch.arange(FRAMES_PER_STEP)
        lag = (index[:, None] - index).float()
        # [frame, source]: a later source never counts.
        self.register_buffer("fall", torch.where(lag >= 0, LEVEL_DECAY * lag, 1e3))
        self.register_buffer("fall_from_past", LEVEL_DECAY * (index + 1).float())

    def zero_states(self) -> dict[str, Tensor]:
        """Names, shapes and start values of the states."""
        states = {
            "state_samples": torch.zeros(1, OVERLAP_SAMPLES),
            "state_level": torch.zeros(1, 1),
        }
        for number, past in enumerate(self.net.zero_pasts()):
            states[f"state_layer{number}"] = past
        return states

    def forward(
        self, samples: Tensor, state_samples: Tensor, state_level: Tensor, *pasts: Tensor
    ) -> tuple[Tensor, ...]:
        """One step; shapes as in :meth:`zero_states`, ``samples`` float32 [1, 1280].

        Returns:
            Embedding [1, 96], step logits [1, C], then the new states in their order.
        """
        sound = torch.cat([state_samples, samples], dim=1)
        basis, mel = cast(Tensor, self.basis), cast(Tensor, self.mel)
        spectrum = functional.conv1d(sound.unsqueeze(1), basis, stride=HOP_SAMPLES)
        real, imaginary = spectrum.chunk(2, dim=1)
        power = (real * real + imaginary * imaginary).transpose(1, 2) @ mel
        candidates = level_of(power).unsqueeze(1) - cast(Tensor, self.fall)
        from_past = state_level - cast(Tensor, self.fall_from_past)
        level = torch.relu(torch.maximum(candidates.amax(dim=2), from_past))
        embeddings, following = self.net.encode(heights(power, level), list(pasts))
        embedding = embeddings[:, 0]
        logits = self.net.step_head(embedding)
        return (embedding, logits, sound[:, -OVERLAP_SAMPLES:], level[:, -1:], *following)
