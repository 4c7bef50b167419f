"""Cross-modal gated attention fusion of three modalities (MER), in torch, with missing modalities.

With all three present the forward pass is the published one, and the parameters keep the
published names and layouts, so its checkpoints load. Two things are added: an availability mask,
and optional standardisation of the inputs, off (and outside the state dict) unless asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require

Gate = Literal["softmax", "sigmoid"]
WHAT = "an MER fusion head"


class GatedFeatureLayer(nn.Module):
    """Mixes two vectors by a gate computed from both; no biases, weights stored inputs x units."""

    def __init__(self, first_dim: int, second_dim: int, gated_dim: int, gate: Gate) -> None:
        super().__init__()
        self.WF1 = nn.Parameter(torch.empty(first_dim, gated_dim))
        self.WF2 = nn.Parameter(torch.empty(second_dim, gated_dim))
        self.WF = nn.Parameter(torch.empty(first_dim + second_dim, gated_dim))
        self.gate = gate
        for weight in (self.WF1, self.WF2, self.WF):
            nn.init.xavier_uniform_(weight)

    def forward(
        self, first: Tensor, second: Tensor, has_first: Tensor, has_second: Tensor
    ) -> Tensor:
        """Mixture of both, the one that is there, or zeros.

        Args:
            first: float [N, D1].
            second: float [N, D2].
            has_first: float [N, 1], 1 where ``first`` is available, else 0.
            has_second: float [N, 1], likewise.

        Returns:
            float [N, units].
        """
        h_first = torch.tanh(first @ self.WF1)
        h_second = torch.tanh(second @ self.WF2)
        score = torch.cat([first, second], dim=1) @ self.WF
        z = torch.softmax(score, dim=1) if self.gate == "softmax" else torch.sigmoid(score)
        mixed = z * h_first + (1.0 - z) * h_second
        both = has_first * has_second
        return (
            both * mixed
            + has_first * (1.0 - has_second) * h_first
            + has_second * (1.0 - has_first) * h_second
        )


class GatedAttentionFusion(nn.Module):
    """The fusion network: projections, three gated pairs, a joint layer, a classifier.

    Args:
        face_dim: Length of the face vector (the published "video").
        audio_dim: Length of the audio vector.
        text_dim: Length of the text vector.
        gated_dim: Units of each pair.
        n_classes: Logits.
        dropout: Probability after the projections and the joint layer.
        gate: "softmax" as in the published weights (its mean is 1 / gated_dim whatever the
            data), or "sigmoid" as the publication's figure shows.
        standardise: Whether inputs are shifted and scaled by buffers first (see
            :meth:`set_standardisation`).

    Raises:
        ValueError: ``gate`` is neither of the two.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        text_dim: int,
        gated_dim: int = 64,
        n_classes: int = 7,
        dropout: float = 0.1,
        gate: Gate = "softmax",
        *,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        if gate not in get_args(Gate):
            raise ValueError(f"gate must be one of {list(get_args(Gate))}, got {gate!r}")
        self.fc_audio = nn.Linear(audio_dim, audio_dim)
        self.fc_video = nn.Linear(face_dim, face_dim)
        self.fc_text = nn.Linear(text_dim, text_dim)
        self.gal_av = GatedFeatureLayer(audio_dim, face_dim, gated_dim, gate)
        self.gal_vt = GatedFeatureLayer(face_dim, text_dim, gated_dim, gate)
        self.gal_ta = GatedFeatureLayer(text_dim, audio_dim, gated_dim, gate)
        self.fc_avt = nn.Linear(3 * gated_dim, gated_dim)
        self.classifier = nn.Linear(gated_dim, n_classes)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.fc_audio, self.fc_video, self.fc_text, self.fc_avt, self.classifier):
            nn.init.xavier_uniform_(layer.weight)
        self.standardise = standardise
        if standardise:
            for name, size in (("face", face_dim), ("audio", audio_dim), ("text", text_dim)):
                self.register_buffer(f"{name}_shift", torch.zeros(size))
                self.register_buffer(f"{name}_scale", torch.ones(size))

    def set_standardisation(self, modality: str, shift: Tensor, scale: Tensor) -> None:
        """Sets what is subtracted from, and then multiplied with, one modality's vector [D]."""
        getattr(self, f"{modality}_shift").copy_(shift)
        getattr(self, f"{modality}_scale").copy_(scale)

    def _prepared(self, modality: str, vector: Tensor) -> Tensor:
        if not self.standardise:
            return vector
        shift: Tensor = getattr(self, f"{modality}_shift")
        scale: Tensor = getattr(self, f"{modality}_scale")
        return (vector - shift) * scale

    def forward(self, face: Tensor, audio: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """Logits.

        Args:
            face: float [N, face_dim].
            audio: float [N, audio_dim].
            text: float [N, text_dim].
            mask: float [N, 3], 1 where face, audio, text is available, else 0. What an absent
                modality's vector holds (finite numbers) has no influence.

        Returns:
            float [N, n_classes].
        """
        has_v, has_a, has_t = mask[:, 0:1], mask[:, 1:2], mask[:, 2:3]
        a = self.dropout(self.fc_audio(self._prepared("audio", audio)))
        v = self.dropout(self.fc_video(self._prepared("face", face)))
        t = self.dropout(self.fc_text(self._prepared("text", text)))
        h_av = self.gal_av(a, v, has_a, has_v)
        h_vt = self.gal_vt(v, t, has_v, has_t)
        h_ta = self.gal_ta(t, a, has_t, has_a)
        h = torch.relu(torch.cat([h_av, h_vt, h_ta], dim=1))
        u = self.dropout(self.fc_avt(h))
        logits: Tensor = self.classifier(u)
        return logits


def probabilities(logits: Tensor, *, multi_label: bool = False) -> Tensor:
    """Softmax of logits [N, C], or where a row may carry several labels, each one's sigmoid.

    A label is there at a sigmoid of 0.5 or more.
    """
    return torch.sigmoid(logits) if multi_label else torch.softmax(logits, dim=-1)


def head_from_state(
    state: Mapping[str, Tensor],
    path: Path,
    *,
    gate: Gate = "softmax",
    dropout: float = 0.1,
) -> GatedAttentionFusion:
    """The head that a state_dict belongs to; its sizes are read from the tensors.

    Args:
        state: Name to tensor, published names.
        path: Where it came from, for messages.
        gate: Cannot be read from the tensors; published ones need "softmax".
        dropout: Probability in training.

    Returns:
        The head, in evaluation mode.

    Raises:
        SpecMismatch: It is another model's, or incomplete.
        ValueError: ``gate`` is neither of the two.
    """
    classes = require(state, "classifier.weight", WHAT, path)
    sizes = {
        name: int(require(state, f"fc_{name}.weight", WHAT, path).shape[0])
        for name in ("video", "audio", "text")
    }
    return fill_module(
        lambda: GatedAttentionFusion(
            sizes["video"],
            sizes["audio"],
            sizes["text"],
            int(classes.shape[1]),
            int(classes.shape[0]),
            dropout,
            gate,
            standardise="face_shift" in state,
        ),
        state,
        WHAT,
        path,
    )


def load_head(path: Path, *, gate: Gate = "softmax", dropout: float = 0.1) -> GatedAttentionFusion:
    """Reads a fusion checkpoint, published or saved here (see :func:`head_from_state`).

    Raises:
        WeightsMissing: There is no such file.
        SpecMismatch: It is no state_dict, or another model's.
    """
    return head_from_state(read_state(path), path, gate=gate, dropout=dropout)
