"""The notice about people: shown once before the first live session, and where that is noted."""

from __future__ import annotations

from pathlib import Path

import platformdirs

VERSION = 2
"""Raise it when the text changes in substance: everybody is then asked again."""

TITLE = "Before you start"

POINTS = (
    (
        "What it does",
        "It looks at the face in the camera picture, listens to the voice, reads the words, "
        "and shows seven scores.",
    ),
    (
        "What the scores are",
        "They say how an expression reads, not what anybody feels. They are estimates and they "
        "are often wrong.",
    ),
    (
        "What not to do with it",
        "Do not use it to judge people at work or in education. In the EU that is banned "
        "(AI Act, Article 5(1)(f); medical and safety reasons excepted).",
    ),
    (
        "Tell people",
        "Everybody who can be seen or heard should know that it is running, before it starts; in the "
        "EU they have to be told (Article 50(3)). This is no legal advice.",
    ),
    (
        "What happens to the data",
        "Everything stays on this computer. Nothing is sent, and nothing is kept unless you "
        "record, which asks whether the person agrees.",
    ),
)
"""(heading, text) of each paragraph."""

NOTICE = "\n\n".join(f"{heading}. {text}" for heading, text in POINTS)
"""The whole text, paragraphs parted by empty lines."""

_FILE = "notice.txt"


def _file(folder: Path | None) -> Path:
    return (folder or platformdirs.user_state_path("realtime_er", appauthor=False)) / _FILE


def acknowledged(folder: Path | None = None) -> bool:
    """Whether this person, on this computer, has understood this version of the notice.

    Args:
        folder: Where that is noted; the user's state folder by default.
    """
    try:
        noted = _file(folder).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False  # not noted, or not readable: asking once more does no harm
    words = noted.split()
    return len(words) >= 2 and words[0] == "version" and words[1] == str(VERSION)


def acknowledge(folder: Path | None = None) -> str:
    """Note that the notice was understood.

    Args:
        folder: Where; the user's state folder by default. It is made when it is not there.

    Returns:
        "", or one line that says why it could not be noted; it is then asked again next time.
    """
    path = _file(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"version {VERSION} of the notice was understood\n", "utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        return f"{path} cannot be written ({reason}): the notice will be shown again next time"
    return ""
