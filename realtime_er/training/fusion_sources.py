"""What fusion learns from: vectors of single modalities from data that the encoders never saw.

No corpus here has face, voice and words of one person at one moment with seven labels. So each
modality brings its own labelled clips, cut into parts that share no image, speaker, dialogue or
comment, and triples are drawn by label across corpora (:func:`draw_triples`).
"""

from __future__ import annotations

from collections.abc import Sequence
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
from realtime_er.training.speech_heldout import embed_heldout
from realtime_er.training.text import embed_dev

PARTS = ("train", "calibration", "test")
CALIBRATION_SPEAKERS = ("ravdess-18", "emodb-14")
TEST_SPEAKERS = ("ravdess-19", "ravdess-20")
FACE_VIEWS = 8
_SHARES = (0.5, 0.2, 0.3)
_CROP_S = (0.6, 4.0)


@dataclass(frozen=True)
class Source:
    """Vectors of one modality in one part.

    Attributes:
        vectors: float32 [N, D], as the head reads them.
        labels: int64 [N], project order.
        clips: int64 [N]; rows of one image, recording or text share a number.
    """

    vectors: FloatArray
    labels: npt.NDArray[np.int64]
    clips: npt.NDArray[np.int64]

    def resampled(self, rng: np.random.Generator) -> Source:
        """Clips drawn with replacement within each label, for bootstrap intervals."""
        rows: list[npt.NDArray[np.int64]] = []
        for label in np.unique(self.labels):
            clips = np.unique(self.clips[self.labels == label])
            rows += [
                np.flatnonzero((self.clips == clip) & (self.labels == label))
                for clip in rng.choice(clips, len(clips))
            ]
        chosen = np.concatenate(rows)
        return Source(self.vectors[chosen], self.labels[chosen], self.clips[chosen])


Sources = dict[str, dict[str, Source]]
"""Part to modality to source."""


def _parts(groups: npt.NDArray[np.str_], labels: npt.NDArray[np.int64], seed: int) -> list[str]:
    """A part for each row: groups stay whole; by its first row's label, each label is shared out."""
    rng = np.random.default_rng(seed)
    first = {group: int(labels[row]) for row, group in reversed(list(enumerate(groups)))}
    part_of: dict[str, str] = {}
    for label in range(len(LABELS)):
        members = sorted(group for group, own in first.items() if own == label)
        rng.shuffle(members)
        edges = np.round(np.cumsum(_SHARES) * len(members)).astype(int)
        for place, group in enumerate(members):
            part_of[group] = PARTS[int(np.searchsorted(edges, place, side="right"))]
    return [part_of[group] for group in groups]


