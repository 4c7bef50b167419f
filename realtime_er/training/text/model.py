"""The text network: a MiniLM encoder whose weights are held to four bits while it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from realtime_er.messages import LABELS
from realtime_er.training.text.vocabulary import MAX_TOKENS

EMBEDDING_DIM = 128
LAYERS = 6
FROZEN_LAYERS = 2
HEADS = 12
WIDTH = 384
BLOCK = 32
"""Weights that share a scale."""

NORM_EPSILON = 1e-12
_INNER = 1536
_DROPOUT = 0.1


def four_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds a weight to sixteen levels in blocks along its rows.

    The level 0 of 15 is the block's largest magnitude, so the scale carries its sign.

    Args:
        weight: float32 [N, K], K a multiple of ``BLOCK``.

    Returns:
        Levels, float32 [N, K / BLOCK, BLOCK] of whole numbers in 0..15, and scales, float32
        [N, K / BLOCK, 1]; the weight is (level - 8) * scale.
    """
    blocks = weight.reshape(weight.shape[0], -1, BLOCK)
    largest = blocks.gather(2, blocks.abs().argmax(dim=2, keepdim=True))
    scale = largest / -8.0
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return (blocks / scale).round_().add_(8.0).clamp_(0.0, 15.0), scale


class FourBitLinear(nn.Linear):
    """A linear layer that computes with rounded weights and passes gradients straight through."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Applies the rounded weight and the bias."""
        with torch.no_grad():
            levels, scale = four_bits(self.weight)
            shift = levels.sub_(8.0).mul_(scale).view_as(self.weight).sub_(self.weight)
        return functional.linear(input, self.weight + shift, self.bias)


class Layer(nn.Module):
    """One transformer layer, normalised after each half."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = FourBitLinear(WIDTH, 3 * WIDTH)
        self.out = FourBitLinear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=NORM_EPSILON)
        self.up = FourBitLinear(WIDTH, _INNER)
        self.down = FourBitLinear(_INNER, WIDTH)
        self.last_norm = nn.LayerNorm(WIDTH, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States float32 [N, T, 384] to the same; ``mask`` bool [N, 1, 1, T] is true for tokens."""
        n, t, _ = states.shape
        q, k, v = self.qkv(states).view(n, t, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        read = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        mixed = self.out(read.transpose(1, 2).reshape(n, t, WIDTH))
        states = self.norm(states + self.dropout(mixed))
        lifted = self.down(functional.gelu(self.up(states)))
        result: Tensor = self.last_norm(states + self.dropout(lifted))
        return result


class TextNet(nn.Module):
    """Tokens to an embedding and logits: six layers, the mean over tokens, a small head."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.words = nn.Embedding(pieces, WIDTH)
        self.places = nn.Embedding(MAX_TOKENS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=NORM_EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.embed = nn.Linear(WIDTH, EMBEDDING_DIM)
        self.classify = nn.Linear(EMBEDDING_DIM, len(LABELS))
        self.dropout = nn.Dropout(_DROPOUT)

    def stack(self) -> list[Layer]:
        """The layers, the lowest first."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding [N, 128] and logits [N, 7], float32, of ids int64 [N, T]; 0 is padding."""
        known = ids != 0
        states = self.words(ids) + self.places.weight[: ids.shape[1]]
        states = self.dropout(self.norm(states))
        for layer in self.layers:
            states = layer(states, known[:, None, None])
        weight = known.unsqueeze(-1).float()
        mean = (states * weight).sum(dim=1) / weight.sum(dim=1)
        embedding = torch.relu(self.embed(self.dropout(mean)))
        return embedding, self.classify(self.dropout(embedding))


def from_pretrained(folder: Path, pieces: Sequence[str], base: dict[str, int]) -> TextNet:
    """A network with the pretrained layers and the rows of ``pieces``; the head is new.

    Args:
        folder: The pretrained encoder's folder.
        pieces: The vocabulary that is kept.
        base: The pretrained vocabulary.
    """
    saved = load_file(folder / "model.safetensors")
    net = TextNet(len(pieces))
    own = {
        "words.weight": saved["embeddings.word_embeddings.weight"][[base[one] for one in pieces]],
        # Every text is one segment, so its vector is part of every place.
        "places.weight": saved["embeddings.position_embeddings.weight"][:MAX_TOKENS]
        + saved["embeddings.token_type_embeddings.weight"][0],
    }
    parts = {"norm": "embeddings.LayerNorm"}
    for number in range(LAYERS):
        there = f"encoder.layer.{number}"
        heads = [f"{there}.attention.self.{name}" for name in ("query", "key", "value")]
        for kind in ("weight", "bias"):
            own[f"layers.{number}.qkv.{kind}"] = torch.cat(
                [saved[f"{one}.{kind}"] for one in heads]
            )
        parts |= {
            f"layers.{number}.out": f"{there}.attention.output.dense",
            f"layers.{number}.norm": f"{there}.attention.output.LayerNorm",
            f"layers.{number}.up": f"{there}.intermediate.dense",
            f"layers.{number}.down": f"{there}.output.dense",
            f"layers.{number}.last_norm": f"{there}.output.LayerNorm",
        }
    for mine, theirs in parts.items():
        for kind in ("weight", "bias"):
            own[f"{mine}.{kind}"] = saved[f"{theirs}.{kind}"]
    missing, unexpected = net.load_state_dict(own, strict=False)
    if unexpected or any(not name.startswith(("embed.", "classify.")) for name in missing):
        raise ValueError(f"{folder}: not the expected encoder: {missing} {unexpected}")
    return net
