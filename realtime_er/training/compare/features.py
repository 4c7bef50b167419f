"""The compact features that heads are compared on: one cache, one division into folds.

Clips are those that the shipped encoders never saw (FER+ valid, held-out speakers of RAVDESS and
EMO-DB, GoEmotions and MELD dev). Steps over time are kept, so that heads on statistics and heads on
sequences read the same evidence.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from realtime_er.encoders.audio import StreamingAudioEncoder
from realtime_er.encoders.bundle import Card, load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import ConfigError, CorpusError, SpecMismatch
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.corpora.emodb import read_emodb
from realtime_er.training.corpora.ferplus import read_ferplus
from realtime_er.training.corpora.ravdess import read_ravdess
from realtime_er.training.fusion.sources import FACE_VIEWS, _view
from realtime_er.training.text.train import embed_dev

AUDIO_STEPS = 50
"""4 s in steps of 80 ms; a longer clip is read from its end, as a live window is."""
_CROPS = 4
_CROP_S = (0.6, 4.0)
_FORMAT = 2
_KINDS = {"face": "face", "audio": "speech", "text": "text"}


@dataclass(frozen=True)
class Steps:
    """Clips of one modality.

    Attributes:
        values: float32 [N, T, D], rows padded with zeros at their end.
        lengths: int64 [N], steps that are there, at least one.
        labels: int64 [N], project order.
        clips: int64 [N]; rows of one picture, recording or text share a number.
        groups: str [N], what must not stand in two parts (picture, speaker, dialogue).
    """

    values: FloatArray
    lengths: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    clips: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.int64]) -> Steps:
        """Some of the rows."""
        return Steps(
            self.values[rows],
            self.lengths[rows],
            self.labels[rows],
            self.clips[rows],
            self.groups[rows],
        )

    def statistics(self) -> FloatArray:
        """Mean and population deviation over the steps that are there, float32 [N, 2 D]."""
        counts = self.lengths[:, None]
        mean = self.values.sum(axis=1, dtype=np.float64) / counts
        there = np.arange(self.values.shape[1]) < counts
        away = np.where(there[..., None], self.values - mean[:, None], 0.0)
        deviation = np.sqrt((away**2).sum(axis=1) / counts)
        return np.concatenate([mean, deviation], axis=1).astype(np.float32)


Corpus = dict[str, Steps]
"""Modality to its clips."""


def read_compact(
    data_dir: Path,
    models_dir: Path,
    cache_dir: Path,
    *,
    seed: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Corpus:
    """Every modality's clips, from the cache where the same models described them before.

    Args:
        data_dir: folder that holds the corpora.
        models_dir: folder that holds ``compact-face``, ``compact-speech``, ``compact-text``.
        cache_dir: receives ``compact-features-HASH.npz``; made if it is not there.
        seed: of views and windows.
        say: told what is being done.

    Raises:
        CorpusError: a corpus is absent.
        ModelError: an encoder is absent or broken.
    """
    cards = {name: load_card(models_dir / f"compact-{_KINDS[name]}") for name in MODALITIES}
    told = f"{_FORMAT} {seed} {data_dir.resolve()} {[card.sha256 for card in cards.values()]}"
    name = hashlib.sha256(told.encode()).hexdigest()[:12]
    path = cache_dir / f"compact-features-{name}.npz"
    if path.is_file():
        found = _load(path)
        if found is not None:
            say(f"features: {path}")
            return found
        say(f"features: {path} is damaged, made anew")
    corpus = {}
    for modality, read in (("face", _faces), ("audio", _voices), ("text", _texts)):
        say(f"features: {modality}")
        corpus[modality] = read(data_dir, cards[modality], seed)
    _save(path, corpus)
    return corpus


def fold_rows(
    corpus: Corpus, folds: int, fold: int, seed: int = 1
) -> dict[str, dict[str, npt.NDArray[np.int64]]]:
    """Rows of the training, validation and test part of one fold.

    Groups stay whole. Fold k tests; k + 1 chooses the epoch and calibrates; the others train.

    Args:
        corpus: every modality's clips.
        folds: how many, at least 3.
        fold: from 0.
        seed: of the division of pictures and texts; speakers are dealt out in order.

    Returns:
        "train", "val", "test" to modality to int64 rows.

    Raises:
        ConfigError: fewer than three folds, or more than there are speakers.
        CorpusError: a part lacks a label of some modality.
    """
    speakers = len(np.unique(corpus["audio"].groups))
    if not 3 <= folds <= speakers:
        raise ConfigError(f"--folds {folds}: from 3 (test, validation, training) to {speakers}")
    parts: dict[str, dict[str, npt.NDArray[np.int64]]] = {"train": {}, "val": {}, "test": {}}
    for modality, steps in corpus.items():
        own = _fold_of(steps, folds, None if modality == "audio" else seed)
        for part, wanted in (("test", own == fold), ("val", own == (fold + 1) % folds)):
            parts[part][modality] = np.flatnonzero(wanted)
        rest = (own != fold) & (own != (fold + 1) % folds)
        parts["train"][modality] = np.flatnonzero(rest)
        for part, rows in parts.items():
            lacking = set(range(len(LABELS))) - set(steps.labels[rows[modality]].tolist())
            if lacking:
                raise CorpusError(
                    f"fold {fold + 1} of {folds}: the {part} part has no {modality} of "
                    f"{LABELS[min(lacking)]}; use fewer folds, or more of the corpora"
                )
    return parts


def _fold_of(steps: Steps, folds: int, seed: int | None) -> npt.NDArray[np.int64]:
    """Each row's fold; with a seed, groups are shuffled and dealt out label by label."""
    names, first, inverse = np.unique(steps.groups, return_index=True, return_inverse=True)
    fold_of = np.arange(len(names)) % folds
    if seed is not None:
        rng = np.random.default_rng(seed)
        labels = steps.labels[first]
        dealt = 0
        for label in range(len(LABELS)):
            members = rng.permutation(np.flatnonzero(labels == label))
            # Dealing goes on where the last label stopped, so that folds are equally large.
            fold_of[members] = (dealt + np.arange(len(members))) % folds
            dealt += len(members)
    return np.asarray(fold_of[inverse], np.int64)


