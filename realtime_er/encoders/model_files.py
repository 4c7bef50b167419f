"""Names of files in a model card, which may come from anywhere."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from realtime_er.errors import SpecMismatch


def file_of_card(folder: Path, name: object) -> Path:
    """``folder / name``, when that is really inside the folder.

    Raises:
        SpecMismatch: the name is no name, is absolute, goes up, or leads out through a link.
    """
    wrong = f"{folder / 'card.json'}: names the file {name!r:.80}, which "
    if not isinstance(name, str) or not name or "\x00" in name:
        raise SpecMismatch(wrong + "is not a file name")
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.anchor or ".." in posix.parts or ".." in windows.parts:
        raise SpecMismatch(wrong + "leads out of the model's folder")
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SpecMismatch(wrong + "is a link out of the model's folder")
    return path
