"""Writing export files: whole or not at all, and only what their format allows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from realtime_er.errors import RecordingError

# What XML 1.0 has no place for, not even escaped: control characters, surrogates, non-characters.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a name to write to; the file takes its real name when everything went well.

    Raises:
        RecordingError: the disk is full, or the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link that somebody left under this name must not be written through.
        part.unlink(missing_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written: {error.strerror or error}") from error


def clean(text: str) -> str:
    """``text`` without what XML cannot hold, line ends as LF."""
    return _NOT_XML.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
