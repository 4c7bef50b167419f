"""The cross-modal block of CFN-SR: what was heard says where in the picture to look.

Fu et al., "A cross-modal fusion network based on self-attention and residual structure for
multimodal emotion recognition", arXiv 2111.02172. Parameters keep the published code's names.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from realtime_er.errors import ConfigError


def sinusoid(n_steps: int, width: int) -> Tensor:
    """Positions 1 to T: width / 2 sines, then as many cosines.

    Frequencies are 10000^(-i / (width / 2 - 1)). The published code numbers positions by a helper
    that reads the first channel's values as token ids; plain counting is what it stands for.

    Returns:
        float64 [T, width].
    """
    half = width // 2
    index = torch.arange(half, dtype=torch.float64, device="cpu")
    frequency = torch.exp(index * (-math.log(10_000.0) / max(half - 1, 1)))
    steps = torch.arange(1, n_steps + 1, dtype=torch.float64, device="cpu")
    angle = steps[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], 1)


class SelfAttention(nn.Module):
    """Causal multi-head self-attention with one packed projection, as its checkpoints have it."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)
        self.n_heads = n_heads
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """States, float [B, T, width], to the same; step t sees steps up to t."""
        packed = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (
            part.reshape(*part.shape[:2], self.n_heads, -1).transpose(1, 2)
            for part in packed.chunk(3, 2)
        )
        mixed = F.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0, is_causal=True
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class TransformerLayer(nn.Module):
    """Pre-norm layer: attention and a ReLU network of four times the width, both residual."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, n_heads, dropout)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)
        self.layer_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """States, float [B, T, width], to the same."""
        x = x + self.dropout(self.self_attn(self.layer_norms[0](x)))
        inner = self.dropout(torch.relu(self.fc1(self.layer_norms[1](x))))
        out: Tensor = x + self.dropout(self.fc2(inner))
        return out


class _Positions(nn.Module):
    """Holds a buffer that published checkpoints carry; positions are computed, not stored."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_float_tensor", torch.zeros(1))


class AudioTransformer(nn.Module):
    """Causal transformer over the sound's steps.

    Args:
        width: Channels; even, and a multiple of ``n_heads``.
        n_layers: Layers.
        n_heads: Heads.
        dropout: Of attention, ReLU and residuals, in training.
        embed_dropout: After the positions are added, in training.

    Raises:
        ConfigError: ``width`` is odd or no multiple of ``n_heads``.
    """

    def __init__(
        self,
        width: int,
        n_layers: int = 5,
        n_heads: int = 8,
        dropout: float = 0.1,
        embed_dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if width % 2 or width % n_heads:
            raise ConfigError(
                f"audio transformer: {width} channels must be even and divide by {n_heads} heads"
            )
        self.width = width
        self.layers = nn.ModuleList(
            TransformerLayer(width, n_heads, dropout) for _ in range(n_layers)
        )
        self.layer_norm = nn.LayerNorm(width)
        self.embed_positions = _Positions()
        self.embed_dropout = nn.Dropout(embed_dropout)
        # Published checkpoints carry it; nothing reads it.
        self.register_buffer("version", torch.ones(1))

    def forward(self, audio: Tensor) -> Tensor:
        """All states.

        Args:
            audio: float [B, width, T].

        Returns:
            float [B, T, width]; step t depends on steps up to t only.
        """
        x = audio.transpose(1, 2)
        table = sinusoid(x.shape[1], self.width).to(x)
        x = self.embed_dropout(math.sqrt(self.width) * x + table)
        for layer in self.layers:
            x = layer(x)
        states: Tensor = self.layer_norm(x)
        return states


class CrossModalBlock(nn.Module):
    """Sound attends to picture, with a residual connection (CFN-SR).

    With h the audio transformer's last state, for every sample and position p of a time slice::

        e_p = w . tanh(W_c v_p + b_c + W_y h) + c,    alpha = softmax of e over a slice's positions
        v'_p = alpha_p v_p + v_p

    The published code sums alpha over the batch and applies the sum to every sample, so that a
    sample's scores depend on its neighbours; ``published_batch_sum`` does the same.

    Args:
        video_channels: Channels of the picture's map.
        audio_channels: Channels of the sound's sequence: even, a multiple of ``n_heads``.
        units: Length of w.
        n_layers: Layers of the audio transformer.
        n_heads: Its heads.
        residual: Whether v_p is added (the published ablation leaves it out).
        published_batch_sum: See above.
    """

    def __init__(
        self,
        video_channels: int,
        audio_channels: int,
        units: int = 64,
        n_layers: int = 5,
        n_heads: int = 8,
        *,
        residual: bool = True,
        published_batch_sum: bool = False,
    ) -> None:
        super().__init__()
        self.audio_attention = AudioTransformer(audio_channels, n_layers, n_heads)
        self.channel_affine = nn.Linear(video_channels, units)
        self.y_affine = nn.Linear(audio_channels, units, bias=False)
        self.attn_weight_affine = nn.Linear(units, 1)
        self.residual = residual
        self.published_batch_sum = published_batch_sum

    def heard(self, audio: Tensor, audio_steps: Tensor | None = None) -> Tensor:
        """The transformer's state at the last step.

        Args:
            audio: float [B, audio_channels, T].
            audio_steps: int64 [B], how many steps a sample has, up to T, where a batch is padded
                at its end; None: all T.

        Returns:
            float [B, audio_channels]; zeros for a sample of no steps.
        """
        states: Tensor = self.audio_attention(audio)
        if audio_steps is None:
            return states[:, -1]
        last = states[torch.arange(len(states), device=states.device), audio_steps - 1]
        return last * (audio_steps > 0)[:, None]

    def attention(self, video: Tensor, heard: Tensor, video_mask: Tensor | None = None) -> Tensor:
        """Weights of the positions, each sample's own.

        Args:
            video: float [B, video_channels, S, ...], S time slices.
            heard: float [B, audio_channels].
            video_mask: bool [B, S, ...], False where a padded batch holds nothing; None:
                everything is there.

        Returns:
            float [B, S, positions], summing to one over the positions of each slice that holds
            anything, zero where nothing is.
        """
        maps = video.flatten(3) if video.ndim > 3 else video[..., None]
        inner = self.channel_affine(maps.movedim(1, -1)) + self.y_affine(heard)[:, None, None]
        score: Tensor = self.attn_weight_affine(torch.tanh(inner)).squeeze(-1)
        if video_mask is None:
            return torch.softmax(score, -1)
        kept = video_mask.reshape(score.shape)
        # Finite, so that an empty slice has finite gradients.
        score = score.masked_fill(~kept, torch.finfo(score.dtype).min)
        return torch.softmax(score, -1) * kept

    def forward(
        self,
        video: Tensor,
        audio: Tensor,
        *,
        video_mask: Tensor | None = None,
        audio_steps: Tensor | None = None,
    ) -> Tensor:
        """The picture's map, attended.

        Args:
            video: float [B, video_channels, S, ...]: S time slices, then positions that compete.
                A sequence [B, C, T] whose steps are to compete is given as [B, C, 1, T].
            audio: float [B, audio_channels, T].
            video_mask: As in :meth:`attention`.
            audio_steps: As in :meth:`heard`.

        Returns:
            float, the shape of ``video``. The sound is not changed by this block.
        """
        alpha = self.attention(video, self.heard(audio, audio_steps), video_mask)
        if self.published_batch_sum:
            alpha = alpha.sum(0, keepdim=True)
        alpha = alpha.reshape(len(alpha), 1, *video.shape[2:])
        return video * alpha + video if self.residual else video * alpha
