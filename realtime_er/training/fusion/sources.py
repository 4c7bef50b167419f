"""What fusion learns from: vectors of single modalities from data that the encoders never saw.

No corpus here has face, voice and words of one person at one moment with seven labels. So each
modality brings its own labelled clips, cut into folds that share no image, speaker, dialogue or
comment, and triples are drawn by label across corpora (:func:`draw_triples`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from realtime_er.encoders.bundle import load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.errors import SpecMismatch
from realtime_er.fusion.head import statistics
from realtime_er.messages import LABELS, MODALITIES, FloatArray
from realtime_er.training.corpora.ferplus import read_ferplus
from realtime_er.training.speech.heldout import embed_heldout
from realtime_er.training.text.train import embed_dev

FOLDS = 4
SPEAKER_FOLDS = (
    ("ravdess-15", "ravdess-18"),
    ("ravdess-16", "ravdess-17"),
    ("ravdess-19", "emodb-14"),
    ("ravdess-20", "emodb-12"),
)
"""The speech encoder's held-out speakers, a woman and a man in each fold."""
FACE_VIEWS = 8
_CROP_S = (0.6, 4.0)
_SCORED_CROPS = 3


@dataclass(frozen=True)
class Source:
    """Vectors of one modality.

    Attributes:
        vectors: float32 [N, D], as the head reads them.
        labels: int64 [N], project order.
        clips: int64 [N]; rows of one image, recording or text share a number.
    """

    vectors: FloatArray
    labels: npt.NDArray[np.int64]
    clips: npt.NDArray[np.int64]

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Source:
        """Some of them."""
        return Source(self.vectors[chosen], self.labels[chosen], self.clips[chosen])


@dataclass(frozen=True)
class Folded:
    """A source cut into folds that share no image, speaker, dialogue or comment.

    Attributes:
        source: N rows.
        folds: int64 [N], 0 to ``FOLDS`` - 1.
        scored: bool [N], rows that figures are computed on; the others only teach.
    """

    source: Source
    folds: npt.NDArray[np.int64]
    scored: npt.NDArray[np.bool_]

    def without(self, fold: int) -> Source:
        """What teaches the head that is scored on this fold."""
        return self.source.rows(self.folds != fold)

    def of(self, fold: int) -> Source:
        """What that head is scored on."""
        return self.source.rows((self.folds == fold) & self.scored)


def _folds(
    groups: npt.NDArray[np.str_], labels: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int64]:
    """A fold for each row: groups stay whole; by its first row's label, each label is dealt out."""
    rng = np.random.default_rng(seed)
    first = {group: int(labels[row]) for row, group in reversed(list(enumerate(groups)))}
    fold_of: dict[str, int] = {}
    for label in range(len(LABELS)):
        members = sorted(group for group, own in first.items() if own == label)
        rng.shuffle(members)
        fold_of |= {group: place % FOLDS for place, group in enumerate(members)}
    return np.array([fold_of[group] for group in groups], np.int64)