def _view(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The face a moment later: the box moves a little, the light changes a little."""
    side = image.shape[0]
    scale = float(rng.uniform(0.94, 1.06))
    warp = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.uniform(-4.0, 4.0)), scale)
    warp = warp + np.pad(rng.uniform(-1.5, 1.5, (2, 1)), ((0, 0), (2, 0)))
    moved = cv2.warpAffine(image, warp, (side, side), borderMode=cv2.BORDER_REPLICATE)
    lit = moved.astype(np.float32) * rng.uniform(0.9, 1.1) + rng.normal(0.0, 2.0, moved.shape)
    return np.asarray(np.clip(lit, 0.0, 255.0), np.float32)


def face_sources(data_dir: Path, folder: Path, seed: int) -> dict[str, Source]:
    """FER+ valid faces with a majority label, as statistics over several views of one picture.

    A live head reads the mean and deviation over 1.5 s of one face. FER+ has single pictures, so
    that moment is imitated: ``FACE_VIEWS`` views, slightly moved, scaled, turned and lit. The
    true deviation (a face that moves) is larger and differently shaped; the card says so. A
    quarter of the training rows has one view only, and a deviation of zero.
    """
    rng = np.random.default_rng(seed)
    faces = read_ferplus(data_dir, "valid")
    rows = np.flatnonzero(faces.agreed)
    labels = faces.leading()[rows]
    session = onnx_session(load_card(folder).path)
    parts = _parts(np.array([f"{row:06d}" for row in rows]), labels, seed)
    found: dict[str, list[tuple[FloatArray, int, int]]] = {part: [] for part in PARTS}
    for row, label, part in zip(rows, labels, parts, strict=True):
        views = np.stack([_view(faces.images[row], rng) for _ in range(FACE_VIEWS)])
        embedding = session.run(["embedding"], {"image": views[:, None]})[0]
        found[part].append((statistics(embedding), int(label), int(row)))
        if part == "train":
            if rng.random() < 1 / 3:
                found[part].append((statistics(embedding[:1]), int(label), int(row)))
            few = int(rng.integers(2, FACE_VIEWS))
            found[part].append((statistics(embedding[:few]), int(label), int(row)))
    return {part: _source(rows) for part, rows in found.items()}


def audio_sources(data_dir: Path, folder: Path, seed: int) -> dict[str, Source]:
    """Clips of the speech encoder's held-out speakers: whole, and windows of 0.6 to 4 s.

    Raises:
        CorpusError: A corpus is absent.
        SpecMismatch: The speech model's card does not cover the clips.
    """
    heard = embed_heldout(data_dir, folder, crops=8, crop_s=_CROP_S, seed=seed)
    label_map = load_card(folder).label_map
    project = {own: LABELS.index(label) for label, owns in label_map.items() for own in owns}
    try:
        labels = np.array([project[own] for own in heard["label"]], dtype=np.int64)
    except KeyError as error:
        raise SpecMismatch(f"{folder}: label_map has no {error}") from error
    clips = np.unique(heard["ids"], return_inverse=True)[1].astype(np.int64)
    speakers = heard["speaker"]
    calibration = np.isin(speakers, CALIBRATION_SPEAKERS)
    test = np.isin(speakers, TEST_SPEAKERS)
    # Fewer windows where scores are computed: they would only repeat a clip.
    few = heard["crop"] < 3
    rows = {"train": ~calibration & ~test, "calibration": calibration & few, "test": test & few}
    return {
        part: Source(heard["statistics"][chosen], labels[chosen], clips[chosen])
        for part, chosen in rows.items()
    }


def text_sources(data_dir: Path, folder: Path, seed: int) -> dict[str, Source]:
    """GoEmotions and MELD dev texts; a dialogue stays within one part."""
    dev = embed_dev(data_dir, folder)
    parts = np.array(_parts(dev["group"], dev["labels"], seed))
    numbers = np.arange(len(parts), dtype=np.int64)
    return {
        part: Source(
            dev["embedding"][parts == part], dev["labels"][parts == part], numbers[parts == part]
        )
        for part in PARTS
    }


def _source(rows: Sequence[tuple[FloatArray, int, int]]) -> Source:
    vectors, labels, clips = zip(*rows, strict=True)
    return Source(
        np.stack(vectors).astype(np.float32),
        np.array(labels, dtype=np.int64),
        np.array(clips, dtype=np.int64),
    )


def draw_triples(
    sources: dict[str, Source], count: int, rng: np.random.Generator
) -> tuple[dict[str, FloatArray], npt.NDArray[np.int64]]:
    """Balanced, label-matched triples: one label, then one row of it from every modality.

    Returns:
        Modality to float32 [count, D], and labels int64 [count], equally often each.
    """
    labels = np.arange(count, dtype=np.int64) % len(LABELS)
    drawn: dict[str, FloatArray] = {}
    for modality in MODALITIES:
        source = sources[modality]
        rows = np.zeros(count, np.int64)
        for label in range(len(LABELS)):
            places = labels == label
            rows[places] = rng.choice(np.flatnonzero(source.labels == label), int(places.sum()))
        drawn[modality] = source.vectors[rows]
    return drawn, labels


def read_sources(data_dir: Path, models_dir: Path, bundle: str, seed: int) -> Sources:
    """Everything above: part to modality to source.

    Raises:
        CorpusError: A corpus is absent.
        WeightsMissing: An encoder is absent.
    """
    by_modality = {
        "face": face_sources(data_dir, models_dir / f"{bundle}-face", seed),
        "audio": audio_sources(data_dir, models_dir / f"{bundle}-speech", seed),
        "text": text_sources(data_dir, models_dir / f"{bundle}-text", seed),
    }
    return {part: {name: by_modality[name][part] for name in MODALITIES} for part in PARTS}
