"""Foal-Net: sound and pictures aligned before they are fused by cross-attention, in torch.

    sound -> WavLM -> states [T, 1024] -+-> a2v: states attend to pictures -> mean -+
                                        |                                           +-> classifier
    pictures -> CLIP (outside) [F, 768] +-> v2a: pictures attend to states -> mean -+

AVEL and MEM (``alignment.py``) only shape training; without labels the forward pass is encode,
attend, classify. Names and layouts of parameters are the published ones, 329,774,281 with
WavLM-large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from realtime_er.encoders.foal.wavlm import encode_sounds, freeze_front_end, new_wavlm
from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require
from realtime_er.encoders.paper.wav2vec2 import current_spelling
from realtime_er.errors import SpecMismatch
from realtime_er.fusion.alignment import (
    INITIAL_TEMPERATURE,
    AlignmentLosses,
    Positives,
    Projection,
    Temperature,
    contrast,
    draw_negatives,
    masked_mean,
    matching_loss,
    similarities,
)
from realtime_er.fusion.gather import gather_labels, gather_rows

WHAT = "a Foal-Net"
CLASSES = ("Happy", "Neutral", "Sad", "Angry")
"""The published order of the four classes."""
LAYERS = 2
HEADS = 4
_ABSENT = -1e4
"""Added to the scores of keys that are not there; still a number in half precision."""


@dataclass(frozen=True)
class FoalBatch:
    """Clips ready for the network, B of them.

    Attributes:
        sounds: float32 [B, S], prepared, zeros behind ``samples``.
        samples: int64 [B].
        pictures: float32 [B, F, D], CLIP's features of frames.
        seen: bool [B, F], which frames are there; at least one of each clip.
    """

    sounds: Tensor
    samples: Tensor
    pictures: Tensor
    seen: Tensor

    def to(self, device: str) -> FoalBatch:
        """The same on another device."""
        parts = (self.sounds, self.samples, self.pictures, self.seen)
        return FoalBatch(*(part.to(device, non_blocking=True) for part in parts))


@dataclass(frozen=True)
class FoalOutput:
    """What comes of a batch.

    Attributes:
        logits: float [B, C].
        losses: both auxiliary losses; None without labels.
    """

    logits: Tensor
    losses: AlignmentLosses | None = None


class CrossAttention(nn.Module):
    """One layer: a sequence asks another one. No feed-forward part, LayerNorm last.

    Args:
        query_dim: of the sequence that asks, and of what comes out.
        other_dim: of the one that answers.
        heads: of attention.
        dropout: of the output, before the residual.
    """

    def __init__(
        self, query_dim: int, other_dim: int, heads: int = HEADS, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.w_q = nn.Linear(query_dim, query_dim)
        self.w_k = nn.Linear(other_dim, query_dim)
        self.w_v = nn.Linear(other_dim, query_dim)
        self.w_concat = nn.Linear(query_dim, query_dim)
        self.ln = nn.LayerNorm(query_dim)
        self.dropout = nn.Dropout(dropout)
        self._heads = heads

    def forward(self, query: Tensor, other: Tensor, mask: Tensor) -> Tensor:
        """The query, told what it asked for.

        Args:
            query: float [B, T, query_dim].
            other: float [B, U, other_dim].
            mask: bool [B, U], which steps of ``other`` are there.

        Returns:
            float [B, T, query_dim].
        """
        q, k, v = (
            layer(states).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for layer, states in ((self.w_q, query), (self.w_k, other), (self.w_v, other))
        )
        score = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
        score = score + torch.where(mask, 0.0, _ABSENT)[:, None, None, :].to(score.dtype)
        told = (torch.softmax(score, dim=-1) @ v).transpose(1, 2).flatten(2)
        attended: Tensor = self.ln(self.dropout(self.w_concat(told)) + query)
        return attended


class FoalNet(nn.Module):
    """The network.

    Args:
        config: settings of WavLM as in the hub's ``config.json``; empty means large.
        picture_dim: length of a frame's features.
        n_classes: logits.
        shared_dim: of the space in which the modalities are aligned.
        dropout: before the classifier; the published 0.3 is an option its code does not use.
        positives: see ``alignment.Positives``.
        temperature: see ``alignment.Temperature``.

    Raises:
        ModelError: transformers is not installed.
        SpecMismatch: the heads of attention cannot share features of this length.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        picture_dim: int = 768,
        n_classes: int = 4,
        shared_dim: int = 512,
        *,
        dropout: float = 0.0,
        positives: Positives = "sum",
        temperature: Temperature = "released",
    ) -> None:
        super().__init__()
        if picture_dim < 1 or picture_dim % HEADS:
            raise SpecMismatch(
                f"features of {picture_dim} numbers a frame cannot be shared by {HEADS} heads of "
                "attention; CLIP's have 768"
            )
        self.wavlm = new_wavlm(config)
        freeze_front_end(self.wavlm)
        settings: Any = self.wavlm.config
        size = int(settings.hidden_size)
        self.a2v = nn.ModuleList(CrossAttention(size, picture_dim) for _ in range(LAYERS))
        self.v2a = nn.ModuleList(CrossAttention(picture_dim, size) for _ in range(LAYERS))
        self.audio_project = Projection(size, shared_dim)
        self.video_project = Projection(picture_dim, shared_dim)
        self.a2v_head = nn.Linear(size, 2)
        self.v2a_head = nn.Linear(picture_dim, 2)
        self.cls_head = nn.Linear(size + picture_dim, n_classes)
        self.temp = nn.Parameter(torch.tensor(INITIAL_TEMPERATURE))
        self.dropout = nn.Dropout(dropout)
        self._positives: Positives = positives
        self._temperature: Temperature = temperature

    def forward(
        self,
        batch: FoalBatch,
        labels: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> FoalOutput:
        """Logits, and with labels the auxiliary losses; the logits are the same either way.

        Args:
            batch: the clips.
            labels: int64 [B].
            generator: on the CPU; what MEM's draw of negatives depends on. They are drawn among the
                clips of this process; AVEL's come from every process.
        """
        states, heard = encode_sounds(self.wavlm, batch.sounds, batch.samples)
        pictures, seen = batch.pictures, batch.seen
        heard_mean = self._attend(self.a2v, states, heard, pictures, seen)
        seen_mean = self._attend(self.v2a, pictures, seen, states, heard)
        logits = self.cls_head(self.dropout(torch.cat([heard_mean, seen_mean], dim=1)))
        if labels is None:
            return FoalOutput(logits)
        audio = self.audio_project(masked_mean(states, heard))
        video = self.video_project(masked_mean(pictures, seen))
        similarity = similarities(audio, video, self.temp, self._temperature)
        avel = self._avel(audio, video, labels)
        rows, columns = draw_negatives(similarity, labels, labels, generator)
        wrong = self._attend(self.a2v, states[rows], heard[rows], pictures[columns], seen[columns])
        mem = matching_loss(self.a2v_head(heard_mean), self.a2v_head(wrong))
        rows, columns = draw_negatives(similarity.T, labels, labels, generator)
        wrong = self._attend(self.v2a, pictures[rows], seen[rows], states[columns], heard[columns])
        mem = 0.5 * (mem + matching_loss(self.v2a_head(seen_mean), self.v2a_head(wrong)))
        return FoalOutput(logits, AlignmentLosses(avel, mem))

    def _avel(self, audio: Tensor, video: Tensor, labels: Tensor) -> Tensor:
        """Own clips against those of every process; gradients reach all of them."""
        everyone = gather_labels(labels)
        directions = []
        for own, other in ((audio, video), (video, audio)):
            similarity = similarities(own, gather_rows(other), self.temp, self._temperature)
            directions.append(contrast(similarity, labels, everyone, self._positives))
        return 0.5 * (directions[0] + directions[1])

    @staticmethod
    def _attend(
        stack: nn.ModuleList, query: Tensor, there: Tensor, other: Tensor, mask: Tensor
    ) -> Tensor:
        """Mean over time of what a stack makes of ``query``, float [B, D]."""
        if len(query) == 0:
            return query.new_zeros(0, query.shape[2])
        states = query
        for layer in stack:
            states = layer(states, other, mask)
        return masked_mean(states, there)


def foal_from_state(
    state: Mapping[str, Tensor],
    path: Path,
    config: Mapping[str, Any] | None = None,
    *,
    dropout: float = 0.0,
    positives: Positives = "sum",
    temperature: Temperature = "released",
) -> FoalNet:
    """The network that a state_dict with published names belongs to.

    Args:
        state: name to tensor, with the WavLM under ``wavlm.``.
        path: where it came from, for messages.
        config: settings of its WavLM; empty means large.
        dropout: before the classifier.
        positives: see ``alignment.Positives``.
        temperature: see ``alignment.Temperature``.

    Returns:
        The network, in evaluation mode.

    Raises:
        SpecMismatch: it is another model's, or incomplete.
    """
    picture_dim = int(require(state, "v2a_head.weight", WHAT, path).shape[1])
    n_classes = int(require(state, "cls_head.weight", WHAT, path).shape[0])
    shared_dim = int(require(state, "audio_project.linear1.weight", WHAT, path).shape[0])
    return fill_module(
        lambda: FoalNet(
            config, picture_dim, n_classes, shared_dim,
            dropout=dropout, positives=positives, temperature=temperature,
        ),
        current_spelling(state),
        WHAT,
        path,
    )  # fmt: skip


def load_foal(path: Path, config: Mapping[str, Any] | None = None) -> FoalNet:
    """Reads a file of weights, safetensors or a bare state_dict (see :func:`foal_from_state`).

    Raises:
        WeightsMissing: there is no such file.
        SpecMismatch: it is no state_dict, or another model's.
    """
    return foal_from_state(read_state(path), path, config)
