"""Where the files that ship with the package lie.

A wheel carries ``config/`` and ``assets/`` inside the package; an editable install falls back to the
checkout they stand in.
"""

from __future__ import annotations

from pathlib import Path

from realtime_er.errors import RealtimeERError


def resource_dir(name: str) -> Path:
    """The folder ``name`` ("config", "assets"), from the package or from its checkout.

    Raises:
        RealtimeERError: neither has it, so the installation is broken.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise RealtimeERError(f"{package / name}: missing; reinstall realtime_er")
