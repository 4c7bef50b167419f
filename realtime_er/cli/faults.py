"""Where the traceback of an unexpected fault goes: a file, so that the user sees one line."""

from __future__ import annotations

import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

_LARGEST_BYTES = 1_000_000
_HEADER = "== "


def fault_log() -> Path:
    """The file; it may not be there yet."""
    return platformdirs.user_log_path("realtime_er", appauthor=False) / "faults.log"


def note_fault(error: BaseException) -> str:
    """Keep a traceback, with what caused it.

    Returns:
        Where it is, or why it could not be kept; in a few words.
    """
    path = fault_log()
    # Not the whole command line: it may hold names and addresses.
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    header = f"{_HEADER}{datetime.now(UTC).isoformat(timespec='seconds')} {command}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        full = path.is_file() and path.stat().st_size > _LARGEST_BYTES
        with path.open("w" if full else "a", encoding="utf-8") as file:
            file.write(header + "".join(traceback.format_exception(error)))
    except OSError as unwritable:
        return f"its traceback cannot be kept: {path}: {unwritable.strerror}"
    return f"its traceback is in {path}"


def last_faults(n: int) -> list[str]:
    """The newest entries of the log, oldest first; none when there is no log that can be read."""
    try:
        text = fault_log().read_text("utf-8", errors="replace")
    except OSError:
        return []
    entries = f"\n{text}".split(f"\n{_HEADER}")[1:]
    return entries[-n:]
