"""Encoders cut into blocks, so that a fusion can work between their layers.

An encoder is a row of named pieces, its layers and what lies between them. A cut turns the row
into a list of ``nn.Sequential``; the published networks are stored in this form, so that a piece's
place is its name in a checkpoint: ``video_model_blocks.1.0`` is the first piece after the first cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Cuts:
    """Where an encoder is cut.

    Attributes:
        before: Pieces that begin a new block, in their order.
        head: Whether the last piece, the classifier, is kept.
    """

    before: tuple[str, ...] = ()
    head: bool = True


def cut_names(names: Sequence[str], cuts: Cuts) -> list[list[str]]:
    """Names of the pieces of each block.

    Raises:
        ValueError: A cut names no piece, or the cuts are out of order.
    """
    kept = list(names) if cuts.head else list(names[:-1])
    starts = [kept.index(name) for name in cuts.before]
    if starts != sorted(set(starts)):
        raise ValueError(f"cuts out of order: {list(cuts.before)}")
    bounds = [0, *starts, len(kept)]
    return [kept[first:last] for first, last in itertools.pairwise(bounds)]


def cut_pieces(pieces: Mapping[str, nn.Module], cuts: Cuts) -> nn.ModuleList:
    """The blocks: one ``nn.Sequential`` for each, made of the very modules given."""
    return nn.ModuleList(
        nn.Sequential(*(pieces[name] for name in block)) for block in cut_names(list(pieces), cuts)
    )


def block_prefixes(names: Sequence[str], cuts: Cuts, prefix: str) -> dict[str, str]:
    """Piece to its name in a cut network: "layer4" to "video_model_blocks.1.0", for instance."""
    return {
        name: f"{prefix}.{b}.{place}"
        for b, block in enumerate(cut_names(names, cuts))
        for place, name in enumerate(block)
    }
