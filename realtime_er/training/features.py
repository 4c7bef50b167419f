"""One file of features per corpus: what the fusion reads of every clip, and with which encoders.

A file is a numpy archive (``.npz``, never pickled) with the columns ``ids``, ``splits``, ``labels``
(the corpus' own, "|" between several), ``speakers``, ``groups``, ``words``, the vectors ``video``,
``audio`` and ``text``, their ``mask``, and ``meta``, a JSON object that names the encoders.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from realtime_er.errors import CorpusError, SpecMismatch
from realtime_er.messages import MODALITIES, FloatArray
from realtime_er.training.corpora.layout import carve_validation
from realtime_er.training.corpora.manifest import SPLITS, ManifestRow

FORMAT = 1
VECTORS = {"face": "video", "audio": "audio", "text": "text"}
"""Modality to the column of its vectors."""
_TEXTS = ("ids", "splits", "labels", "speakers", "groups", "words")
_COLUMNS = (*_TEXTS, *VECTORS.values(), "mask", "meta")

Strings = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Features:
    """Features of one corpus, N clips.

    Attributes:
        corpus: its short name.
        ids: str [N], unique.
        splits: str [N], "train", "val" or "test".
        labels: str [N], the corpus' own labels, strongest first, "|" between several.
        speakers: str [N]; empty where unknown.
        groups: str [N], what must not be split between parts; empty where nothing is.
        words: str [N], what the text encoder read; empty where words are absent.
        video: float32 [N, 1024], mean and population spread over windows of faces.
        audio: float32 [N, 512], the same of sound.
        text: float32 [N, 768].
        mask: float32 [N, 3], 1 where face, audio, text is available. Vectors of absent modalities
            hold zeros, which nothing reads.
        meta: ``encoders`` (modality to id and sha256) and how the extraction was done.
    """

    corpus: str
    ids: Strings
    splits: Strings
    labels: Strings
    speakers: Strings
    groups: Strings
    words: Strings
    video: FloatArray
    audio: FloatArray
    text: FloatArray
    mask: FloatArray
    meta: dict[str, Any]

    def __len__(self) -> int:
        return len(self.ids)

    def vectors(self, modality: str) -> FloatArray:
        """The vectors of "face", "audio" or "text", float32 [N, D]."""
        found: FloatArray = getattr(self, VECTORS[modality])
        return found

    @property
    def encoders(self) -> dict[str, dict[str, str]]:
        """Modality to its encoder's ``id`` and ``sha256``; without those that were not run."""
        return dict(self.meta["encoders"])

    def take(self, rows: npt.NDArray[Any]) -> Features:
        """Some of the clips: indices, or a boolean for each."""
        chosen = {name: getattr(self, name)[rows] for name in (*_TEXTS, *VECTORS.values(), "mask")}
        return replace(self, **chosen)

    def manifest_rows(self) -> list[ManifestRow]:
        """The clips as rows of a manifest, as far as a label scheme or a split needs them."""
        return [
            ManifestRow(
                id=str(self.ids[row]),
                corpus=self.corpus,
                split=str(self.splits[row]),
                video=str(self.ids[row]),
                audio="",
                native=tuple(str(self.labels[row]).split("|")),
                speaker=str(self.speakers[row]),
                group=str(self.groups[row]),
            )
            for row in range(len(self))
        ]


def save_features(path: Path, features: Features) -> None:
    """Writes a file of features; it appears whole or not at all.

    Raises:
        CorpusError: the columns do not fit each other, an id stands twice, or a value that is
            marked as available is not finite.
    """
    check_features(features, str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {**features.meta, "format": FORMAT, "corpus": features.corpus}
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as stream:
        np.savez(
            stream,
            **{name: getattr(features, name) for name in _COLUMNS if name != "meta"},
            meta=np.array(json.dumps(meta)),
        )
    # Replaced in one step: a run that is killed leaves no half file under the final name.
    unfinished.replace(path)


def load_features(path: Path) -> Features:
    """Reads a file of features.

    Raises:
        CorpusError: it is missing, is no such file, or breaks the rules of ``save_features``.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such file of features; write it with: realtime-er extract")
    try:
        # Opened here: numpy leaves its own file open when an archive is damaged.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); extract it again") from error
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise CorpusError(f"{path}: not a file of features ({missing[0]} is missing)")
    try:
        meta = json.loads(str(columns.pop("meta")))
        version, corpus, encoders = int(meta["format"]), str(meta["corpus"]), meta["encoders"]
        for modality, encoder in encoders.items():
            if modality not in MODALITIES or not (encoder["id"] and encoder["sha256"]):
                raise ValueError(f"encoder of {modality!r}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorpusError(f"{path}: its meta is not understood ({error})") from error
    if version != FORMAT:
        raise CorpusError(f"{path}: format {version}, this program reads {FORMAT}; extract again")
    features = Features(corpus, meta=meta, **{name: columns[name] for name in _COLUMNS[:-1]})
    check_features(features, str(path))
    return features


def check_features(features: Features, where: str) -> None:
    """Refuses what cannot be used, by name.

    Raises:
        CorpusError: as for ``save_features``.
    """
    n = len(features.ids)
    for name in _TEXTS:
        column = getattr(features, name)
        if column.shape != (n,) or column.dtype.kind != "U":
            raise CorpusError(f"{where}: {name} must be text [{n}]: {column.dtype} {column.shape}")
    if features.mask.shape != (n, len(MODALITIES)) or not np.isin(features.mask, (0, 1)).all():
        raise CorpusError(f"{where}: mask must be 0 or 1, [{n}, {len(MODALITIES)}]")
    unknown = sorted(set(features.splits.tolist()) - set(SPLITS))
    if unknown:
        raise CorpusError(f"{where}: split {unknown[0]!r} is none of {', '.join(SPLITS)}")
    names, counts = np.unique(features.ids, return_counts=True)
    if (counts > 1).any():
        raise CorpusError(f"{where}: {names[counts > 1][0]} stands twice; extract it again")
    for place, modality in enumerate(MODALITIES):
        vectors = features.vectors(modality)
        if vectors.ndim != 2 or len(vectors) != n or vectors.dtype.kind != "f":
            raise CorpusError(f"{where}: {VECTORS[modality]} must be float [{n}, D]")
        broken = ~np.isfinite(vectors).all(axis=1) & (features.mask[:, place] > 0)
        if broken.any():
            raise CorpusError(
                f"{where}: {features.ids[broken][0]} has {modality} features that are not finite "
                f"({int(broken.sum())} clips have); extract it again"
            )


def joint_encoders(parts: Sequence[Features]) -> dict[str, dict[str, str]]:
    """The encoders that several corpora share.

    Raises:
        SpecMismatch: two were described by different encoders of one modality, so their vectors
            mean different things.
    """
    found: dict[str, dict[str, str]] = {}
    origin: dict[str, str] = {}
    for features in parts:
        for modality, encoder in features.encoders.items():
            known = found.setdefault(modality, encoder)
            origin.setdefault(modality, features.corpus)
            if known["sha256"] != encoder["sha256"]:
                raise SpecMismatch(
                    f"{origin[modality]} and {features.corpus} were described by different "
                    f"{modality} encoders ({known['id']} and {encoder['id']}); extract both with one"
                )
    return found


def with_test_part(features: Features, validation_share: float = 0.1) -> Features:
    """Makes a selection part where a corpus' "val" is also what is reported (AFEW).

    See ``carve_validation``; a corpus with a test part comes back as it is.
    """
    rows = carve_validation(features.manifest_rows(), validation_share)
    return replace(features, splits=np.array([row.split for row in rows], np.str_))
