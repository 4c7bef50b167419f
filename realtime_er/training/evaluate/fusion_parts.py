"""The vectors that fusion is evaluated on where the corpora's test parts are."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from realtime_er.encoders.bundle import load_card
from realtime_er.encoders.runtimes import onnx_session
from realtime_er.encoders.text import TextEncoder, fold_words
from realtime_er.fusion.head import statistics
from realtime_er.training.corpora.ferplus import read_ferplus
from realtime_er.training.corpora.goemotions import read_goemotions
from realtime_er.training.corpora.meld import read_meld
from realtime_er.training.evaluate.speech import clips_of, hear, project_labels
from realtime_er.training.fusion.sources import FACE_VIEWS, Source, _view


def test_part(data_dir: Path, models_dir: Path, seed: int) -> dict[str, Source]:
    """The corpora's test parts: FER+ test, RAVDESS actors 21 to 24, GoEmotions and MELD test.

    Raises:
        CorpusError: one of them is not there.
    """
    return {
        "face": _faces(data_dir, models_dir / "compact-face", seed),
        "audio": _voices(data_dir, models_dir / "compact-speech"),
        "text": _texts(data_dir, models_dir / "compact-text"),
    }


def _faces(data_dir: Path, folder: Path, seed: int) -> Source:
    faces = read_ferplus(data_dir, "test")
    rows = np.flatnonzero(faces.agreed)
    session = onnx_session(load_card(folder).path)
    rng = np.random.default_rng(seed)
    vectors = []
    for row in rows:
        views = np.stack([_view(faces.images[row], rng) for _ in range(FACE_VIEWS)])
        vectors.append(statistics(session.run(["embedding"], {"image": views[:, None]})[0]))
    return Source(np.stack(vectors), faces.leading()[rows], rows.astype(np.int64))


def _voices(data_dir: Path, folder: Path) -> Source:
    card = load_card(folder)
    heard = hear(clips_of(data_dir, "test", card), folder)
    numbers = np.arange(len(heard.clips), dtype=np.int64)
    return Source(heard.statistics, project_labels(heard.clips, card), numbers)


def _texts(data_dir: Path, folder: Path) -> Source:
    encoder = TextEncoder(folder)
    rows = [
        row
        for row in read_goemotions(data_dir, "test") + read_meld(data_dir, "test")
        if row.label is not None and fold_words(row.text)
    ]
    vectors = np.stack([encoder.encode(row.text)[0] for row in rows])
    labels = np.array([row.label for row in rows], np.int64)
    return Source(vectors, labels, np.arange(len(rows), dtype=np.int64))