def _view(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The face a moment later: the box moves a little, the light changes a little."""
    side = image.shape[0]
    scale = float(rng.uniform(0.94, 1.06))
    warp = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.uniform(-4.0, 4.0)), scale)
    warp = warp + np.pad(rng.uniform(-1.5, 1.5, (2, 1)), ((0, 0), (2, 0)))
    moved = cv2.warpAffine(image, warp, (side, side), borderMode=cv2.BORDER_REPLICATE)
    lit = moved.astype(np.float32) * rng.uniform(0.9, 1.1) + rng.normal(0.0, 2.0, moved.shape)
    return np.asarray(np.clip(lit, 0.0, 255.0), np.float32)


def face_source(data_dir: Path, folder: Path, seed: int) -> Folded:
    """FER+ valid faces with a majority label, as statistics over several views of one picture.

    A live head reads the mean and deviation over 1.5 s of one face. FER+ has single pictures, so
    that moment is imitated: ``FACE_VIEWS`` views, slightly moved, scaled, turned and lit. The
    true deviation (a face that moves) is larger and differently shaped; the card says so. Fewer
    views, for some one only with a deviation of zero, teach as well, and are not scored.
    """
    rng = np.random.default_rng(seed)
    faces = read_ferplus(data_dir, "valid")
    rows = np.flatnonzero(faces.agreed)
    labels = faces.leading()[rows]
    # FER+ repeats pictures: equal ones are one clip, in one fold.
    pictures = {faces.images[row].tobytes(): row for row in reversed(rows)}
    clips = np.array([pictures[faces.images[row].tobytes()] for row in rows], np.int64)
    folds = _folds(np.array([f"{clip:06d}" for clip in clips]), labels, seed)
    session = onnx_session(load_card(folder).path)
    vectors: list[FloatArray] = []
    places: list[int] = []
    scored: list[bool] = []
    for place, row in enumerate(rows):
        views = np.stack([_view(faces.images[row], rng) for _ in range(FACE_VIEWS)])
        embedding = session.run(["embedding"], {"image": views[:, None]})[0]
        counts = [FACE_VIEWS, int(rng.integers(2, FACE_VIEWS))] + [1] * (rng.random() < 1 / 3)
        vectors += [statistics(embedding[:count]) for count in counts]
        places += [place] * len(counts)
        scored += [count == FACE_VIEWS for count in counts]
    return Folded(
        Source(np.stack(vectors), labels[places], clips[places]),
        folds[places],
        np.array(scored),
    )


def audio_source(data_dir: Path, folder: Path, seed: int) -> Folded:
    """Clips of the speech encoder's held-out speakers: whole, and windows of 0.6 to 4 s.

    Raises:
        CorpusError: A corpus is absent.
        SpecMismatch: The speech model's card does not cover the clips, or holds out others.
    """
    heard = embed_heldout(data_dir, folder, crops=8, crop_s=_CROP_S, seed=seed)
    label_map = load_card(folder).label_map
    project = {own: LABELS.index(label) for label, owns in label_map.items() for own in owns}
    fold_of = {one: fold for fold, speakers in enumerate(SPEAKER_FOLDS) for one in speakers}
    try:
        labels = np.array([project[own] for own in heard["label"]], np.int64)
        folds = np.array([fold_of[str(one)] for one in heard["speaker"]], np.int64)
    except KeyError as error:
        raise SpecMismatch(f"{folder}: no label, or no fold of a speaker, for {error}") from error
    clips = np.unique(heard["ids"], return_inverse=True)[1].astype(np.int64)
    # Fewer windows where figures are computed: more would only repeat a clip.
    return Folded(Source(heard["statistics"], labels, clips), folds, heard["crop"] < _SCORED_CROPS)


def text_source(data_dir: Path, folder: Path, seed: int) -> Folded:
    """GoEmotions and MELD dev texts; a dialogue stays within one fold."""
    dev = embed_dev(data_dir, folder)
    numbers = np.arange(len(dev["labels"]), dtype=np.int64)
    source = Source(dev["embedding"], dev["labels"], numbers)
    return Folded(
        source, _folds(dev["group"], dev["labels"], seed), np.ones(len(numbers), np.bool_)
    )


def draw_triples(
    sources: Mapping[str, Source], count: int, rng: np.random.Generator
) -> tuple[dict[str, npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
    """Balanced, label-matched triples: one label, then one row of it from every modality.

    Returns:
        Modality to row numbers int64 [count], and labels int64 [count], equally often each.
    """
    labels = np.arange(count, dtype=np.int64) % len(LABELS)
    drawn: dict[str, npt.NDArray[np.int64]] = {}
    for modality in MODALITIES:
        rows = np.zeros(count, np.int64)
        for label in range(len(LABELS)):
            places = labels == label
            own = np.flatnonzero(sources[modality].labels == label)
            rows[places] = rng.choice(own, int(places.sum()))
        drawn[modality] = rows
    return drawn, labels


def read_sources(data_dir: Path, models_dir: Path, bundle: str, seed: int) -> dict[str, Folded]:
    """All three, by modality.

    Raises:
        CorpusError: A corpus is absent.
        WeightsMissing: An encoder is absent.
    """
    return {
        "face": face_source(data_dir, models_dir / f"{bundle}-face", seed),
        "audio": audio_source(data_dir, models_dir / f"{bundle}-speech", seed),
        "text": text_source(data_dir, models_dir / f"{bundle}-text", seed),
    }
