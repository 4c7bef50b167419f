"""AFEW (Dhall et al. 2012; EmotiW challenges): short scenes from films, seven labels.

As distributed (archives unpacked)::

    Train_AFEW/{Angry,Disgust,Fear,Happy,Neutral,Sad,Surprise}/000046280.avi
    Val_AFEW/{...}/*.avi

The labels of the test part were never given out, so "val" is what papers report. To choose a
model by something else, see ``layout.carve_validation``. There are no transcripts.
"""

from __future__ import annotations

from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.messages import LABELS
from realtime_er.training.corpora.layout import first_dir, found_in, visible
from realtime_er.training.corpora.manifest import Listing, ManifestRow, list_rows

CORPUS = "afew"
LAYOUT = f"Train_AFEW and Val_AFEW, each with the folders {', '.join(sorted(LABELS))}"
_FOLDERS = {
    "train": ("Train_AFEW", "Train/Train_AFEW", "Train"),
    "val": ("Val_AFEW", "Val/Val_AFEW", "Val"),
}
_KINDS = (".avi", ".mp4")


def read_afew(root: Path) -> Listing:
    """Lists the clips of both labelled parts.

    Args:
        root: folder that holds ``Train_AFEW`` and ``Val_AFEW``.

    Raises:
        CorpusError: the layout is another.
    """
    root = Path(root)
    rows: list[ManifestRow] = []
    for split, choices in _FOLDERS.items():
        folder = first_dir(root, choices, CORPUS, LAYOUT)
        for label in LABELS:
            clips = [path for path in visible(folder / label, "*") if path.suffix.lower() in _KINDS]
            if not clips:
                raise CorpusError(
                    f"{CORPUS}: {folder / label} holds no .avi; expected {LAYOUT}; "
                    f"found in {folder}: {found_in(folder)}"
                )
            rows.extend(
                ManifestRow(
                    id=f"{CORPUS}/{split}/{clip.stem}",
                    corpus=CORPUS,
                    split=split,
                    video=clip.relative_to(root).as_posix(),
                    audio="",
                    native=(label,),
                )
                for clip in clips
            )
    return list_rows(rows)
