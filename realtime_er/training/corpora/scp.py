"""Lists of utterances as Foal-Net's authors write them: a line is ``utt_id path label``.

    Ses01F_impro01_F000 wav/Ses01F_impro01_F000.wav neu

The session is the fifth character of the name. The file may be sound alone (its pictures'
features then lie elsewhere) or a recording with pictures. Empty lines and lines that begin with
``#`` are passed by.
"""

from __future__ import annotations

import re
from pathlib import Path

from realtime_er.errors import CorpusError
from realtime_er.training.corpora.manifest import ManifestRow

CODES = ("hap", "neu", "sad", "ang", "exc")
"""Labels that a list may have; the published ones have the first four, excited merged into hap."""
SOUND_ONLY = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac")

# A path may have spaces: the name is the first word, the label the last.
_LINE = re.compile(r"(\S+)\s+(\S.*?)\s+(\S+)")
_NAME = re.compile(r"Ses\w\d[FM]_\w+_(?P<who>[FM])(?:XX)?\d+")


def read_scp(path: Path) -> tuple[ManifestRow, ...]:
    """Reads a list; its relative paths begin where it lies.

    Args:
        path: the ``.scp`` file.

    Returns:
        Rows in the order of the list, all of part "train"; ``audio`` or ``video`` is the file,
        absolute where the list says so, and the speaker is the session's own where the name tells
        no more.

    Raises:
        CorpusError: the list is missing or empty, or a line is wrong: names the file, the first
            such line by its number, and how many more there are.
    """
    if not path.is_file():
        raise CorpusError(f"{path}: no such list; a line is: utt_id path label")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}: is not text ({error.reason}); a line is: utt_id path label"
        ) from error
    rows: list[ManifestRow] = []
    seen: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            problems.append(f"{path}, line {number}: is not utt_id path label")
            continue
        name, file, label = found.groups()
        problem = _problem(name, file, label, path.parent, seen)
        if problem:
            problems.append(f"{path}, line {number}: {problem}")
            continue
        seen[name] = number
        rows.append(_row(name, file, label))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CorpusError(f"{problems[0]}{more}; correct the list")
    if not rows:
        raise CorpusError(f"{path}: holds no utterance; a line is: utt_id path label")
    return tuple(rows)


def session_of(name: str) -> int | None:
    """The session that an utterance's name tells by its fifth character, or None."""
    return int(name[4]) if len(name) > 4 and name[4] in "123456789" else None


def _problem(name: str, file: str, label: str, folder: Path, seen: dict[str, int]) -> str | None:
    if "/" in name:
        return f"{name}: a name must not have a slash"
    if label not in CODES:
        return f"{name} has the label {label!r}, none of {', '.join(CODES)}"
    if session_of(name) is None:
        return f"{name}: the fifth character must be the session, as in Ses01F_impro01_F000"
    if name in seen:
        return f"{name} stands twice (first in line {seen[name]})"
    if not (folder / file).is_file():
        return f"{name}: {folder / file} is missing"
    return None


def _row(name: str, file: str, label: str) -> ManifestRow:
    silent = Path(file).suffix.lower() not in SOUND_ONLY
    parts = _NAME.fullmatch(name)
    return ManifestRow(
        id=f"iemocap/{name}",
        corpus="iemocap",
        split="train",
        video=file if silent else "",
        audio="" if silent else file,
        native=(label,),
        speaker=f"{name[:5]}{parts['who'] if parts else ''}",
        group=name.rpartition("_")[0] or name,
    )
