"""MELD (Poria et al. 2019) with pictures and sound: one clip per utterance.

As distributed (``MELD.Raw``, archives unpacked; they nest differently from place to place)::

    train_sent_emo.csv  dev_sent_emo.csv  test_sent_emo.csv
    train_splits/                diaD_uttU.mp4
    dev_splits_complete/         diaD_uttU.mp4
    output_repeated_splits_test/ diaD_uttU.mp4

A few clips are missing or broken in the distribution; they are left out and named.
"""

from __future__ import annotations

from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.layout import first_dir, first_file
from realtime_er.training.corpora.manifest import Listing, ManifestRow, Skipped, list_rows
from realtime_er.training.corpora.meld import CORPUS, LABEL_OF
from realtime_er.training.corpora.text_rows import read_csv_rows

LAYOUT = "MELD.Raw with train_splits, dev_splits_complete and output_repeated_splits_test"
_PARTS = {
    "train": ("train", "train_splits"),
    "val": ("dev", "dev_splits_complete"),
    "test": ("test", "output_repeated_splits_test"),
}
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
# The tables were once saved in another encoding: these are quotes and dashes.
_SIGNS = {0x85: "\u2026", 0x91: "\u2018", 0x92: "\u2019", 0x93: "\u201c", 0x94: "\u201d",
          0x96: "\u2013", 0x97: "\u2014"}  # fmt: skip


def read_meld_video(root: Path) -> Listing:
    """Lists the utterances of the three official parts.

    Args:
        root: folder that holds the tables and the clips.

    Returns:
        Rows in the order of the tables; ``speaker`` is the character, ``group`` the dialogue.

    Raises:
        CorpusError: the layout is another, or an emotion is unknown.
    """
    root = Path(root)
    rows: list[ManifestRow] = []
    skipped: list[Skipped] = []
    for split, (part, folder_name) in _PARTS.items():
        table_name = f"{part}_sent_emo.csv"
        table = first_file(root, [table_name, f"{part}/{table_name}"], CORPUS, "the part's table")
        clips = first_dir(root, [folder_name, f"{part}/{folder_name}"], CORPUS, LAYOUT)
        for line in read_csv_rows(table, CORPUS, _COLUMNS):
            if line["Emotion"] not in LABEL_OF:
                raise CorpusError(f"{CORPUS}: {table} has the unknown emotion {line['Emotion']!r}")
            stem = f"dia{line['Dialogue_ID']}_utt{line['Utterance_ID']}"
            clip = clips / f"{stem}.mp4"
            if not clip.is_file():
                skipped.append(Skipped(f"{CORPUS}/{part}/{stem}", f"{clip} is missing"))
                continue
            rows.append(
                ManifestRow(
                    id=f"{CORPUS}/{part}/{stem}",
                    corpus=CORPUS,
                    split=split,
                    video=clip.relative_to(root).as_posix(),
                    audio="",
                    native=(line["Emotion"],),
                    speaker=line["Speaker"].translate(_SIGNS),
                    group=f"{part}-{line['Dialogue_ID']}",
                    text=line["Utterance"].translate(_SIGNS),
                )
            )
    if not rows:
        raise CorpusError(f"{CORPUS}: none of the {len(skipped)} clips is there, {LAYOUT} expected")
    return list_rows(rows, skipped)
