"""Features to what the fusion is trained and scored on: parts of corpora with classes of a scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from realtime_er.errors import CorpusError
from realtime_er.messages import MODALITIES, FloatArray
from realtime_er.training.corpora.label_schemes import LabelScheme, apply_scheme
from realtime_er.training.features import Features, joint_encoders

Targets = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """Clips ready for the head, N of them, from one corpus or several.

    Attributes:
        vectors: modality to float32 [N, D].
        mask: float32 [N, 3], 1 where face, audio, text is available.
        targets: float32 [N, C], 1 for each class of a clip; exactly one unless several may be.
        ids: str [N].
        corpora: str [N].
        groups: str [N], what is redrawn as a whole for intervals: speaker, else dialogue, else clip.
        left_out: own label to how many clips the scheme left out.
    """

    vectors: dict[str, FloatArray]
    mask: FloatArray
    targets: Targets
    ids: npt.NDArray[np.str_]
    corpora: npt.NDArray[np.str_]
    groups: npt.NDArray[np.str_]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> npt.NDArray[np.int64]:
        """int64 [N], the class of each clip where each has exactly one."""
        chosen: npt.NDArray[np.int64] = self.targets.argmax(axis=1)
        return chosen

    def sizes(self) -> dict[str, int]:
        """Modality to the length of its vectors."""
        return {name: int(values.shape[1]) for name, values in self.vectors.items()}

    def with_modalities(self, kept: Sequence[str]) -> Material:
        """The same clips with the other modalities absent; clips left with nothing are dropped."""
        columns = np.array([float(name in kept) for name in MODALITIES], np.float32)
        mask = self.mask * columns
        return self._of(self.vectors, mask).take(mask.sum(axis=1) > 0)

    def with_zeros(self, modality: str) -> Material:
        """The same clips with one modality's vectors zero but not absent, as published ("S1")."""
        vectors = {**self.vectors, modality: np.zeros_like(self.vectors[modality])}
        return self._of(vectors, self.mask)

    def with_sizes(self, sizes: Mapping[str, int]) -> Material:
        """The same clips with vectors of these lengths, where a modality is absent here.

        Raises:
            CorpusError: a modality that is here has another length.
        """
        vectors = dict(self.vectors)
        for column, name in enumerate(MODALITIES):
            size = sizes[name]
            if vectors[name].shape[1] == size:
                continue
            if self.mask[:, column].any():
                raise CorpusError(
                    f"{name} vectors of {vectors[name].shape[1]}, not {size} numbers; "
                    "extract all corpora with the same encoders"
                )
            vectors[name] = np.zeros((len(self), size), np.float32)
        return self._of(vectors, self.mask)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Material:
        """Some of the clips."""
        return Material(
            {name: values[rows] for name, values in self.vectors.items()},
            self.mask[rows],
            self.targets[rows],
            self.ids[rows],
            self.corpora[rows],
            self.groups[rows],
            self.left_out,
        )

    def _of(self, vectors: dict[str, FloatArray], mask: FloatArray) -> Material:
        return Material(
            vectors, mask, self.targets, self.ids, self.corpora, self.groups, self.left_out
        )


def gather(
    parts: Sequence[Features],
    scheme: LabelScheme,
    split: str,
    modalities: Sequence[str] = MODALITIES,
) -> Material:
    """One part of one or more corpora, labelled.

    Args:
        parts: features, all of the same encoders.
        scheme: classes and maps.
        split: "train", "val" or "test".
        modalities: those that are read; the others count as absent.

    Raises:
        CorpusError: a label is not in the map, or nothing is left.
        SpecMismatch: the corpora were described by different encoders.
    """
    joint_encoders(parts)
    # A modality that no corpus has keeps one number, always absent: layers of size 0 do not exist.
    sizes = {name: max(1, *(part.vectors(name).shape[1] for part in parts)) for name in MODALITIES}
    found = [_labelled(part, scheme, split, sizes) for part in parts]
    joined = Material(
        {name: np.concatenate([one.vectors[name] for one in found]) for name in MODALITIES},
        np.concatenate([one.mask for one in found]),
        np.concatenate([one.targets for one in found]),
        np.concatenate([one.ids for one in found]),
        np.concatenate([one.corpora for one in found]),
        np.concatenate([one.groups for one in found]),
        {label: count for one in found for label, count in one.left_out.items()},
    ).with_modalities(modalities)
    if len(joined) == 0:
        names = ", ".join(part.corpus for part in parts)
        raise CorpusError(
            f"{names}: no clip of part {split!r} is left with the labels {scheme.name} and the "
            f"modalities {', '.join(modalities)}"
        )
    return joined


def _labelled(
    features: Features, scheme: LabelScheme, split: str, sizes: dict[str, int]
) -> Material:
    chosen = features.take(np.flatnonzero(features.splits == split))
    labelled = apply_scheme(scheme, chosen.manifest_rows())
    place = {name: index for index, name in enumerate(chosen.ids.tolist())}
    rows = np.array([place[row.id] for row in labelled.rows], np.intp)
    targets = np.zeros((len(rows), len(scheme.classes)), np.float32)
    for index, own in enumerate(labelled.classes):
        targets[index, list(own)] = 1.0
    kept = chosen.take(rows)
    vectors = {}
    for name in MODALITIES:
        values = kept.vectors(name).astype(np.float32)
        if values.shape[1] not in (0, sizes[name]):
            raise CorpusError(
                f"{features.corpus}: {name} vectors of {values.shape[1]}, not {sizes[name]} numbers"
            )
        # A corpus without a modality has no columns for it; the mask says that it is absent.
        padded = values if values.shape[1] else np.zeros((len(rows), sizes[name]), np.float32)
        vectors[name] = np.where(np.isfinite(padded), padded, np.float32(0.0))
    named = np.where(kept.speakers != "", kept.speakers, kept.groups)
    named = np.where(named != "", named, kept.ids)
    return Material(
        vectors,
        kept.mask.astype(np.float32),
        targets,
        kept.ids,
        np.full(len(rows), features.corpus),
        np.array([f"{features.corpus}/{name}" for name in named.tolist()], np.str_),
        labelled.left_out,
    )
