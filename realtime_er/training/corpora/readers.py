"""Every corpus that MER can be trained on, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.afew import read_afew
from realtime_er.training.corpora.clips import SpeechClip
from realtime_er.training.corpora.emodb import read_emodb
from realtime_er.training.corpora.iemocap import read_iemocap
from realtime_er.training.corpora.manifest import Listing, ManifestRow, list_rows
from realtime_er.training.corpora.meld_video import read_meld_video
from realtime_er.training.corpora.mosei import read_mosei
from realtime_er.training.corpora.ravdess import read_ravdess
from realtime_er.training.corpora.ravdess_video import SENTENCES, read_ravdess_video
from realtime_er.training.corpora.ravdess_video import split_of as ravdess_split

Reader = Callable[[Path], Listing]

# As many men as women each, and in a copy that lacks the last speakers too.
_EMODB_PARTS = {
    "09": "val", "10": "val", "12": "test", "14": "test", "15": "test", "16": "test"
}  # fmt: skip


def read_ravdess_speech(root: Path) -> Listing:
    """The sound of RAVDESS alone (see ``ravdess.py``), parts by actor as for the videos."""

    def row(clip: SpeechClip, speaker: str) -> ManifestRow:
        sentence = SENTENCES.get(clip.path.stem.split("-")[4], "")
        return _heard(root, clip, speaker, ravdess_split(int(speaker)), sentence)

    return list_rows([row(clip, clip.speaker.rpartition("-")[2]) for clip in read_ravdess(root)])


def read_emodb_speech(root: Path) -> Listing:
    """EMO-DB (see ``emodb.py``), parts by speaker: four train, two validate, four test."""
    rows = []
    for clip in read_emodb(root):
        speaker = clip.speaker.rpartition("-")[2]
        rows.append(_heard(root, clip, speaker, _EMODB_PARTS.get(speaker, "train"), ""))
    return list_rows(rows)


def _heard(root: Path, clip: SpeechClip, speaker: str, split: str, text: str) -> ManifestRow:
    return ManifestRow(
        id=clip.id,
        corpus=clip.corpus,
        split=split,
        video="",
        audio=clip.path.relative_to(root).as_posix(),
        native=(clip.label,),
        speaker=speaker,
        group=speaker,
        text=text,
    )


READERS: dict[str, Reader] = {
    "iemocap": read_iemocap,
    "mosei": read_mosei,
    "meld": read_meld_video,
    "afew": read_afew,
    "ravdess": read_ravdess_video,
    "ravdess-speech": read_ravdess_speech,
    "emodb": read_emodb_speech,
}
"""Name on the command line to reader. Each takes the folder its module describes."""


def read_corpus(name: str, root: Path) -> Listing:
    """Lists a corpus by name.

    Raises:
        CorpusError: there is no such reader or folder, or the layout is another.
    """
    if name not in READERS:
        raise CorpusError(f"{name}: no such corpus; there are {', '.join(READERS)}")
    if not root.is_dir():
        raise CorpusError(f"{name}: {root} is no folder; name the corpus' folder with --data DIR")
    return READERS[name](root)
