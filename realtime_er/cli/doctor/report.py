"""What a bug report needs, as one JSON file: no pictures, no sound, no words, no names, no secrets."""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realtime_er.addresses import without_secrets
from realtime_er.cli.doctor.finding import Finding
from realtime_er.cli.doctor.packages import installed
from realtime_er.cli.faults import last_faults
from realtime_er.errors import ConfigError

if TYPE_CHECKING:
    from realtime_er.config import Config

_FAULTS = 3
_SHORTEST = 3
"""A name of fewer letters stands in too many words to be replaced."""

# Those that change how the program runs; none of them holds a secret, and no other is written.
_VARIABLES = re.compile(
    r"OMP_NUM_THREADS|QT_QPA_PLATFORM|DISPLAY|WAYLAND_DISPLAY|XDG_SESSION_TYPE|LANG|CUDA_VISIBLE_DEVICES"
    r"|PULSE_SERVER|OPENCV_\w+|HF_HUB_OFFLINE"
)
_ADDRESS = re.compile(r"\b\w+://\S+")
_OWNER = re.compile(r"\b[^\W\d_]+(?=['\N{RIGHT SINGLE QUOTATION MARK}]s\b)")
_QUOTED = re.compile(
    r"'[^'\n]*'|\"[^\"\n]*\"|\N{LEFT DOUBLE QUOTATION MARK}[^\n]*?\N{RIGHT DOUBLE QUOTATION MARK}"
)
_FRAME = re.compile(r'^\s+File "')


def write_report(path: Path, findings: Sequence[Finding], config: Config) -> None:
    """Write the report.

    Args:
        path: JSON; replaced when it is there.
        findings: Of the doctor.
        config: The one that was examined.

    Raises:
        ConfigError: the file cannot be written.
    """
    record = {
        "format": "realtime-er bug report",
        "version": 1,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "findings": [asdict(finding) for finding in findings],
        "python": platform.python_version(),
        "packages": installed(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if _VARIABLES.fullmatch(k)},
        "config": config.to_dict(),
        "faults": [_without_quotes(entry) for entry in last_faults(_FAULTS)],
    }
    text = json.dumps(_each_text(record, redactor()), indent=2, ensure_ascii=False)
    try:
        path.write_text(text + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"--bundle-report {path}: cannot be written: {error.strerror}") from error


def redactor() -> Callable[[str], str]:
    """Takes out of a text who uses this computer, what it is called, and passwords in addresses."""
    home = str(Path.home())
    names = {Path.home().name: "USER", _user(): "USER", platform.node(): "HOST"}
    words = [
        (re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE), mask)
        for name, mask in names.items()
        if len(name) >= _SHORTEST
    ]

    def redact(text: str) -> str:
        text = _ADDRESS.sub(lambda found: without_secrets(found[0]), text)
        if len(home) >= _SHORTEST:
            text = text.replace(home, "~")
        for pattern, mask in words:
            text = pattern.sub(mask, text)
        return _OWNER.sub("SOMEBODY", text)

    return redact


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _without_quotes(traceback: str) -> str:
    """A traceback whose messages quote nothing: an exception may quote what it could not read."""
    lines = traceback.splitlines()
    return "\n".join(x if _FRAME.match(x) else _QUOTED.sub("'...'", x) for x in lines)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _each_text(part, change) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_each_text(part, change) for part in value]
    return value
