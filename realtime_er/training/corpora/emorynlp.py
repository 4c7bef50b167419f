"""EmoryNLP (Zahiri & Choi 2018): utterances of the same series as MELD, with other labels.

Four of its seven labels name an emotion of the project; Peaceful and Powerful name none and are
left out. Both corpora are cut from one series, so an utterance of EmoryNLP's training part can
stand in MELD's dev part: ``skip_episodes`` leaves out whole episodes.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.text_rows import TextRow, episode_of, one_hot, read_csv_rows

CORPUS = "emorynlp"

LABEL_OF: dict[str, str | None] = {
    "Neutral": "Neutral",
    "Joyful": "Happy",
    "Sad": "Sad",
    "Scared": "Fear",
    "Mad": "Angry",
    "Peaceful": None,
    "Powerful": None,
}
"""Project label of each published label, None where the project has no such label."""

_COLUMNS = ("Utterance", "Speaker", "Emotion", "Scene_ID", "Season", "Episode")


def read_emorynlp(
    data_dir: Path, part: str, *, skip_episodes: Collection[tuple[int, int]] = ()
) -> list[TextRow]:
    """Read one part of EmoryNLP without the labels the project lacks.

    Args:
        data_dir: Folder that holds ``emorynlp/``.
        part: ``"train"``, ``"dev"`` or ``"test"``.
        skip_episodes: (Season, episode) pairs to leave out.

    Returns:
        One row per kept utterance in file order; ``group`` is season, episode and scene.

    Raises:
        CorpusError: The file is missing, lacks a column or holds an unknown emotion.
    """
    path = Path(data_dir) / "emorynlp" / f"emorynlp_{part}_final.csv"
    rows: list[TextRow] = []
    for line in read_csv_rows(path, CORPUS, _COLUMNS):
        emotion = line["Emotion"].strip().capitalize()
        if emotion not in LABEL_OF:
            raise CorpusError(f"{CORPUS}: {path} holds the unknown emotion {line['Emotion']!r}")
        label = LABEL_OF[emotion]
        if label is None or episode_of(line, path, CORPUS) in skip_episodes:
            continue
        group = f"{line['Season']}-{line['Episode']}-{line['Scene_ID']}"
        speaker = line["Speaker"].strip("[]'\"")
        rows.append(TextRow(line["Utterance"], one_hot(label), group, speaker, CORPUS))
    return rows
