"""RAVDESS (Livingstone & Russo 2018) with pictures: spoken clips of 24 actors.

As distributed (``Video_Speech_Actor_XX.zip`` unpacked, each by itself or all in one place)::

    Actor_01/01-01-03-01-01-01-01.mp4
    Video_Speech_Actor_01/Actor_01/01-01-03-01-01-01-01.mp4

The first number is 01 for picture and sound, 02 for the same clip without sound (passed by). There
is no official split: by default actors 1 to 12 train, 13 to 16 validate, 17 to 24 test.
"""

from __future__ import annotations

from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.layout import found_in, visible
from realtime_er.training.corpora.manifest import Listing, ManifestRow, list_rows
from realtime_er.training.corpora.ravdess import parse_name

CORPUS = "ravdess"
LAYOUT = "Actor_01 to Actor_24 with files such as 01-01-03-01-01-01-01.mp4"
SENTENCES = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
_VALIDATION = range(13, 17)
_TEST = range(17, 25)
_BOTH, _SPEECH = "01", "01"


def split_of(actor: int) -> str:
    """Part of an actor in the default split."""
    if actor in _TEST:
        return "test"
    return "val" if actor in _VALIDATION else "train"


def fold_of(actor: int, actors_per_fold: int = 4) -> int:
    """Fold of an actor where folds are runs of actors (1 to 4, 5 to 8 ...), from 0."""
    return (actor - 1) // actors_per_fold


def read_ravdess_video(root: Path) -> Listing:
    """Lists the spoken clips that have picture and sound.

    Args:
        root: folder that holds the actors' folders, or the unpacked archives.

    Raises:
        CorpusError: no actor is there, or a file name is not understood.
    """
    root = Path(root)
    paths = visible(root, "Actor_*/*.mp4") or visible(root, "Video_Speech_Actor_*/Actor_*/*.mp4")
    rows = []
    for path in paths:
        label, actor = parse_name(path.stem)
        kind, vocal, _, _, sentence, _, _ = path.stem.split("-")
        if (kind, vocal) != (_BOTH, _SPEECH):
            continue
        if sentence not in SENTENCES or not actor.isdigit():
            raise CorpusError(f"{CORPUS}: {path} is not named as expected ({LAYOUT})")
        rows.append(
            ManifestRow(
                id=f"{CORPUS}/{path.stem}",
                corpus=CORPUS,
                split=split_of(int(actor)),
                video=path.relative_to(root).as_posix(),
                audio="",
                native=(label,),
                speaker=actor,
                group=actor,
                text=SENTENCES[sentence],
            )
        )
    if not rows:
        raise CorpusError(
            f"{CORPUS}: no spoken clip with picture and sound in {root}; expected {LAYOUT}; "
            f"found: {found_in(root)}"
        )
    return list_rows(rows)
