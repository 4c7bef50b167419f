"""What belongs together: a model's weights and its card, and the models of a bundle.

A model is a folder with ``card.json`` and the files it names. The card says what goes in, what
comes out, what it was trained on, under which licence, and how well it does; loading checks the
weights against the card's hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realtime_er.encoders.model_files import file_of_card
from realtime_er.errors import SpecMismatch, WeightsMissing
from realtime_er.messages import LABELS, FloatArray
from realtime_er.resources import resource_dir

KINDS = ("detector", "face", "speech", "text", "fusion")
_PARTS = ("head", "tokenizer")
"""Entries of a card that name one more file, each with its hash."""
_MAX_BYTES = 4_000_000


@dataclass(frozen=True)
class Card:
    """A model card that has been checked. ``raw`` is the whole JSON object."""

    folder: Path
    id: str
    kind: str
    file: str
    sha256: str
    licence: str
    labels: tuple[str, ...]
    label_map: dict[str, list[str]]
    embedding_dim: int
    raw: dict[str, Any]

    @property
    def path(self) -> Path:
        """The weights."""
        return file_of_card(self.folder, self.file)

    @property
    def files(self) -> tuple[tuple[Path, str], ...]:
        """Every file that the card describes and the sha256 it names, the weights first."""
        more = [
            (self.part_path(part), str(self.raw[part].get("sha256")))
            for part in _PARTS
            if self.raw.get(part)
        ]
        return ((self.path, self.sha256), *more)

    def part_path(self, part: str) -> Path:
        """Another file that belongs to the model, "tokenizer" for instance.

        Raises:
            SpecMismatch: the card does not name it, or names one outside its folder.
        """
        entry = self.raw.get(part)
        if not isinstance(entry, dict) or "file" not in entry:
            raise SpecMismatch(f"{self.folder / 'card.json'}: lacks {part}.file")
        return file_of_card(self.folder, entry["file"])

    def to_project_labels(self, probabilities: FloatArray) -> FloatArray:
        """Sum the model's own classes into the seven columns.

        Args:
            probabilities: float32 (..., len(labels)), in the model's own order.

        Returns:
            float32 (..., 7); NaN in the columns that the model lacks.
        """
        columns = []
        for name in LABELS:
            own = [self.labels.index(label) for label in self.label_map.get(name, [])]
            columns.append(
                probabilities[..., own].sum(axis=-1)
                if own
                else np.full(probabilities.shape[:-1], np.nan, np.float32)
            )
        return np.stack(columns, axis=-1).astype(np.float32)


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_card(folder: Path, card: Mapping[str, Any]) -> Card:
    """Write ``card.json`` beside the weights, with their hashes filled in, and load it back."""
    filled = dict(card)
    filled["sha256"] = sha256_of(folder / filled["file"])
    for part in _PARTS:
        entry = filled.get(part)
        if entry:
            filled[part] = {**entry, "sha256": sha256_of(folder / entry["file"])}
    text = json.dumps(filled, indent=2, ensure_ascii=False) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8")
    return load_card(folder)


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not a text")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("labels are not a list of names")
    return tuple(values)


def load_card(folder: Path, *, verify: bool = True) -> Card:
    """Read a model's card and check it against its files.

    Raises:
        WeightsMissing: no card, or no weights.
        SpecMismatch: the card is incomplete, names files outside its folder, or the weights are not
            the ones it describes.
    """
    path = folder / "card.json"
    if not path.is_file():
        raise WeightsMissing(
            f"{folder}: no card.json; reinstall realtime_er, or train it (realtime-er train)"
        )
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SpecMismatch(f"{path}: not a model card: too large for one")
        raw = json.loads(path.read_text(encoding="utf-8"))
        card = Card(
            folder=folder,
            **{name: _text(raw, name) for name in ("id", "kind", "file", "sha256", "licence")},
            labels=_texts(raw["labels"]),
            label_map={name: list(_texts(own)) for name, own in raw.get("label_map", {}).items()},
            embedding_dim=int(raw.get("embedding_dim", 0)),
            raw=raw,
        )
    except OSError as error:
        raise SpecMismatch(f"{path}: cannot be read: {error.strerror}") from error
    except (
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise SpecMismatch(f"{path}: not a model card: {type(error).__name__} {error}") from error
    unknown = {own for owns in card.label_map.values() for own in owns} - set(card.labels)
    if unknown:
        raise SpecMismatch(f"{path}: label_map names unknown labels {sorted(unknown)}")
    if verify:
        for file, expected in card.files:
            if not file.is_file():
                raise WeightsMissing(f"{file}: missing; reinstall realtime_er")
            if sha256_of(file) != expected:
                raise SpecMismatch(f"{file}: not the file its card describes (sha256)")
    return card


def bundle_dir(bundle: str, kind: str, directory: str = "") -> Path:
    """Folder of one model of a bundle, "compact-face" for instance.

    The face detector is the package's own in every bundle.
    """
    if kind == "detector":
        return resource_dir("assets") / "models" / "compact-detector"
    root = Path(directory) if directory else resource_dir("assets") / "models"
    return root / f"{bundle}-{kind}"
