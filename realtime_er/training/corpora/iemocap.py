"""IEMOCAP (Busso et al. 2008): ten actors in pairs, five sessions, face and voice and words.

As distributed (``IEMOCAP_full_release``)::

    SessionN/dialog/EmoEvaluation/DIALOG.txt     labels and times of each utterance
    SessionN/dialog/transcriptions/DIALOG.txt    words
    SessionN/dialog/avi/DivX/DIALOG.avi          both actors side by side
    SessionN/sentences/wav/DIALOG/UTTERANCE.wav  sound of one utterance

There is no official split. Session 5 is the usual test part; of the others every tenth dialogue
(the same ones always) is for validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.layout import found_in, stable_share, visible
from realtime_er.training.corpora.manifest import Listing, ManifestRow, Skipped, list_rows

CORPUS = "iemocap"
LAYOUT = "IEMOCAP_full_release with Session1 to Session5"
CODES = ("neu", "hap", "sad", "ang", "exc", "fru", "sur", "fea", "dis", "oth", "xxx")
"""Own labels; ``xxx`` is where the raters did not agree."""

_LABEL_LINE = re.compile(
    r"\[\s*(?P<start>[\d.]+)\s*-\s*(?P<end>[\d.]+)\s*\]\s+(?P<name>Ses\w+)\s+(?P<code>\w+)\s+\["
)
_WORDS_LINE = re.compile(r"(?P<name>Ses\w+)\s+\[[^\]]*\]:\s*(?P<text>.*)")
_NAME = re.compile(
    r"Ses(?P<session>0[1-5])(?P<marked>[FM])_(?:impro|script)\w+_(?P<who>[FM])(?:XX)?\d+"
)


def read_iemocap(
    root: Path, *, test_session: int = 5, validation_share: float = 0.1, marked_side: str = "left"
) -> Listing:
    """Lists the utterances of all five sessions, every label included.

    Args:
        root: folder that holds ``Session1`` and so on.
        test_session: session for the test part.
        validation_share: share of the other dialogues for validation.
        marked_side: half of the picture with the actor who wears the markers, whose letter stands
            in the dialogue's name (``Ses01F_...``). The other actor is in the other half.

    Returns:
        Rows with the utterance's sound file, and its span and side in the dialogue's video.
        Utterances without a sound file are left out; where the video is missing, it is empty.

    Raises:
        CorpusError: the layout is another, or a label is unknown.
    """
    root = Path(root)
    sessions = {number: root / f"Session{number}" for number in range(1, 6)}
    absent = [folder.name for folder in sessions.values() if not folder.is_dir()]
    if absent:
        raise CorpusError(
            f"{CORPUS}: {root / absent[0]} is missing; expected {LAYOUT}; "
            f"found in {root}: {found_in(root)}"
        )
    dialogues = {number: _dialogues(folder) for number, folder in sessions.items()}
    others = [
        path.stem for number, paths in dialogues.items() for path in paths if number != test_session
    ]
    validation = stable_share(others, validation_share)
    rows: list[ManifestRow] = []
    skipped: list[Skipped] = []
    for number, paths in dialogues.items():
        for path in paths:
            split = "val" if path.stem in validation else "train"
            split = "test" if number == test_session else split
            _read_dialogue(root, path, split, marked_side, rows, skipped)
    return list_rows(rows, skipped)


def _dialogues(session: Path) -> list[Path]:
    folder = session / "dialog" / "EmoEvaluation"
    paths = visible(folder, "Ses*.txt")
    if not paths:
        raise CorpusError(
            f"{CORPUS}: {folder} holds no Ses*.txt; expected {LAYOUT}; "
            f"found in {session}: {found_in(session)}"
        )
    return paths


def _read_dialogue(
    root: Path,
    labels: Path,
    split: str,
    marked_side: str,
    rows: list[ManifestRow],
    skipped: list[Skipped],
) -> None:
    session = labels.parents[2]
    words = _words(session / "dialog" / "transcriptions" / labels.name)
    video = session / "dialog" / "avi" / "DivX" / f"{labels.stem}.avi"
    for line in labels.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LABEL_LINE.match(line)
        if match is None:
            continue
        name, code = match["name"], match["code"]
        parts = _NAME.fullmatch(name)
        if parts is None or code not in CODES:
            raise CorpusError(
                f"{CORPUS}: {labels} has {name} {code}; expected an utterance such as "
                f"Ses01F_impro01_F000 and one of {', '.join(CODES)}"
            )
        audio = session / "sentences" / "wav" / labels.stem / f"{name}.wav"
        if not audio.is_file():
            skipped.append(Skipped(f"{CORPUS}/{name}", f"{audio} is missing"))
            continue
        rows.append(
            ManifestRow(
                id=f"{CORPUS}/{name}",
                corpus=CORPUS,
                split=split,
                video=video.relative_to(root).as_posix() if video.is_file() else "",
                audio=audio.relative_to(root).as_posix(),
                native=(code,),
                start_s=float(match["start"]),
                end_s=float(match["end"]),
                side=_side(parts, marked_side),
                speaker=f"Ses{parts['session']}{parts['who']}",
                group=labels.stem,
                text=words.get(name, ""),
            )
        )


def _side(parts: re.Match[str], marked_side: str) -> str:
    other = {"left": "right", "right": "left"}
    if marked_side not in other:
        raise CorpusError(f"{CORPUS}: marked_side must be left or right, not {marked_side!r}")
    return marked_side if parts["who"] == parts["marked"] else other[marked_side]


def _words(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        return {}
    found = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _WORDS_LINE.match(line.strip())
        if match is not None:
            found[match["name"]] = match["text"].strip()
    return found