def _faces(data_dir: Path, card: Card, seed: int) -> Steps:
    """FER+ valid faces with a majority label, several views of each (``fusion/sources.py``)."""
    rng = np.random.default_rng(seed)
    faces = read_ferplus(data_dir, "valid")
    rows = np.flatnonzero(faces.agreed)
    session = onnx_session(card.path)
    values = np.zeros((len(rows), FACE_VIEWS, card.embedding_dim), np.float32)
    for place, row in enumerate(rows):
        views = np.stack([_view(faces.images[row], rng) for _ in range(FACE_VIEWS)])
        values[place] = session.run(["embedding"], {"image": views[:, None]})[0]
    # A quarter has one view, some have a few: a live window does not always hold eight faces.
    lengths = rng.choice([1, 3, 5, 8, 8, 8], len(rows)).astype(np.int64)
    values[np.arange(FACE_VIEWS) >= lengths[:, None]] = 0.0
    # FER+ repeats pictures: equal ones must stand in one part.
    pictures = np.array([hashlib.sha256(faces.images[row]).hexdigest()[:16] for row in rows])
    clips = np.unique(pictures, return_inverse=True)[1].astype(np.int64)
    return Steps(values, lengths, faces.leading()[rows], clips, pictures)


def _voices(data_dir: Path, card: Card, seed: int) -> Steps:
    """The speech encoder's held-out speakers: whole clips and windows, context kept."""
    encoder = StreamingAudioEncoder(card)
    apart = set(card.raw.get("training", {}).get("held_out_speakers", ()))
    clips = [one for one in read_ravdess(data_dir) + read_emodb(data_dir) if one.speaker in apart]
    if not clips:
        raise SpecMismatch(f"{card.folder}: its held_out_speakers match no clip of {data_dir}")
    project = {own: LABELS.index(name) for name, owns in card.label_map.items() for own in owns}
    rng = np.random.default_rng(seed)
    step_s = encoder.step_samples / encoder.sample_rate_hz
    pieces: list[FloatArray] = []
    owners: list[int] = []
    for number, clip in enumerate(clips):
        encoder.reset()
        steps = np.stack([embedding for _, embedding in encoder.push(0, clip.samples())])
        windows = [(max(0, len(steps) - AUDIO_STEPS), len(steps))]
        for _ in range(_CROPS):
            length = min(max(1, round(float(rng.uniform(*_CROP_S)) / step_s)), len(steps))
            start = int(rng.integers(0, len(steps) - length + 1))
            windows.append((start, start + length))
        pieces += [steps[start:end] for start, end in windows]
        owners += [number] * len(windows)
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    values = np.zeros((len(pieces), AUDIO_STEPS, encoder.dim), np.float32)
    for place, piece in enumerate(pieces):
        values[place, : len(piece)] = piece
    try:
        labels = np.array([project[clips[owner].label] for owner in owners], np.int64)
    except KeyError as error:
        raise SpecMismatch(f"{card.folder}: label_map has no {error}") from error
    speakers = np.array([clips[owner].speaker for owner in owners])
    return Steps(values, lengths, labels, np.array(owners, np.int64), speakers)


def _texts(data_dir: Path, card: Card, _seed: int) -> Steps:
    dev = embed_dev(data_dir, card.folder)
    count = len(dev["labels"])
    return Steps(
        dev["embedding"][:, None].astype(np.float32),
        np.ones(count, np.int64),
        dev["labels"],
        np.arange(count, dtype=np.int64),
        dev["group"],
    )


def _save(path: Path, corpus: Corpus) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        f"{modality}_{name}": getattr(steps, name)
        for modality, steps in corpus.items()
        for name in Steps.__dataclass_fields__
    }
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as stream:
        np.savez_compressed(stream, **columns)
    # Replaced in one step: a run that is killed leaves no half file under the final name.
    unfinished.replace(path)


def _load(path: Path) -> Corpus | None:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {
                modality: Steps(
                    **{name: archive[f"{modality}_{name}"] for name in Steps.__dataclass_fields__}
                )
                for modality in MODALITIES
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
