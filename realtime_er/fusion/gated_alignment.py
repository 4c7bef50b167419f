"""AVEL and MEM beside the gated head, on vectors of up to three modalities.

Two modalities, [B, D] each, or the gated head's projections:

    losses = PairAlignment(dim, dim)(audio, face, labels)
    losses = GatedAlignment(head)(face, audio, text, mask, labels)
    loss = cross_entropy + losses.avel + 0.1 * losses.mem
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from realtime_er.fusion.alignment import (
    INITIAL_TEMPERATURE,
    AlignmentLosses,
    Positives,
    Projection,
    Temperature,
    contrast,
    draw_negatives,
    matching_loss,
    similarities,
)
from realtime_er.fusion.gated import GatedAttentionFusion
from realtime_er.messages import MODALITIES


class PairAlignment(nn.Module):
    """AVEL and MEM between two modalities that are one vector each, beside any fusion head.

    A matcher reads both projections and their product, because it has no fused sequence to read
    as Foal-Net's has.

    Args:
        first_dim: length of the first modality's vectors.
        second_dim: of the second's.
        shared_dim: of the common space.
        positives: see ``Positives``.
        temperature: see ``Temperature``.
        dropout: of the projections.
    """

    def __init__(
        self,
        first_dim: int,
        second_dim: int,
        shared_dim: int = 128,
        *,
        positives: Positives = "mean",
        temperature: Temperature = "clip",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.first_project = Projection(first_dim, shared_dim, dropout)
        self.second_project = Projection(second_dim, shared_dim, dropout)
        self.matcher = nn.Linear(3 * shared_dim, 2)
        self.temp = nn.Parameter(torch.tensor(INITIAL_TEMPERATURE))
        self._positives: Positives = positives
        self._temperature: Temperature = temperature

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
    ) -> AlignmentLosses:
        """Both losses over the clips that have both modalities.

        Args:
            first: float [B, D1].
            second: float [B, D2].
            labels: int64 [B].
            generator: on the CPU; what the draw of negatives depends on.
        """
        one, other = self.first_project(first), self.second_project(second)
        similarity = similarities(one, other, self.temp, self._temperature)
        avel = 0.5 * (
            contrast(similarity, labels, labels, self._positives)
            + contrast(similarity.T, labels, labels, self._positives)
        )
        rows, columns = draw_negatives(similarity, labels, labels, generator)
        back_rows, back_columns = draw_negatives(similarity.T, labels, labels, generator)
        negative = torch.cat(
            [
                self._match(one[rows], other[columns]),
                self._match(one[back_columns], other[back_rows]),
            ]
        )
        return AlignmentLosses(avel, matching_loss(self._match(one, other), negative))

    def _match(self, one: Tensor, other: Tensor) -> Tensor:
        logits: Tensor = self.matcher(torch.cat([one, other, one * other], dim=1))
        return logits


class VectorAlignment(nn.Module):
    """AVEL and MEM between all pairs of modalities, each over the clips that have both.

    Args:
        sizes: length of each modality's vectors, by name.
        shared_dim: of the common spaces.
        positives: see ``Positives``.
        temperature: see ``Temperature``.
        dropout: of the projections.

    Raises:
        ValueError: fewer than two modalities, or an unknown one.
    """

    def __init__(
        self,
        sizes: dict[str, int],
        shared_dim: int = 128,
        *,
        positives: Positives = "mean",
        temperature: Temperature = "clip",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        names = [name for name in MODALITIES if name in sizes]
        if len(names) < 2 or len(names) != len(sizes):
            raise ValueError(f"need two or three of {list(MODALITIES)}, got {list(sizes)}")
        self._pairs = list(combinations(names, 2))
        self.pairs = nn.ModuleDict(
            {
                f"{one}_{other}": PairAlignment(
                    sizes[one], sizes[other], shared_dim,
                    positives=positives, temperature=temperature, dropout=dropout,
                )
                for one, other in self._pairs
            }
        )  # fmt: skip

    def forward(
        self,
        vectors: dict[str, Tensor],
        mask: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
    ) -> AlignmentLosses:
        """Mean of both losses over the pairs of modalities that some clip has.

        Args:
            vectors: modality to float [B, D]; what absent ones hold (finite) has no influence.
            mask: float or bool [B, 3], above 0 where face, audio, text is available.
            labels: int64 [B].
            generator: on the CPU; what the draw of negatives depends on.
        """
        there = mask > 0
        found = []
        for one, other in self._pairs:
            rows = (there[:, MODALITIES.index(one)] & there[:, MODALITIES.index(other)]).nonzero()
            chosen = rows[:, 0]
            if len(chosen):
                pair = self.pairs[f"{one}_{other}"]
                found.append(
                    pair(vectors[one][chosen], vectors[other][chosen], labels[chosen], generator)
                )
        if not found:
            nothing = next(iter(vectors.values())).sum() * 0.0
            return AlignmentLosses(nothing, nothing)
        return AlignmentLosses(
            torch.stack([loss.avel for loss in found]).mean(),
            torch.stack([loss.mem for loss in found]).mean(),
        )


class GatedAlignment(nn.Module):
    """The losses on what the gated head mixes: its own projections of the three modalities.

    The head is not a part of this module, so that its weights are saved without it; gradients
    reach its projections.

    Args:
        head: the head that is trained.
        shared_dim: of the common spaces.
        positives: see ``Positives``.
        temperature: see ``Temperature``.
        dropout: of the projections to the common spaces.
    """

    def __init__(
        self,
        head: GatedAttentionFusion,
        shared_dim: int = 128,
        *,
        positives: Positives = "mean",
        temperature: Temperature = "clip",
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self._head = (head,)  # in a tuple: no submodule
        layers = (head.fc_video, head.fc_audio, head.fc_text)
        sizes = {name: one.out_features for name, one in zip(MODALITIES, layers, strict=True)}
        self.alignment = VectorAlignment(
            sizes, shared_dim, positives=positives, temperature=temperature, dropout=dropout
        )

    def forward(
        self,
        face: Tensor,
        audio: Tensor,
        text: Tensor,
        mask: Tensor,
        labels: Tensor,
        generator: torch.Generator | None = None,
    ) -> AlignmentLosses:
        """Both losses of a batch.

        Args:
            face: float [B, face_dim], what the head reads.
            audio: float [B, audio_dim].
            text: float [B, text_dim].
            mask: float [B, 3], 1 where face, audio, text is available.
            labels: int64 [B].
            generator: on the CPU; what the draw of negatives depends on.
        """
        (head,) = self._head
        layers = (head.fc_video, head.fc_audio, head.fc_text)
        vectors = {}
        for name, layer, given in zip(MODALITIES, layers, (face, audio, text), strict=True):
            own = given
            if head.standardise:
                own = (given - getattr(head, f"{name}_shift")) * getattr(head, f"{name}_scale")
            vectors[name] = layer(own)
        found: AlignmentLosses = self.alignment(vectors, mask, labels, generator)
        return found
