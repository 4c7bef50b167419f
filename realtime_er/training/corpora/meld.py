"""MELD (Poria et al. 2019): utterances of spoken dialogue, text only, seven labels."""

from __future__ import annotations

from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.text_rows import TextRow, episode_of, one_hot, read_csv_rows

CORPUS = "meld"

LABEL_OF = {
    "neutral": "Neutral",
    "joy": "Happy",
    "sadness": "Sad",
    "surprise": "Surprise",
    "fear": "Fear",
    "disgust": "Disgust",
    "anger": "Angry",
}
"""Project label of each published label."""

_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID")


def _path(data_dir: Path, part: str) -> Path:
    return Path(data_dir) / "meld" / f"{part}_sent_emo.csv"


def read_meld(data_dir: Path, part: str) -> list[TextRow]:
    """Read one part of MELD.

    Args:
        data_dir: Folder that holds ``meld/``.
        part: ``"train"``, ``"dev"`` or ``"test"``.

    Returns:
        One row per utterance in file order; ``group`` is ``"<part>-<dialogue id>"``.

    Raises:
        CorpusError: The file is missing, lacks a column or holds an unknown emotion.
    """
    path = _path(data_dir, part)
    rows: list[TextRow] = []
    for line in read_csv_rows(path, CORPUS, _COLUMNS):
        label = LABEL_OF.get(line["Emotion"].strip().lower())
        if label is None:
            raise CorpusError(f"{CORPUS}: {path} holds the unknown emotion {line['Emotion']!r}")
        group = f"{part}-{line['Dialogue_ID']}"
        rows.append(TextRow(line["Utterance"], one_hot(label), group, line["Speaker"], CORPUS))
    return rows


def read_meld_episodes(data_dir: Path, part: str) -> set[tuple[int, int]]:
    """(Season, episode) pairs of one part: other corpora cut from the same series avoid them."""
    path = _path(data_dir, part)
    lines = read_csv_rows(path, CORPUS, ("Season", "Episode"))
    return {episode_of(line, path, CORPUS) for line in lines}
